"""Descriptions of a pipeline's parts: its JSON files, with the defaults of classes, and with limits on numbers."""

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, cast

from ...errors import SyncbenchError, quoted
from ...files.reading import is_file, read_object
from .library import LIBRARIES, library_class

Json = dict[str, Any]


UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that most pipelines list and sampling does not need; they are never loaded and may be missing."""


MOST: dict[str, int] = {
    **dict.fromkeys(
        ("layers_per_block", "transformer_layers_per_block", "num_encoder_blocks", "num_decoder_blocks"), 64
    ),
    **dict.fromkeys(("in_channels", "out_channels", "latent_channels", "num_hidden_layers", "num_layers"), 256),
    **dict.fromkeys(("norm_num_groups", "num_attention_heads", "attention_head_dim", "sample_size"), 4_096),
    **dict.fromkeys(("block_out_channels", "encoder_block_out_channels", "decoder_block_out_channels"), 16_384),
    **dict.fromkeys(
        ("cross_attention_dim", "hidden_size", "addition_time_embed_dim", "max_position_embeddings"), 16_384
    ),
    **dict.fromkeys(("intermediate_size", "projection_dim", "projection_class_embeddings_input_dim"), 65_536),
    **dict.fromkeys(("joint_attention_dim", "caption_channels", "d_model", "d_ff"), 65_536),
    **dict.fromkeys(("vocab_size", "num_train_timesteps"), 1_000_000),
}
"""Largest values of fields that are numbers; a network of larger ones could fill the memory while it is built."""


def read_index(folder: Path, own_pipeline: bool = False) -> Json:
    """The content of `model_index.json`. Raises SyncbenchError where it is missing, or not as diffusers writes it."""
    path = folder / "model_index.json"
    if not path.exists():
        raise SyncbenchError(f"{quoted(folder)} is no diffusers pipeline: it has no model_index.json")
    index = read_object(path)
    name = index.get("_class_name", "")
    # diffusers would take either for code of the folder
    if not own_pipeline and (not isinstance(name, str) or is_file(folder / "None.py")):
        raise SyncbenchError(f"{quoted(folder)} asks for a pipeline's code of its own, which is never loaded")
    return index


def listed(folder: Path, index: Mapping[str, Any], unused: Sequence[str] = UNUSED) -> dict[str, tuple[str, str]]:
    """Library and class of every part that an index lists and that is used."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in index.items():
        if not isinstance(value, list) or name.startswith("_"):
            continue
        pair = cast(list[Any], value)
        if name in unused:
            continue
        if len(pair) != 2 or not all(word is None or isinstance(word, str) for word in pair):
            raise SyncbenchError(
                f"{quoted(folder)}/model_index.json: '{quoted(name, 60)}' is not a library and the name of a class"
            )
        if pair[0] is None or pair[1] is None:
            continue
        found[name] = (pair[0], pair[1])
    return found


def config_of(folder: Path, name: str) -> Json:
    """The configuration of a part. Raises SyncbenchError where it is missing, or has other values than MOST allows."""
    path = folder / name / ("scheduler_config.json" if name.startswith("scheduler") else "config.json")
    if not path.exists():
        shown = f"{name}/{path.name}" if name else path.name
        raise SyncbenchError(f"{quoted(folder)} has no {shown}: copy the whole pipeline folder")
    config = read_object(path)
    for key, most in MOST.items():
        if isinstance(config.get(key), str | dict):
            raise SyncbenchError(f"{quoted(path)}: {key} = {quoted(config[key], 60)} is no number: copy the file again")
        numbers = _numbers(config.get(key))
        if any(not isfinite(number) or number > most or number < 0 for number in numbers) or len(numbers) > 64:
            raise SyncbenchError(
                f"{quoted(path)}: {key} = {quoted(config[key], 60)} is beyond any network (at most {most:,})"
            )
    return config


def value_of(library: str, kind: str, config: Mapping[str, Any], name: str) -> Any:
    """A field of a configuration; the class's own default where the file does not say."""
    if name in config:
        return config[name]
    return _defaults(library, kind).get(name) if library in LIBRARIES else None


def weights_name(part: str, library: str) -> str:
    """File name of a part's weights without its ending; empty for parts without weights."""
    if part.startswith(("tokenizer", "scheduler", "feature_extractor", "image_processor")):
        return ""
    return "model" if library == "transformers" else "diffusion_pytorch_model"


@cache
def _defaults(library: str, kind: str) -> dict[str, Any]:
    cls = library_class(library, kind)
    if library == "transformers":
        return dict(cls.config_class().to_dict())
    parameters = inspect.signature(cls.__init__).parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}
    # as JSON has it
    return {name: list(cast(Any, value)) if isinstance(value, tuple) else value for name, value in defaults.items()}


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for one in cast(list[Any], value) for number in _numbers(one)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []
