"""Whether a pipeline's folder is whole and of a kind that is served, told by its JSON files and its weights' headers.

Nothing here imports diffusers or loads a weight. What cannot be seen from outside (NaN in the weights, say) is found by
`Diffusers.ready`, which tries the loaded pipeline once.
"""

import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, cast

from ..errors import SyncbenchError, quoted
from ..files import is_file, read_object
from ._served import PREDICTIONS
from ._weights import check_variant, check_weights

Json = dict[str, Any]
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "unet": ("diffusers", ("UNet2DConditionModel",)),
    "vae": ("diffusers", ("AutoencoderKL", "AutoencoderTiny", "AsymmetricAutoencoderKL")),
    "text_encoder": ("transformers", ("CLIPTextModel", "CLIPTextModelWithProjection")),
    "text_encoder_2": ("transformers", ("CLIPTextModel", "CLIPTextModelWithProjection")),
    "tokenizer": ("transformers", ("CLIPTokenizer", "CLIPTokenizerFast")),
    "tokenizer_2": ("transformers", ("CLIPTokenizer", "CLIPTokenizerFast")),
    "scheduler": ("diffusers", ()),
}
"""Parts of a pipeline that are loaded: the library and the classes that are; a scheduler is any that diffusers has."""
NETWORKS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"} | dict.fromkeys(
    ("text_encoder", "text_encoder_2"), "model"
)
"""Parts with weights, and what their files are called."""
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that sampling does not need: never loaded, so that they may be missing."""
MOST: dict[str, int] = {
    **dict.fromkeys(
        ("layers_per_block", "transformer_layers_per_block", "num_encoder_blocks", "num_decoder_blocks"), 64
    ),
    **dict.fromkeys(("in_channels", "out_channels", "latent_channels", "num_hidden_layers"), 256),
    **dict.fromkeys(("norm_num_groups", "num_attention_heads", "attention_head_dim", "sample_size"), 4_096),
    **dict.fromkeys(("block_out_channels", "encoder_block_out_channels", "decoder_block_out_channels"), 16_384),
    **dict.fromkeys(
        ("cross_attention_dim", "hidden_size", "addition_time_embed_dim", "max_position_embeddings"), 16_384
    ),
    **dict.fromkeys(("intermediate_size", "projection_dim", "projection_class_embeddings_input_dim"), 65_536),
    **dict.fromkeys(("vocab_size", "num_train_timesteps"), 1_000_000),
}
"""The largest numbers that any network of these classes has; more would be built until the memory is full."""
INPUTS = {
    "class_embed_type": "class labels",
    "num_class_embeds": "class labels",
    "encoder_hid_dim": "other embeddings than a text encoder's",
    "encoder_hid_dim_type": "other embeddings than a text encoder's",
}
"""Fields of a network's configuration that ask for inputs which are not given, and what these are."""


def check_folder(folder: Path, variant: str | None = None) -> None:
    """Refuse a folder whose pipeline cannot be loaded, or not be served. Raises SyncbenchError with cause and cure."""
    index = read_index(folder)
    parts = _listed(folder, index)
    if parts.get("unet", ("", ""))[1] != "UNet2DConditionModel" or "vae" not in parts:
        raise SyncbenchError(
            f"{quoted(folder)} holds a {quoted(index.get('_class_name', 'pipeline'), 60)} without the UNet and codec "
            "of Stable Diffusion 1.x, 2.x or XL, the classes this model serves"
        )
    for name in parts:
        if name not in PARTS:
            raise SyncbenchError(
                f"{quoted(folder)} has a part '{quoted(name, 60)}', which would not be used: take the checkpoint that "
                "it was added to"
            )
    for name in ("text_encoder", "tokenizer", "scheduler"):
        if name not in parts and not (name != "scheduler" and f"{name}_2" in parts):
            raise SyncbenchError(f"{quoted(folder)} lists no {name}: copy the whole pipeline folder")
    for name, (library, found) in parts.items():
        wanted, classes = PARTS[name]
        if library != wanted or (found not in classes if classes else not re.fullmatch(r"\w+Scheduler", found)):
            raise SyncbenchError(
                f"{quoted(folder)} names {quoted(library, 60)}.{quoted(found, 60)} as its {name}, which is not "
                f"{' or '.join(classes) or 'a scheduler'} of {wanted}; code from elsewhere is never loaded"
            )
    networks = {name: base for name, base in NETWORKS.items() if name in parts}
    check_variant(folder, networks, variant)
    configs = {name: _config(folder, name) for name in parts if not name.startswith("tokenizer")}
    for name, base in networks.items():
        check_weights(folder, name, base, variant)
    for name in ("tokenizer", "tokenizer_2"):
        if name in parts:
            _check_tokenizer(folder, name, configs.get(name.replace("tokenizer", "text_encoder"), {}))
    _check_fit(folder, index, configs)


