"""Fingerprint, noise levels and linear light of RGB-to-X and X-to-RGB (Zeng et al. 2024, arXiv 2405.00666)."""

from .channels import Channel
from .fingerprint import CLIP, CLIP_TOKENIZER, CODEC, TEXT_WIDTH, UNET, Fingerprint, Part

LEVELS = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
"""Fields with which the released code rebuilds the scheduler, whatever its file says."""


def fingerprint(name: str, channels: int) -> Fingerprint:
    """The fingerprint of a folder whose UNet reads `channels` channels; `name` is for errors."""
    return Fingerprint(
        name,
        {
            "unet": Part(UNET, fields={"in_channels": channels, "out_channels": 4, "class_embed_type": None}),
            "vae": CODEC,
            "text_encoder": CLIP,
            "tokenizer": CLIP_TOKENIZER,
            "scheduler": Part(fields={"prediction_type": "v_prediction"}),
        },
        (TEXT_WIDTH,),
        own_pipeline=True,
    )


light = Channel("image", "gamma").given
"""Linear light of an sRGB picture in [0, 1], as in the released code: levels to the power 2.2."""
