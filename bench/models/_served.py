"""A diffusers Stable Diffusion pipeline (1.x, 2.x, XL) served as a model: its parts are used, its loop is not."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
import warnings
from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..attention import replaced
from ..schedule import Level, Prediction, Schedule
from ..types import SyncbenchError
from ._denoiser import Denoiser, Precision
from .interface import Condition

PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "flow_prediction": "flow"}
PIXELS = 2**20
"""Pixels coded in one call unless a single image is larger; bounds memory, does not change the result."""


class Served(Denoiser):
    """Subclasses build the pipeline; it is loaded when first needed.

    The network runs in `dtype`; text encoders, codec, guidance and latents between calls stay in float32 (or
    float64 with a float64 network), because half-precision images would be coarser than the PNGs they end in.
    """

    capabilities = frozenset({"text", "attention"})

    def __init__(self, device: str, dtype: Precision, batch: int) -> None:
        super().__init__(device, dtype, batch)
        self._texts: dict[str, dict[str, Tensor]] = {}

    @abstractmethod
    def _load(self) -> Any:
        """The diffusers pipeline, anywhere and in any precision."""

    @cached_property
    def pipeline(self) -> Any:
        """The diffusers pipeline, on the device, frozen, in evaluation mode."""
        with quiet():
            pipe = self._load()
            for name, part in pipe.components.items():
                if isinstance(part, torch.nn.Module):
                    dtype = self.precision if name == "unet" else self.dtype
                    part.eval().requires_grad_(False).to(device=self.device, dtype=dtype)
        if self.device.type == "cuda":  # on the CPU this layout is slower, by up to 22 %
            pipe.unet.to(memory_format=torch.channels_last)
        return pipe

    def read(self, prompt: str) -> float:
        """Fraction of the prompt's tokens that the text encoder has places for, in (0, 1]."""
        tokenizer = self.pipeline.tokenizer or self.pipeline.tokenizer_2
        count = len(tokenizer(prompt, truncation=False, verbose=False).input_ids) - 2  # marks of beginning and end
        return min(1.0, (tokenizer.model_max_length - 2) / max(1, count))

    def ready(self) -> None:
        """Load the pipeline."""
        _ = self.pipeline

    @property
    def factor(self) -> int:
        """Pixels to a latent cell."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def channels(self) -> int:
        """Latent channels."""
        unet, vae = self.pipeline.unet.config, self.pipeline.vae.config
        if unet.in_channels != vae.latent_channels:
            raise SyncbenchError(
                f"model {self.id} takes {unet.in_channels} input channels but has {vae.latent_channels} latent ones: "
                "checkpoints with extra image inputs (inpainting, depth) are not text-to-image models"
            )
        return int(unet.in_channels)

    @property
    def window(self) -> int:
        """Native image size in pixels; the longer side where it is not square."""
        size: Any = self.pipeline.unet.config.sample_size
        return (max(size) if isinstance(size, list | tuple) else int(size)) * self.factor

    @cached_property
    def prediction(self) -> Prediction:
        """What the network predicts, by its scheduler's word."""
        scheduler = self.pipeline.scheduler
        if "FlowMatch" in type(scheduler).__name__:
            return "flow"
        kind = scheduler.config.get("prediction_type", "epsilon")
        if kind not in PREDICTIONS:
            raise SyncbenchError(f"model {self.id} predicts '{kind}': served are {', '.join(PREDICTIONS)}")
        return PREDICTIONS[kind]

    def schedule(self, steps: int) -> Schedule:
        """DDIM's or flow matching's noise levels, from the pipeline's own scheduler configuration.

        Each step ends where the next one starts. DDIMScheduler steps to t - T // n, which is the same unless
        `trailing` or `linspace` spacing meets a number of steps that does not divide T.
        """
        config = self.pipeline.scheduler.config
        if not 1 <= steps <= config.num_train_timesteps:
            raise SyncbenchError(f"{steps} denoising steps: model {self.id} has 1 to {config.num_train_timesteps}")
        if self.prediction == "flow":
            return _flow_levels(config, steps)
        library: Any = import_module("diffusers")
        scheduler = library.DDIMScheduler.from_config(config)
        scheduler.set_timesteps(steps)
        times = [int(t) for t in scheduler.timesteps]
        bars = [*scheduler.alphas_cumprod[times].tolist(), float(scheduler.final_alpha_cumprod)]
        if not all(0 <= bar <= 1 for bar in bars):
            raise SyncbenchError(f"the scheduler of model {self.id} has noise levels outside [0, 1]: repair its folder")
        if self.prediction == "eps" and min(bars) < 1e-8:
            raise SyncbenchError(
                f"model {self.id} predicts noise but starts where nothing else is left (zero terminal SNR), which "
                "tells nothing of the picture: set rescale_betas_zero_snr to false in its scheduler_config.json"
            )
        return Schedule(tuple(map(float, times)), tuple(b**0.5 for b in bars), tuple((1 - b) ** 0.5 for b in bars))

    def condition(self, prompts: Sequence[str], guidance: float, negative: str = "", **inputs: Tensor) -> Condition:
        """Text embeddings, one row per prompt; each text is encoded once and kept."""
        self.refuse(inputs)
        positive = [self._text(prompt) for prompt in prompts]
        rows = {key: torch.cat([row[key] for row in positive]) for key in positive[0]}
        if guidance == 1.0:
            return Condition(guidance, rows, views=len(prompts))
        config = self.pipeline.config
        if not negative and config.get("force_zeros_for_empty_prompt", False):
            empty = {key: torch.zeros_like(value) for key, value in rows.items()}
        else:
            empty = {key: v.expand(len(prompts), *v.shape[1:]) for key, v in self._text(negative).items()}
        return Condition(guidance, rows, empty, len(prompts))

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] to latents, the mean where the codec has a distribution."""
        self.cost.encodes += len(images)
        vae = self.pipeline.vae
        latents: list[Tensor] = []
        for part in images.to(self.device, self.dtype).split(self._at_once(*images.shape[-2:])):
            code = vae.encode(part * 2 - 1)
            latents.append(code.latents if hasattr(code, "latents") else code.latent_dist.mode())
        scale, shift = self._codec_range
        return (torch.cat(latents) - shift) * scale

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Latents of any height and width to images in [0, 1], each in one call. Differentiable inside the range."""
        height, width = (side * self.factor for side in latents.shape[-2:])
        self.cost.decodes += len(latents) * self.views_in(height, width)
        scale, shift = self._codec_range
        parts = (latents / scale + shift).split(self._at_once(height, width))
        images = torch.cat([self.pipeline.vae.decode(part).sample for part in parts])
        return (images / 2 + 0.5).clamp(0, 1)

    def attach(
        self, processor: Callable[[str, Any], Any], where: Callable[[str, Any], bool] | None = None
    ) -> AbstractContextManager[Any]:
        """Attention processors for the denoising network; see `bench.attention.replaced`."""
        return replaced(self.pipeline.unet, processor, where)

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        halves = [condition.negative, condition.positive] if condition.guided else [condition.positive]
        text = {key: torch.cat([half[key] for half in halves]) for key in halves[0]}
        with self.calling(level, len(halves), len(x)):
            output = self._network(torch.cat([x] * len(halves)), level.t, text)
        if condition.guided:
            negative, positive = output.chunk(2)
            output = negative + condition.guidance * (positive - negative)
        return level.split(x, output, self.prediction)

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        """Raw network output, one row per row of `x`."""
        unet = self.pipeline.unet
        extra = {"added_cond_kwargs": self._size_condition(x, text)} if "pooled" in text else {}
        return unet(x.to(self.precision), t, text["text"].to(self.precision), **extra).sample.to(self.dtype)

    def _size_condition(self, x: Tensor, text: dict[str, Tensor]) -> dict[str, Tensor]:
        """SDXL's extra inputs: pooled text, and (original size, crop corner, target size) for uncropped views."""
        height, width = (side * self.factor for side in x.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=self.dtype, device=self.device)
        return {"text_embeds": text["pooled"].to(self.precision), "time_ids": sizes.expand(len(x), -1)}

    @cached_property
    def _codec_range(self) -> tuple[float, float]:
        config = self.pipeline.vae.config
        scale = config.get("scaling_factor")
        if scale is not None and not 0 < scale < float("inf"):
            raise SyncbenchError(f"the codec of model {self.id} has scaling_factor = {scale}: it must be above 0")
        return float(1.0 if scale is None else scale), float(config.get("shift_factor") or 0.0)

    def _at_once(self, height: int, width: int) -> int:
        return max(1, PIXELS // (height * width))

    @torch.no_grad()
    def _text(self, text: str) -> dict[str, Tensor]:
        """Embeddings of one text: `text` (1, tokens, dim) and, for SDXL, `pooled` (1, dim)."""
        if text not in self._texts:
            found = self.pipeline.encode_prompt(
                text, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
            self._texts[text] = {"text": found[0], "pooled": found[2]} if len(found) == 4 else {"text": found[0]}
        return self._texts[text]


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars, advice or deprecation notes from the libraries while they load."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.set_verbosity(logging.ERROR)
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for library, (verbosity, bar) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            if bar:
                library.enable_progress_bar()


def _flow_levels(config: Any, steps: int) -> Schedule:
    """x = (1 - sigma) x0 + sigma eps at the scheduler's sigmas."""
    library: Any = import_module("diffusers")
    if config.get("use_dynamic_shifting", False):
        raise SyncbenchError("the scheduler shifts its times with resolution, which views of one canvas cannot share")
    # Schedulers of other families that run flow models call the same number `flow_shift`.
    shift = config.get("flow_shift", None) or config.get("shift", None) or 1.0
    scheduler = library.FlowMatchEulerDiscreteScheduler.from_config(config, shift=shift)
    scheduler.set_timesteps(steps)
    sigmas: list[float] = scheduler.sigmas.tolist()
    return Schedule(tuple(scheduler.timesteps.tolist()), tuple(1 - sigma for sigma in sigmas), tuple(sigmas))
