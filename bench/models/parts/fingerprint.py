"""Fingerprints: what a recipe expects in a folder of weights, checked before anything is loaded.

Only JSON files and the headers of weights files are read. No weight is loaded and no code of a folder is run.
A folder that differs raises SyncbenchError with cause and cure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from ...errors import SyncbenchError, quoted
from ...files.reading import is_file, read_object
from .described import UNUSED, Json, config_of, listed, read_index, value_of, weights_name
from .files import check_variant, check_weights
from .levels import PREDICTIONS

CURES: dict[tuple[str, Any], str] = {
    ("in_channels", 4): "a text-to-image network, for model diffusers",
    ("in_channels", 5): "that of Stable Diffusion 2 with depth, for model sd2_depth",
    ("in_channels", 8): "a network that reads a picture beside the noise, as that of model instruct_pix2pix",
    ("in_channels", 9): "an inpainting network, for model inpainting",
}
"""What a network is, by a field of its configuration and its value; for errors about unexpected networks."""
FAMILIES: dict[Any, str] = {
    768: " (as Stable Diffusion 1.x)",
    1024: " (as Stable Diffusion 2.x)",
    2048: " (as Stable Diffusion XL)",
}
"""Families of published UNets, by their `cross_attention_dim`; for errors."""


class Place(Protocol):
    """A folder and the variant of its weights; see `weights.Folder`."""

    @property
    def path(self) -> Path:
        """The folder."""
        ...

    @property
    def variant(self) -> str | None:
        """The variant of its weights, e.g. `fp16`; None for the plain files."""
        ...

    @property
    def single(self) -> Path | None:
        """A checkpoint of one file, whose weights are read in place of the folder's."""
        ...


