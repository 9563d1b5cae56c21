"""Train `views`: a UNet that denoises several views of one object together, as in MVDream (arXiv 2308.16512).

The network is the base with two additions: self-attention spans all views of a scene (`B F H W C -> B (F H W) C`,
no new weights) and a camera of 16 numbers passes a small MLP into the time embedding. The algorithm of the paper,
`MultiView.loss`, per iteration:

1. with probability `share` = 0.7 take scenes with 4 orthogonal views, their cameras and caption; otherwise 4 times
   as many independent images with captions and no camera, each attending to itself alone;
2. draw one time a scene and noise for every view; denoise all views of a scene together;
3. the squared error. The paper's is of the noise, `||eps - eps_theta(x_t; y, c, t)||^2`; the base predicts
   v = a eps - b x0, so here it is of v, which weighs the same error by 1 / a^2 (eps' - eps = a (v' - v)).
   `objective="eps"` puts the paper's weight back.

The same trainer takes views of your own, `captures`, which are then the scenes of step 1; where no other pictures are
given (`flat`), the independent images of step 1 are these views one by one, without their cameras. `camera_drop` leaves
out the cameras of some scenes, whose views still attend to each other, so that the network makes views that agree
without knowing from where.

Differences to the paper: "no camera" is a camera of zeros, because diffusers' class requires one; the MLP's last layer
starts at zero, so that training starts from the base; captions get no ", 3d asset".

What views have to agree on is what the caption leaves open: the exact colours, the light, and where the object's
pattern begins, which differs from scene to scene. The log's `disagreement` says how well they do; see `disagreement`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..files.writing import write_whole
from ..models.parts.cameras import orbit_numbers
from ..models.parts.joint import joint
from ..models.views import PROMPTS
from ..types import SyncbenchError
from .base import SHIPPED
from .captures import own_scenes, read_scenes
from .loop import Plan, generator, is_first, launch, train, where
from .resumed import CAPTURES, of_one_run
from .saved import read as saved
from .scenes import Scenes, prepare, scenes
from .start import Noise, Words, altered, check, network, place, save
from .stream import latents

RIG = "orbit4"


def build(base: Path) -> Any:
    """The base's UNet with a camera MLP whose output is still zero."""
    unet = altered(network(base), class_embed_type="projection", projection_class_embeddings_input_dim=16)
    nn.init.zeros_(unet.class_embedding.linear_2.weight)
    nn.init.zeros_(unet.class_embedding.linear_2.bias)
    return unet


@dataclass(frozen=True, kw_only=True)
class MultiView:
    """MVDream's training step for any UNet whose `class_labels` take 16 numbers."""

    unet: Any
    noise: Noise
    plan: Plan
    objective: Literal["v", "eps"] = "v"
    lean: float = 1.0
    """See `Noise.times`."""

    def loss(self, x: Tensor, words: Tensor, camera: Tensor | None, random: torch.Generator) -> dict[str, Tensor]:
        """`loss`, the mean squared error on clean latents x (scenes, views, c, h, w); words (scenes, tokens, dim).

        camera: (scenes, views, 16), or None for independent images, which have one view a scene. With cameras also
        `disagreement` of the clean latents that the network believes in.
        """
        scenes, views = x.shape[:2]
        if camera is None:
            camera = torch.zeros(scenes, views, 16)
        t = self.noise.times(scenes, random, self.lean)
        noisy, target = self.noise.mix(x, t, random)
        device = self.plan.device
        rows = noisy.flatten(0, 1).to(device, memory_format=torch.channels_last)
        with self.plan.half(), joint(self.unet, views):
            found = self.unet(
                rows,
                t.repeat_interleave(views).to(device),
                words.repeat_interleave(views, 0).to(device),
                class_labels=camera.flatten(0, 1).to(device),
            ).sample
        found = found.float()
        error = (found - target.flatten(0, 1).to(device)).square().mean((1, 2, 3))
        if self.objective == "eps":
            error = error * self.noise.bars[t].repeat_interleave(views).to(device)
        if views == 1:
            return {"loss": error.mean()}
        bar = self.noise.bars[t].view(-1, 1, 1, 1, 1).to(device)
        clean = bar.sqrt() * noisy.to(device) - (1 - bar).sqrt() * found.detach().unflatten(0, (scenes, views))
        return {"loss": error.mean(), "disagreement": disagreement(clean, x.to(device))}


def disagreement(found: Tensor, true: Tensor) -> Tensor:
    """How wrongly views differ in colour: RMS over scenes, views and channels of latents (scenes, views, c, h, w).

    A view's colour is the mean of its latent; what is compared is its deviation from the mean colour of its scene, so
    that views which are all wrong alike agree.
    """
    colours = found.mean((3, 4)) - true.mean((3, 4))
    return (colours - colours.mean(1, keepdim=True)).square().mean().sqrt()


