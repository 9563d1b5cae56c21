"""Parity with diffusers' own pipelines: same weights, same noise, same scheduler, compared in latents."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionPanoramaPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from syncbench.bench.models.tiny import Kind, Tiny
from syncbench.bench.sampling.loop import Noise, Sync
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Artifact, Item, Sampling
from syncbench.methods.overlap.multidiffusion import MultiDiffusion

PROMPT, SIDE, STEPS, GUIDANCE, SEED = "a red boat on a lake", 16, 4, 5.0, 7


def model_of(kind: Kind) -> Tiny:
    return Tiny(kind=kind, sample_size=SIDE, device="cpu", batch=3)


def item_of(model: Tiny, width: int, negative: str = "", eta: float = 0.0) -> Item:
    sampling = Sampling(steps=STEPS, guidance=GUIDANCE, negative=negative, eta=eta)
    strip = Strip(model.window, width * model.factor, model.window)
    return Item(id="one", family="overlap", prompts=(PROMPT,), surface=strip, protocol=sampling)


def ours(method: type[Sync], model: Tiny, item: Item, **fields: Any) -> torch.Tensor:
    """The finished canvas latents of a method."""

    @dataclass(frozen=True, kw_only=True)
    class Kept(method):  # type: ignore[misc, valid-type]
        latents: ClassVar[list[torch.Tensor]] = []

        def finish(self, state: Any, *rest: Any) -> Artifact:
            self.latents.append(state)
            return super().finish(state, *rest)

    Kept(**fields)(item, model, SEED)
    return Kept.latents[0][None]


def theirs(pipeline: type[Any], model: Tiny, item: Item, **options: Any) -> torch.Tensor:
    """The latents of a diffusers pipeline made of the model's parts, from the loop's own noise."""
    parts = dict(model.pipeline.components)
    parts["scheduler"] = DDIMScheduler.from_config(parts["scheduler"].config)
    pipe = pipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    noise = Noise(item.surface.canvas(model.factor, 0.25), model, SEED)()
    height, width = (side * model.factor for side in noise.shape[-2:])
    call: dict[str, Any] = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "latent"}
    return pipe(PROMPT, height=height, width=width, latents=noise[None], **call, **options).images


class Panorama(StableDiffusionPanoramaPipeline):
    """The deprecated pipeline with windows that suit a tiny network."""

    def get_views(self, panorama_height: int, panorama_width: int, *rest: Any, **options: Any) -> Any:
        return super().get_views(panorama_height, panorama_width, SIDE, SIDE // 4, **options)


@pytest.mark.parametrize("kind", ["sd15", "sd21"])
def test_multidiffusion_is_the_panorama_pipeline(kind: Kind) -> None:
    model = model_of(kind)
    item = item_of(model, 3 * SIDE, "fog")
    expected = theirs(Panorama, model, item, view_batch_size=2, negative_prompt="fog")
    found = ours(MultiDiffusion, model, item, stride=0.25)
    assert found.shape == expected.shape == (1, 4, SIDE, 3 * SIDE)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    other = ours(MultiDiffusion, model, item, stride=0.5)
    assert (other - expected).abs().max() > 1e-2, "the comparison cannot tell strides apart"


@pytest.mark.parametrize("kind", ["sd15", "sd21", "reference"])
def test_one_window_is_the_plain_pipeline(kind: Kind) -> None:
    model = model_of(kind)
    item = item_of(model, SIDE)
    expected = theirs(StableDiffusionPipeline, model, item)
    torch.testing.assert_close(ours(MultiDiffusion, model, item), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("negative", ["", "fog"])
def test_one_window_is_the_plain_xl_pipeline(negative: str) -> None:
    model = model_of("sdxl")
    item = item_of(model, SIDE, negative)
    expected = theirs(StableDiffusionXLPipeline, model, item, negative_prompt=negative or None)
    torch.testing.assert_close(ours(MultiDiffusion, model, item), expected, atol=1e-4, rtol=0)


def test_decoded_images_agree() -> None:
    model = model_of("sd15")
    latents = torch.randn(1, 4, SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(SEED))
    pipe = model.pipeline
    raw = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    expected = pipe.image_processor.postprocess(raw, output_type="pt")
    torch.testing.assert_close(model.decode(latents), expected, atol=1e-6, rtol=0)