@dataclass(frozen=True)
class Part:
    """What a recipe expects of a part of a folder: its class, and values of its configuration."""

    classes: tuple[str, ...] = ()
    """Names of the classes that are supported; empty, as for schedulers, where any class is."""
    library: str = "diffusers"
    """The library of the class, as in the index. Anything but diffusers and transformers is never imported."""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Required values of the configuration, by field: one value, or a tuple of the supported ones."""
    optional: bool = False


UNET = ("UNet2DConditionModel",)
CODEC = Part(("AutoencoderKL", "AutoencoderTiny", "AsymmetricAutoencoderKL"))
CLIP = Part(("CLIPTextModel", "CLIPTextModelWithProjection"), "transformers")
T5 = Part(("T5EncoderModel",), "transformers")
CLIP_TOKENIZER = Part(("CLIPTokenizer", "CLIPTokenizerFast"), "transformers")
T5_TOKENIZER = Part(("T5Tokenizer", "T5TokenizerFast"), "transformers")
SCHEDULER = Part()


@dataclass(frozen=True)
class Agree:
    """A rule: a number of one part's configuration equals the sum of numbers of others, e.g. the width of text.

    Each number is written `part.field`. Parts that the folder lacks count as 0.
    """

    one: str
    others: tuple[str, ...]
    because: str = "they are of unlike checkpoints"


TEXT_WIDTH = Agree("unet.cross_attention_dim", ("text_encoder.hidden_size", "text_encoder_2.hidden_size"))
"""The width of the text that a UNet reads is that of its text encoders together."""
STEERED = (
    *("cross_attention_dim", "block_out_channels", "layers_per_block", "in_channels", "addition_embed_type"),
    *("projection_class_embeddings_input_dim", "class_embed_type"),
)
"""Fields of their configurations in which a ControlNet and the network that it steers must be equal."""


@dataclass(frozen=True)
class Fingerprint:
    """What a recipe expects in a folder: a pipeline's parts, which are subfolders, or one network, the part ""."""

    what: str
    """Its name in a sentence, e.g. `InstructPix2Pix`."""
    parts: Mapping[str, Part]
    agree: tuple[Agree, ...] = ()
    unused: tuple[str, ...] = UNUSED
    """Parts that may be listed and are never loaded; a folder that lists any other unexpected part is refused."""
    scalars: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Required values of the index itself, by field."""
    own_pipeline: bool = False
    """Whether the index may name a pipeline's own code, which is never read, because parts are loaded one by one."""

    def check(self, folder: Place) -> dict[str, Json]:
        """Configurations by part. Raises SyncbenchError with cause and cure for a folder that is not of this kind."""
        if "" in self.parts:
            index: Json = {}
            kinds = {"": self._alone(folder.path)}
        else:
            index = read_index(folder.path, self.own_pipeline)
            kinds = listed(folder.path, index, self.unused)
            self._check_parts(folder.path, kinds)
        networks = {name: base for name, (library, _) in kinds.items() if (base := weights_name(name, library))}
        networks = {} if folder.single is not None else networks
        check_variant(folder.path, networks, folder.variant)
        configs = {name: config_of(folder.path, name) for name in kinds if not name.startswith("tokenizer")}
        for name, base in networks.items():
            check_weights(folder.path, name, base, folder.variant)
        for name in kinds:
            if name.startswith("tokenizer"):
                encoder = configs.get(name.replace("tokenizer", "text_encoder"), {})
                _check_tokenizer(folder.path, name, encoder, kinds[name][1])
            elif name.startswith("scheduler"):
                _check_scheduler(quoted(folder.path), configs[name])
        self._check_fields(folder.path, kinds, index, configs)
        return configs

    def _alone(self, path: Path) -> tuple[str, str]:
        """Library and class of a folder that is one network's own."""
        wanted = self.parts[""]
        if not is_file(path / "config.json"):
            whole = " (it is a whole pipeline's)" if is_file(path / "model_index.json") else ""
            raise SyncbenchError(
                f"{quoted(path)} is no folder of {self.what}: it has no config.json of its own{whole}; name the folder "
                "that has config.json and its weights"
            )
        config = read_object(path / "config.json")
        names = config.get("_class_name") or config.get("architectures")
        name = str(cast(list[Any], names)[0] if isinstance(names, list) and names else names)
        if name not in wanted.classes:
            held = f"holds a {quoted(name, 60)}" if names else "names no class in its config.json"
            raise SyncbenchError(f"{quoted(path)} is no {self.what}: it {held}, not a {' or '.join(wanted.classes)}")
        return wanted.library, name

    def _check_parts(self, path: Path, kinds: Mapping[str, tuple[str, str]]) -> None:
        for name in kinds:
            if name not in self.parts:
                raise SyncbenchError(
                    f"{quoted(path)} has a part '{quoted(name, 60)}', which would not be used: take the checkpoint "
                    "that it was added to"
                )
        for name, wanted in self.parts.items():
            if name not in kinds and not wanted.optional:
                raise SyncbenchError(f"{quoted(path)} lists no {name}, as {self.what} does: copy the whole folder")
        for name, (library, found) in kinds.items():
            wanted = self.parts[name]
            served = found in wanted.classes if wanted.classes else re.fullmatch(r"\w+Scheduler", found)
            if library != wanted.library or not served:
                raise SyncbenchError(
                    f"{quoted(path)} names {quoted(library, 60)}.{quoted(found, 60)} as its {name}, which is not "
                    f"{' or '.join(wanted.classes) or 'a scheduler'} of {wanted.library}; code from elsewhere is never "
                    "loaded"
                )

    def _check_fields(
        self, path: Path, kinds: Mapping[str, tuple[str, str]], index: Json, configs: Mapping[str, Json]
    ) -> None:
        facts = [("", name, index.get(name), value) for name, value in self.scalars.items()]
        for part in configs:
            values = self.parts[part].fields.items()
            facts += [(part, name, value_of(*kinds[part], configs[part], name), value) for name, value in values]
        for part, name, found, wanted in facts:
            served = cast(tuple[Any, ...], wanted) if isinstance(wanted, tuple) else (wanted,)
            if found not in served:
                known = CURES.get((name, found) if isinstance(found, int | str) else ("", None))
                raise SyncbenchError(
                    f"{quoted(path)} is not {self.what}: {f'its {part} has' if part else 'it has'} {name} = "
                    f"{quoted(found, 60)}, not {' or '.join(map(str, served))}{f'; that is {known}' if known else ''}"
                )
        for rule in self.agree:
            check_agreement(path, rule, kinds, configs)