def read_index(folder: Path) -> Json:
    """The content of `model_index.json`. Raises SyncbenchError where there is none, or not as diffusers writes it."""
    path = folder / "model_index.json"
    if not path.exists():
        raise SyncbenchError(f"{quoted(folder)} is no diffusers pipeline: it has no model_index.json")
    index = read_object(path)
    name = index.get("_class_name", "")
    if not isinstance(name, str) or is_file(folder / "None.py"):  # diffusers would take either for code of the folder
        raise SyncbenchError(f"{quoted(folder)} asks for a pipeline's code of its own, which is never loaded")
    return index


def first_line(error: Exception) -> str:
    """What a library says of a failure, without its advice."""
    return quoted((str(error).strip().splitlines() or [type(error).__name__])[0])


def _listed(folder: Path, index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Library and class of every part that is loaded."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in index.items():
        if not isinstance(value, list):
            continue
        pair = cast(list[Any], value)
        if len(pair) != 2 or not all(word is None or isinstance(word, str) for word in pair):
            raise SyncbenchError(
                f"{quoted(folder)}/model_index.json: '{quoted(name, 60)}' is not a library and the name of a class"
            )
        if pair[0] is None or pair[1] is None or name in UNUSED:
            continue
        found[name] = (pair[0], pair[1])
    return found


def _config(folder: Path, name: str) -> Json:
    path = folder / name / ("scheduler_config.json" if name == "scheduler" else "config.json")
    if not path.exists():
        raise SyncbenchError(f"{quoted(folder)} has no {name}/{path.name}: copy the whole pipeline folder")
    config = read_object(path)
    for key, most in MOST.items():
        value = config.get(key)
        numbers = _numbers(value)
        if any(not isfinite(number) or number > most or number < 0 for number in numbers) or len(numbers) > 64:
            raise SyncbenchError(
                f"{quoted(path)}: {key} = {quoted(value, 60)} is beyond any network (at most {most:,})"
            )
    return config


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for one in cast(list[Any], value) for number in _numbers(one)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _check_tokenizer(folder: Path, name: str, encoder: Json) -> None:
    place = folder / name
    if not is_file(place / "tokenizer.json") and not all(is_file(place / f) for f in ("vocab.json", "merges.txt")):
        raise SyncbenchError(
            f"{quoted(folder)} has no vocabulary for its {name} ({name}/tokenizer.json, or vocab.json and merges.txt): "
            "copy the whole pipeline folder"
        )
    if not is_file(place / "tokenizer_config.json"):
        raise SyncbenchError(f"{quoted(folder)} has no {name}/tokenizer_config.json: copy the whole pipeline folder")
    length, places = read_object(place / "tokenizer_config.json").get("model_max_length"), _places(encoder)
    if not isinstance(length, int) or not 2 < length <= places:
        raise SyncbenchError(
            f"{quoted(place)}/tokenizer_config.json: model_max_length = {quoted(length, 40)} does not fit a text "
            f"encoder of {places} places"
        )


def _places(encoder: Json) -> int:
    """Tokens that a text encoder reads; CLIP's own number where its configuration is silent."""
    found = encoder.get("max_position_embeddings", 77)
    return found if isinstance(found, int) else 77


def _check_fit(folder: Path, index: Json, configs: Mapping[str, Json]) -> None:
    """The parts fit each other, and the network takes what it is given: a text, and in XL's case a size."""
    unet, vae, scheduler, name = configs["unet"], configs["vae"], configs["scheduler"], quoted(folder)
    if unet.get("time_cond_proj_dim") is not None:
        raise SyncbenchError(
            f"{name} is a distilled network (LCM) that takes guidance as an input and has a sampler of its own, which "
            "the shared loop is not: take the checkpoint it was distilled from"
        )
    for field, what in INPUTS.items():
        if unet.get(field) is not None:
            raise SyncbenchError(f"{name} has a network that takes {what} ({field}), which no dataset gives")
    if unet.get("in_channels", 4) != vae.get("latent_channels", 4):
        raise SyncbenchError(
            f"{name} has a network of {unet.get('in_channels')} input channels and a codec of "
            f"{vae.get('latent_channels')}: checkpoints with extra image inputs (inpainting, depth) are not "
            "text-to-image models"
        )
    texts = [configs[part] for part in ("text_encoder", "text_encoder_2") if part in configs]
    widths = [text.get("hidden_size", 512) for text in texts]
    kind, width = unet.get("addition_embed_type"), unet.get("cross_attention_dim", 1280)
    if kind not in (None, "text_time"):
        raise SyncbenchError(
            f"{name} has a network that takes more than text (addition_embed_type = {quoted(kind, 40)})"
        )
    if index.get("requires_aesthetics_score") or (kind == "text_time" and not _plain_sizes(unet, configs)):
        raise SyncbenchError(
            f"{name} is a refiner, which starts from another model's picture and an aesthetics score: take the base "
            "model"
        )
    if isinstance(width, int) and all(isinstance(one, int) for one in widths) and width != sum(widths):
        raise SyncbenchError(
            f"{name} has a network that reads text of width {width} and text encoders of "
            f"{' and '.join(map(str, widths))}: they are of unlike checkpoints"
        )
    for field in ("scaling_factor", "shift_factor"):
        value = vae.get(field)
        fine = value is None or (isinstance(value, int | float) and isfinite(value) and (value > 0 or field[1] == "h"))
        if not fine:
            raise SyncbenchError(f"{name}: vae/config.json: {field} = {quoted(value, 40)} is no scale")
    _check_scheduler(name, scheduler)


def _plain_sizes(unet: Json, configs: Mapping[str, Json]) -> bool:
    """Whether an XL network takes six sizes beside the pooled text, and no score."""
    wide, one = unet.get("projection_class_embeddings_input_dim"), unet.get("addition_time_embed_dim", 256)
    pooled = configs.get("text_encoder_2", {}).get("projection_dim", 1280)
    return not all(isinstance(number, int) for number in (wide, one, pooled)) or wide == 6 * one + pooled


def _check_scheduler(name: str, scheduler: Json) -> None:
    kind = scheduler.get("prediction_type", "epsilon")
    if kind not in PREDICTIONS:
        raise SyncbenchError(f"{name} predicts '{quoted(kind, 40)}': served are {', '.join(PREDICTIONS)}")
    for field in ("beta_start", "beta_end"):
        value = scheduler.get(field, 0.01)
        if not (isinstance(value, int | float) and 0 < value < 1):
            raise SyncbenchError(f"{name}: scheduler_config.json: {field} = {quoted(value, 40)} is not between 0 and 1")
    steps = scheduler.get("num_train_timesteps", 1000)
    if not isinstance(steps, int) or not 1 <= steps <= 100_000:
        raise SyncbenchError(
            f"{name}: scheduler_config.json: num_train_timesteps = {quoted(steps, 40)} is not from 1 to 100,000"
        )
