"""Checks that a folder holds a complete text-to-image pipeline of Stable Diffusion 1.x, 2.x or XL; see `fingerprint`.

Faults that files do not show (NaN in the weights, say) are found by `Composed.ready`, which runs the loaded pipeline
once.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from ...errors import SyncbenchError, quoted
from .described import Json, listed, read_index
from .fingerprint import CLIP, CLIP_TOKENIZER, CODEC, SCHEDULER, UNET, Fingerprint, Part, Place

INPUTS = {
    "class_embed_type": "class labels",
    "num_class_embeds": "class labels",
    "encoder_hid_dim": "other embeddings than a text encoder's",
    "encoder_hid_dim_type": "other embeddings than a text encoder's",
}
"""Fields of a network's configuration that require inputs which Syncbench does not give, and names of these inputs."""
PIPELINES = {
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
    "PixArtSigmaPipeline": "pixart",
    "StableDiffusionDepth2ImgPipeline": "sd2_depth",
    "StableDiffusionInstructPix2PixPipeline": "instruct_pix2pix",
    "StableDiffusionInpaintPipeline": "inpainting",
    "StableDiffusionXLInpaintPipeline": "inpainting",
}
"""Classes of pipelines, and the ids of the models here that serve them."""


def check_folder(folder: Place) -> None:
    """Raise SyncbenchError, with cause and cure, for a folder whose pipeline cannot be loaded or is not supported."""
    index = read_index(folder.path)
    parts, name = listed(folder.path, index), quoted(folder.path)
    if parts.get("unet", ("", ""))[1] not in UNET or "vae" not in parts:
        kind = index.get("_class_name", "pipeline")
        raise SyncbenchError(
            f"{name} holds a {quoted(kind, 60)} without the UNet and codec of Stable Diffusion 1.x, 2.x or XL, the "
            f"classes this model serves{_instead(index)}"
        )
    if "depth_estimator" in parts:
        raise SyncbenchError(f"{name} reads depth beside the text{_instead(index)}")
    configs = Fingerprint(
        "Stable Diffusion",
        {
            "unet": Part(UNET),
            "vae": CODEC,
            "text_encoder": replace(CLIP, optional="text_encoder_2" in parts),
            "text_encoder_2": replace(CLIP, optional=True),
            "tokenizer": replace(CLIP_TOKENIZER, optional="tokenizer_2" in parts),
            "tokenizer_2": replace(CLIP_TOKENIZER, optional=True),
            "scheduler": SCHEDULER,
        },
    ).check(folder)
    _check_fit(name, index, configs)


def _instead(index: Json) -> str:
    """The model that serves the folder, as the end of a sentence; empty where none is known."""
    other = PIPELINES.get(str(index.get("_class_name")))
    return f": use --model {other} --set model.path=FOLDER" if other else ""


def _check_fit(name: str, index: Json, configs: Mapping[str, Json]) -> None:
    """Raise unless the parts fit each other and the network's inputs are a text and, for XL, sizes."""
    unet, vae = configs["unet"], configs["vae"]
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
            f"text-to-image models{_instead(index)}"
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


def _plain_sizes(unet: Json, configs: Mapping[str, Json]) -> bool:
    """Whether an XL network takes six sizes beside the pooled text, and no score."""
    wide, one = unet.get("projection_class_embeddings_input_dim"), unet.get("addition_time_embed_dim", 256)
    pooled: Any = configs.get("text_encoder_2", {}).get("projection_dim", 1280)
    return not all(isinstance(number, int) for number in (wide, one, pooled)) or wide == 6 * one + pooled