def check_agreement(path: Path, rule: Agree, kinds: Mapping[str, tuple[str, str]], configs: Mapping[str, Json]) -> None:
    """Raise SyncbenchError for a folder whose configurations break `rule`."""

    def number(place: str) -> Any:
        part, _, name = place.partition(".")
        return value_of(*kinds[part], configs[part], name)

    known = [other for other in rule.others if other.partition(".")[0] in kinds]
    found, others = number(rule.one), [number(other) for other in known]
    if all(isinstance(one, int) for one in (found, *others)) and found != sum(others):
        raise SyncbenchError(
            f"{quoted(path)}: {rule.one} is {found}, and {' and '.join(known)} {'are' if others[1:] else 'is'} "
            f"{' and '.join(map(str, others))}: {rule.because}"
        )


def check_companion(
    addition: Place,
    base: Place,
    fields: Sequence[str],
    *,
    what: str,
    part: str = "unet",
    kinds: tuple[str, str] = ("ControlNetModel", "UNet2DConditionModel"),
) -> None:
    """Raise SyncbenchError for an addition (ControlNet, adapter) made for another network than the base's `part`.

    `fields` are those of both configurations that must be equal, `kinds` the classes of addition and network. The error
    names the first difference.
    """
    own, other = config_of(addition.path, ""), config_of(base.path, part)
    for name in fields:
        mine, theirs = value_of("diffusers", kinds[0], own, name), value_of("diffusers", kinds[1], other, name)
        if mine != theirs:
            family = FAMILIES if name == "cross_attention_dim" else {}
            mine, theirs = (f"{quoted(value, 60)}{family.get(value, '') if family else ''}" for value in (mine, theirs))
            raise SyncbenchError(
                f"the {what} in {quoted(addition.path)} was made for another network than that of {quoted(base.path)}: "
                f"it has {name} = {mine}, and the network has {theirs}; take a {what} and a base of one family"
            )


def _check_tokenizer(folder: Path, name: str, encoder: Json, kind: str) -> None:
    place = folder / name
    if kind.startswith("T5"):
        pieces = is_file(place / "spiece.model")
        if not pieces and not is_file(place / "tokenizer.json"):
            raise SyncbenchError(
                f"{quoted(folder)} has no vocabulary for its {name} ({name}/tokenizer.json or spiece.model): copy the "
                "whole pipeline folder"
            )
        if pieces and not is_file(place / "tokenizer.json") and find_spec("sentencepiece") is None:
            raise SyncbenchError(
                f"{quoted(folder)} has its {name} as spiece.model only, which takes the package sentencepiece to read: "
                "pip install sentencepiece protobuf"
            )
        return
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
    """Largest number of tokens that a text encoder reads; 77, as CLIP, where its configuration does not say."""
    found = encoder.get("max_position_embeddings", 77)
    return found if isinstance(found, int) else 77


def _check_scheduler(name: str, scheduler: Json) -> None:
    kind = scheduler.get("prediction_type", "epsilon")
    if kind not in PREDICTIONS:
        raise SyncbenchError(f"{name} predicts '{quoted(kind, 40)}': served are {', '.join(PREDICTIONS)}")
    for key in ("beta_start", "beta_end"):
        value = scheduler.get(key, 0.01)
        if not (isinstance(value, int | float) and 0 < value < 1):
            raise SyncbenchError(f"{name}: scheduler_config.json: {key} = {quoted(value, 40)} is not between 0 and 1")
    steps = scheduler.get("num_train_timesteps", 1000)
    if not isinstance(steps, int) or not 1 <= steps <= 100_000:
        raise SyncbenchError(
            f"{name}: scheduler_config.json: num_train_timesteps = {quoted(steps, 40)} is not from 1 to 100,000"
        )
