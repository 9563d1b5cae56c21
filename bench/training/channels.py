"""Train a channel model: `channels_joint`, `channels_prompted` or `channels_to_rgb`.

Each is a small UNet whose input is noisy and given latents. These networks translate a picture and its channels into
each other at the same pixel, which needs a far smaller network than text to image: they are half as wide as the base,
without attention at full resolution, and start from random weights. Only codec and text encoder are the base's. A
`Recipe` names the inputs and outputs of one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ..models.parts.library import quiet
from ..types import SyncbenchError
from ..world.truth import CHANNELS
from .base import SHIPPED
from .loop import Plan, is_first, launch, train, where
from .scenes import Scenes, prepare, scenes
from .start import Noise, Words, check, place, save

RIG = "single"
LEAN = 0.5
"""See `Noise.times`. The picture determines its channels, so a network has to find them when the noise is strongest;
after that there is little to do."""
LOST = 0.3
"""Probability with which `channels_to_rgb` is not given a channel in training."""


class Drawn(NamedTuple):
    """A batch of training data."""

    clean: Tensor
    """Latents to be denoised, (n, c, h, w)."""
    given: Tensor
    """Latents that are given to the network, (n, d, h, w)."""
    words: Tensor
    """Index of the prompt of each, (n,)."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Inputs and outputs of a channel model, and the drawing of its batches."""

    name: str
    given: int
    """Number of given pictures in the network's input."""
    made: int
    """Number of pictures that are denoised."""
    attended: bool
    """Whether layers at half resolution have attention, too."""
    draw: Callable[[Scenes, Tensor, torch.Generator], Drawn]
    """(scenes, indices (n,), generator) -> a batch of these scenes."""
    prompts: tuple[str, ...] | None
    """Prompts from which `draw` picks; None: the scenes' captions."""
    drop: float = 0.0
    """Fraction of the prompts that is replaced by the empty one."""
    held_out: int = 24
    """Number of held-out pictures on which the card's figures are measured."""

    def build(self, latent: int, words: int) -> Any:
        """The network, for `latent` channels of a picture's latent and `words` numbers in a token's embedding."""
        return build(self.given * latent, self.made * latent, self.attended, words)

    def main(
        self,
        out: Path,
        steps: int = 4_000,
        minutes: float | None = None,
        resume: bool = True,
        seed: int = 0,
        base: Path = SHIPPED,
        data: Path | None = None,
        number: int = 3072,
        size: int = 64,
        rate: float = 2e-3,
        save_every: int = 200,
        processes: int = 2,
        device: str = "auto",
        measured: int | None = None,
        start: Path | None = None,
    ) -> None:
        """Train on `number` pictures, `size` a step; leaves the network in ``out / "model"``.

        `start` is the folder of an earlier network of this kind to continue from, e.g. the shipped one after the base
        has changed. `data` holds the rendered pictures (default: beside `out`, shared by the channel trainers). On
        `measured` held-out pictures (default: `held_out`) the card's figures are measured; 0 leaves it out.
        """
        codec, data = check(base), data or out.parent / "shots"
        device, processes = where(device, processes)
        prepare(data, RIG, seed + 8, number, codec, processes)
        plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, tail=0.5, device=device)
        plan.warmup, plan.average, plan.log_every = 100, 0.995, 20
        launch(_run, processes, plan, self, base, data, number, size // processes, start)
        measured = self.held_out if measured is None else measured
        if measured:
            from .channel_figures import channels_card, recomposed_card

            if self.given > 1:
                recomposed_card(out, base, measured, device)
            else:
                channels_card(self.name, out, base, measured, device)


def build(given: int, made: int, attended: bool, words: int, widths: tuple[int, ...] = (48, 64, 64)) -> Any:
    """A UNet of `given` and `made` latent channels; `attended`: with attention at half resolution, too.

    `words` is the size of the text encoder's embeddings.
    """
    plain = [not (attended and i == 1) for i in range(len(widths))]
    unet: Any = UNet2DConditionModel(
        sample_size=16,
        in_channels=given + made,
        out_channels=made,
        block_out_channels=widths,
        down_block_types=tuple("DownBlock2D" if p else "CrossAttnDownBlock2D" for p in plain),
        up_block_types=tuple("UpBlock2D" if p else "CrossAttnUpBlock2D" for p in reversed(plain)),
        layers_per_block=1,
        cross_attention_dim=words,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return unet


def continued(unet: Any, start: Path) -> Any:
    """The network `unet` with the weights of the model folder `start`.

    Raises SyncbenchError for a folder that holds no network of the same shape.
    """
    try:
        with quiet():
            earlier: Any = UNet2DConditionModel.from_pretrained(
                start, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
        unet.load_state_dict(earlier.state_dict())
    except (OSError, ValueError, RuntimeError) as error:
        raise SyncbenchError(f"'{start}' holds no network of this kind to continue from") from error
    return unet


def _run(plan: Plan, recipe: Recipe, base: Path, data: Path, number: int, size: int, start: Path | None = None) -> None:
    torch.manual_seed(plan.seed)
    singles = scenes(data, RIG, plan.seed + 8, number)
    words = Words(base, singles.captions if recipe.prompts is None else list(recipe.prompts))
    noise = Noise()
    built = recipe.build(singles.rgb.shape[2], words.size)
    unet = place(built if start is None else continued(built, start), plan, trained=True)

    def loss(step: int, random: torch.Generator) -> dict[str, Tensor]:
        pick = torch.randint(len(singles.captions), (size,), generator=random)
        batch = recipe.draw(singles, pick, random)
        t = noise.times(size, random, LEAN)
        noisy, target = noise.mix(batch.clean, t, random)
        rows = torch.cat([noisy, batch.given], 1).to(plan.device, memory_format=torch.channels_last)
        text = words(batch.words, random, recipe.drop).to(plan.device)
        with plan.half():
            found = unet(rows, t.to(plan.device), text).sample
        error = (found.float() - target.to(plan.device)).square().mean((1, 2, 3))
        return {"loss": error.mean(), "noisy_half": error[size // 2 :].mean()}

    train(unet, loss, plan).swap()
    if is_first():
        save(unet.eval(), plan.out / "model")


def _all_channels(singles: Scenes, pick: Tensor, random: torch.Generator) -> Drawn:
    """A batch in which all channels are clean latents and the picture is given; the text is the empty one."""
    return Drawn(singles.channels(pick).flatten(1, 2), singles.rgb[pick, 0].float(), torch.zeros_like(pick))


def _one_channel(singles: Scenes, pick: Tensor, random: torch.Generator) -> Drawn:
    """A batch of one random channel of each picture, with its name as the prompt."""
    chosen = torch.randint(len(CHANNELS), pick.shape, generator=random)
    made = singles.channels(pick)[torch.arange(len(pick)), chosen]
    return Drawn(made, singles.rgb[pick, 0].float(), chosen)


def _picture(singles: Scenes, pick: Tensor, random: torch.Generator) -> Drawn:
    """A batch of pictures, given some of their channels, with their captions."""
    kept = torch.rand(len(pick), len(CHANNELS), 1, 1, 1, generator=random) >= LOST
    return Drawn(singles.rgb[pick, 0].float(), (singles.channels(pick) * kept).flatten(1, 2), pick)


JOINT = Recipe(name="channels_joint", given=1, made=3, attended=True, draw=_all_channels, prompts=("",))
"""Albedo, normal and shading of a picture, denoised together: Marigold-IID's layout (arXiv 2505.09358), but smaller,
and with all targets in one model. It reads the three noisy latents and the picture's, stacked, and predicts the
three at once."""
PROMPTED = Recipe(name="channels_prompted", given=1, made=1, attended=True, draw=_one_channel, prompts=CHANNELS)
"""One channel of a picture, chosen by the prompt, as in RGB-to-X (arXiv 2405.00666). Each channel is a run of its own,
so nothing but the picture makes channels agree."""
TO_RGB = Recipe(
    name="channels_to_rgb",
    given=3,
    made=1,
    attended=False,
    draw=_picture,
    prompts=None,
    drop=LOST,
    held_out=48,
)
"""A picture from its channels, as in X-to-RGB (arXiv 2405.00666). Each channel is left out with probability `LOST` (a
latent of zeros), independently, and so is the caption: whatever is given at sampling time was seen in training."""
