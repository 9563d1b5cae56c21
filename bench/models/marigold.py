"""Marigold: depth, normals, or intrinsic channels of a picture, the targets of one checkpoint denoised together.

Ke et al. 2024, arXiv 2312.02145 (depth); Ke, Qu, Wang, Metzger, Obukhov et al. 2025, arXiv 2505.09358 (all four).
Checkpoints: `prs-eth/marigold-depth-v1-1`, `-normals-v1-1`, `-iid-appearance-v1-1` (albedo and material),
`-iid-lighting-v1-1` (albedo, shading and residual). Depth is 0 near and 1 far, known up to scale and shift. Material
has roughness, metallicity and an empty channel; its values are used as sRGB, though the checkpoint calls them linear.
Left out: ensembles, and the distilled depth-lcm, whose sampler draws fresh noise.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from ..errors import SyncbenchError, quoted
from .parts.channels import Channel
from .parts.composed import Parts
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, CODEC, TEXT_WIDTH, UNET, Fingerprint, Part
from .parts.pictures import Picture
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.texts import Silence
from .parts.wrappers import Concatenated, Stacked

NATIVE = 768
"""Pixels along the longer side (`default_processing_resolution`)."""
ALONE = {"MarigoldDepthPipeline": Channel("depth", "grey"), "MarigoldNormalsPipeline": Channel("normal", "normal")}
"""The only target of pipelines that have no `target_properties`."""


class Marigold(Recipe):
    """Condition `image`: (1, 3, H, W). Views are the checkpoint's targets in its order; prompts have no effect."""

    id = "marigold"
    paper: ClassVar[str] = "2505.09358"
    licence: ClassVar[str] = "RAIL++-M"
    fingerprint = Fingerprint(
        "a Marigold checkpoint",
        {
            "unet": Part(UNET, fields={"class_embed_type": None}),
            "vae": CODEC,
            "text_encoder": CLIP,
            "tokenizer": CLIP_TOKENIZER,
            "scheduler": Part(("DDIMScheduler",), fields={"prediction_type": "v_prediction"}),
        },
        (TEXT_WIDTH,),
        scalars={"_class_name": (*ALONE, "MarigoldIntrinsicsPipeline")},
    )

    def parts(self) -> Parts:
        """The network reads the picture's latent, then those of the targets; its text is empty, of two tokens."""
        found, targets = StableDiffusion(self.source), targets_of(self.source.index)
        unet, codec, count = self.source.config("unet"), found.codec, len(targets)
        wanted = (1 + count) * codec.channels, count * codec.channels
        if (unet.get("in_channels"), unet.get("out_channels")) != wanted:
            raise SyncbenchError(
                f"{quoted(self.source.path)} is no Marigold of {', '.join(one.name for one in targets)}: its unet has "
                f"{unet.get('in_channels')} channels in and {unet.get('out_channels')} out, not {wanted[0]} and "
                f"{wanted[1]}; copy unet and model_index.json of one checkpoint"
            )
        return Parts(
            network=Stacked(Concatenated(found.unet, before=("image",)), views=count),
            conditioners=(Silence(found.text, short=True), Picture(per=count)),
            codec=codec,
            levels=found.levels,
            window=NATIVE,
            folders={"pipeline": found.revision()},
            places=(count, count),
            channels=targets,
        )


def targets_of(index: Mapping[str, Any]) -> tuple[Channel, ...]:
    """The targets that a checkpoint's `model_index.json` names. Raises SyncbenchError where it names none."""
    kind = str(index.get("_class_name"))
    if kind in ALONE:
        return (ALONE[kind],)
    properties: Any = index.get("target_properties")
    names: Any = cast(Any, properties).get("target_names") if isinstance(properties, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in cast(Any, names)):
        raise SyncbenchError("model_index.json has no target_properties with target_names: copy it from the checkpoint")

    def space(name: str) -> Any:
        said: Any = properties.get(name)
        return cast(Any, said).get("prediction_space") if isinstance(said, dict) else None

    return tuple(Channel(name, "linear" if space(name) == "linear" else "suite") for name in cast(list[str], names))