def main(
    out: Path,
    steps: int = 4_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    base: Path = SHIPPED,
    data: Path | None = None,
    number: int = 4096,
    flat: Path | None = None,
    flat_number: int = 4096,
    size: int = 32,
    share: float = 0.7,
    objective: Literal["v", "eps"] = "v",
    lean: float = 0.7,
    rate: float = 4e-4,
    save_every: int = 100,
    processes: int = 2,
    device: str = "auto",
    measured: int = 24,
    captures: Path | None = None,
    prompt: str = "",
    views: int = 4,
    sets: int = 1,
    up: Literal["x", "y", "z"] = "z",
    camera_drop: float = 0.0,
) -> None:
    """Fine-tune the base on `number` orbits (`size` pictures a step); leaves the network in ``out / "model"``.

    `data` holds the rendered orbits (default: beside `out`, shared with the depth trainer); `flat` a file of the base
    trainer's latents (``latents.pt``) for the independent images, made in `data` if not given. `measured` held-out
    captions are sampled for the card; 0 leaves it out.

    `captures` is a folder, or a file that lists folders, of views of your own with cameras (see `captures.own_scenes`),
    in place of rendered orbits: `sets` sets of `views` pictures of each, all with `prompt` unless the list has one, in
    a world whose axis `up` points up. `camera_drop` is the fraction of scenes whose cameras are left out. There is no
    card then.
    """
    codec, data = check(base), data or out.parent / "shots"
    device, processes = where(device, processes)
    if flat is not None and not flat.exists():
        raise SyncbenchError(f"no file {flat}: give the latents.pt of a base run, or leave flat out")
    if captures is not None:
        side: int = json.loads((base / "unet" / "config.json").read_text())["sample_size"]
        own = own_scenes(data, captures, prompt, views, sets, up, codec, 8 * side)
        of_one_run(out, {"pictures": own.name}, resume, CAPTURES)
        source = Source(own=own, flat=flat)
    else:
        prepare(data, RIG, seed + 5, number, codec, processes)
        if flat is None:
            flat = data / "flat.pt"
            latents(codec, flat, seed + 2, flat_number, processes)
        source = Source(rendered=data, number=number, flat=flat)
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, tail=0.6, device=device)
    plan.warmup, plan.average, plan.log_every = 50, 0.99, 20
    launch(_run, processes, plan, base, source, size // processes, share, camera_drop, objective, lean)
    if measured and captures is None:
        from .view_figures import views_card

        views_card(out, base, data, measured, device)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a run's data lie: rendered orbits or views of one's own, and independent images."""

    rendered: Path | None = None
    number: int = 0
    own: Path | None = None
    flat: Path | None = None

    def read(self, seed: int) -> tuple[Scenes, Tensor, list[str]]:
        """The scenes, then latents (n, c, h, w) and captions of independent images."""
        solid = scenes(self.rendered, RIG, seed + 5, self.number) if self.rendered else read_scenes(_given(self.own))
        if self.flat is None:
            captions = [caption for caption in solid.captions for _ in range(solid.views)]
            return solid, solid.rgb.flatten(0, 1), captions
        kept: dict[str, Any] = saved(self.flat, {"latents": Tensor, "captions": list}, mmap=True)
        return solid, kept["latents"], kept["captions"]


def _given(path: Path | None) -> Path:
    assert path is not None, "a source has either rendered orbits or views of one's own"
    return path


def _run(
    plan: Plan,
    base: Path,
    source: Source,
    size: int,
    share: float,
    camera_drop: float,
    objective: Literal["v", "eps"],
    lean: float,
) -> None:
    torch.manual_seed(plan.seed)
    solid, plain, captions = source.read(plan.seed)
    solid_words, plain_words = Words(base, solid.captions), Words(base, captions)
    unet = place(build(base), plan, trained=True)
    step_of = MultiView(unet=unet, noise=Noise(), plan=plan, objective=objective, lean=lean)
    cameras = torch.stack([orbit_numbers(rig.flatten(1)) for rig in solid.camera])

    def loss(step: int, random: torch.Generator) -> dict[str, Tensor]:
        # one coin for all processes of the run: an iteration is of one kind, as in the paper
        if torch.rand((), generator=generator(plan.seed, step, shared=True)) < share:
            pick = torch.randint(len(cameras), (max(1, size // solid.views),), generator=random)
            words, told = solid_words(pick, random), cameras[pick]
            if camera_drop:  # so that runs without it draw the same numbers as before
                told = told * (torch.rand(len(pick), 1, 1, generator=random) >= camera_drop)
            return step_of.loss(solid.rgb[pick].float(), words, told, random)
        pick = torch.randint(len(plain), (size,), generator=random)
        return step_of.loss(plain[pick, None].float(), plain_words(pick, random), None, random)

    train(unet, loss, plan).swap()
    if is_first():
        save(unet.eval(), plan.out / "model")
        if source.own:  # so that the model takes prompts that are no captions of the reference world
            learnt = {"prompts": sorted(set(solid.captions))}
            write_whole(plan.out / "model" / PROMPTS, json.dumps(learnt, indent=2).encode())
