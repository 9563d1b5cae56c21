"""Figures of trained models on held-out scenes, and their cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..analysis.stats import Interval, interval
from ..catalogue.registry import load
from ..models.channels_joint import ChannelsJoint
from ..models.channels_prompted import ChannelsPrompted
from ..models.channels_to_rgb import ChannelsToRgb
from ..models.depth import Depth
from ..models.grid import Grid
from ..models.motion import Motion
from ..models.reference import Reference
from ..models.views import Views
from ..types import Artifact
from ..world.stream import shots
from ..world.truth import CHANNELS
from . import agreement
from .cards import card, curve, machine, megabytes, sheet, spent
from .measure import HELD_OUT
from .silhouette import agreement as overlap
from .silhouette import reader
from .stream import codec_of

Row = tuple[str, str, str]
STEPS = 20
VIEWS = 1.5
"""Guidance for several views of an object, as in `world_views`."""
DIRECT = 2
"""Denoising steps for models whose output is nearly determined by the input, as in `world_channels`."""
UNLIKE = {
    "grid": "The unconditional half sees a latent of zeros (published: that of a grey picture), and the reference's "
    "noise depends on the step alone, the same for all items, seeds and both halves of guidance (published: fresh "
    "every time), so seeds do not cover it. The field of view is 49 degrees (published: 30).",
    "channels_joint": "The published Marigold-IID has no normals: its appearance model makes albedo, roughness and "
    "metallicity, its lighting model albedo, shading and a residual.",
    "channels_prompted": "The picture enters in sRGB; the published RGB-to-X reads linear light.",
    "channels_to_rgb": "Channels and picture are in sRGB; the published X-to-RGB works in linear light.",
}
"""The difference of a model to the published one of its kind, by name; the last sentence of its card."""


@torch.no_grad()
def sample(
    model: Any,
    prompts: Sequence[str],
    guidance: float = 1.0,
    steps: int = STEPS,
    seed: int = 0,
    together: bool = False,
    **inputs: Tensor,
) -> Tensor:
    """One DDIM sample a prompt, decoded: (n, 3, 128, 128) in [0, 1]."""
    condition = model.condition(prompts, guidance, "", together=together, **inputs)
    side = model.window // model.factor
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(len(prompts), model.channels, side, side, generator=draw).to(model.device, model.dtype)
    for level in model.schedule(steps):
        x = level.move(*model.predict(x, level, condition))
    return model.decode(x).float().cpu()


def picture(images: Any) -> Tensor:
    """(..., 3, H, W) in [0, 1] of uint8 (..., H, W, 3 or 1)."""
    found = torch.from_numpy(images).movedim(-1, -3).float() / 255
    return found.expand(*found.shape[:-3], 3, *found.shape[-2:])


def told(found: Interval) -> str:
    """The interval as text, `mean [low, high]`."""
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]" if found.low is not None else f"{found.mean:.4f}"


def depth_card(out: Path, base: Path, data: Path, n: int, device: str) -> None:
    """Write the card of `depth`: how well samples keep the silhouette of the given depth map."""
    options: dict[str, Any] = {"base": str(base), "device": device}
    model, plain = Depth(path=str(out / "model"), **options), Reference(path=str(base), device=device)
    taken = shots(HELD_OUT + 5, (n + 3) // 4, "orbit4")
    prompts = [caption for caption in taken.captions for _ in range(4)][:n]
    mask = torch.from_numpy(taken.mask).flatten(0, 1)[:n]
    depth = torch.from_numpy(taken.depth).float().flatten(0, 1)[:n, None]
    real = picture(taken.rgb).flatten(0, 1)[:n]
    read = reader(data / "silhouette.pt", codec_of(base / "vae")).read
    made = sample(model, prompts, 4.0, depth=depth)
    free = sample(plain, prompts, 4.0)
    kept, ceiling, floor = (overlap(read(images), mask) for images in (made, real, free))
    figures = [
        ("IoU of the silhouette with the depth map's, mean over views", ">= 0.9", told(interval(kept))),
        ("the same read from true renders (ceiling)", "none", told(interval(ceiling))),
        ("the same of the reference without depth (floor)", "none", told(interval(floor))),
    ]
    shown = torch.cat([depth[:8].expand(-1, 3, -1, -1), made[:8], free[:8]])
    _write(
        out,
        "Depth",
        model.weights.weights("ControlNetModel").module,
        figures,
        shown,
        f"ControlNet of the reference model for depth. Silhouettes are read out of the pixels by a small network "
        f"trained on renders only (`bench/training/silhouette.py`); {n} held-out views, DDIM, {STEPS} steps, "
        f"guidance 4. Sheet: depth, samples with it, the reference without it.",
    )


def views_card(out: Path, base: Path, data: Path, n: int, device: str) -> None:
    """Write the card of `views`: disagreement of views, also without attention across views, and if independent."""
    model = Views(path=str(out / "model"), base=str(base), device=device)
    plain = Reference(path=str(base), device=device)
    taken = shots(HELD_OUT + 5, n, "orbit4")
    camera = torch.from_numpy(taken.camera).flatten(2)
    read = reader(data / "silhouette.pt", codec_of(base / "vae")).read

    kinds: dict[str, Callable[[int], Tensor]] = {
        "together": lambda i: sample(model, [taken.captions[i]] * 4, VIEWS, seed=i, together=True, camera=camera[i]),
        "off": lambda i: sample(model, [taken.captions[i]] * 4, VIEWS, seed=i, camera=camera[i]),
        "independent": lambda i: sample(plain, [taken.captions[i]] * 4, VIEWS, seed=i),
        "true renders": lambda i: picture(taken.rgb[i]),
    }
    made = {name: [draw(i) for i in range(n)] for name, draw in kinds.items()}
    figures: list[Row] = []
    colours = {kind: [agreement.palette(v, read(v)) for v in some] for kind, some in made.items()}
    heights = {kind: [agreement.extent(read(v)) for v in some] for kind, some in made.items()}
    figures += _compared("disagreement in colours", colours) + _compared("disagreement in height", heights)
    shown = torch.cat([torch.cat([made[kind][i] for kind in ("together", "off")]) for i in range(min(n, 4))])
    _write(
        out,
        "Views",
        model.network.module(),
        figures,
        shown,
        f"MVDream at the reference world's size; v-prediction, loss on v. Disagreement over four orthogonal views: "
        f"`palette` and `extent` of `bench/training/agreement.py`; {n} held-out captions, DDIM, {STEPS} steps, "
        f"guidance {VIEWS:g}, the same noise for all. Sheet: four views together, then with cross-view attention off.",
    )


def motion_card(out: Path, base: Path, n: int, frames: int, device: str) -> None:
    """Write the card of `motion`: disagreement of neighbouring frames, also without the temporal layers."""
    model = Motion(path=str(out / "model"), base=str(base), device=device)
    taken = shots(HELD_OUT + 6, n, "clip", frames=frames)
    real = picture(taken.rgb)

    def moved(i: int, **inputs: Any) -> Tensor:
        return sample(model, [taken.captions[i]] * frames, 4.0, seed=i, together=True, **inputs)

    made = {
        "together": [moved(i) for i in range(n)],
        "from a first frame": [moved(i, image=real[i, :1]) for i in range(n)],
        "independent": [sample(model, [taken.captions[i]] * frames, 4.0, seed=i) for i in range(n)],
        "true renders": list(real),
    }
    figures = _compared("jump between frames", {k: [agreement.jump(f) for f in some] for k, some in made.items()})
    figures += [
        (f"change between frames, {kind}", "none", f"{sum(map(agreement.change, some)) / n:.4f}")
        for kind, some in made.items()
    ]
    figures += _compared(
        "RMSE of later frames to the given first",
        {
            kind: [_rmse(clip[1:], real[i, :1].expand_as(clip[1:])) for i, clip in enumerate(made[kind])]
            for kind in ("from a first frame", "together", "true renders")
        },
    )
    shown = torch.cat([torch.cat([made[k][i] for k in ("together", "from a first frame")]) for i in range(min(n, 3))])
    _write(
        out,
        "Motion",
        model.weights.weights("MotionAdapter").module,
        figures,
        shown,
        f"Temporal attention for the frozen reference model, which is what its samples are with these layers off, and "
        f"independent. Jump: what is left between neighbouring frames after the best shift of each block (`jump` of "
        f"`bench/training/agreement.py`); change: the same without shifts, 0 for a still. {n} held-out captions, "
        f"{frames} frames, DDIM, {STEPS} steps, guidance 4. Sheet: from words; from the first frame of a true clip.",
        columns=frames,
    )


def grid_card(out: Path, base: Path, data: Path, n: int, device: str) -> None:
    """Write the card of `grid`: how well the six views show the object of the picture."""
    model = Grid(path=str(out / "model"), base=str(base), device=device)
    plain = Reference(path=str(base), device=device)
    taken = shots(HELD_OUT + 7, n, "grid6")
    real = picture(taken.rgb)
    read = reader(data / "silhouette.pt", codec_of(base / "vae")).read

    def together(i: int) -> Tensor:
        return sample(model, [taken.captions[i]] * 6, VIEWS, seed=i, together=True, image=real[i, :1])

    made = {
        "together": [together(i) for i in range(n)],
        "independent": [sample(plain, [taken.captions[i]] * 6, VIEWS, seed=i) for i in range(n)],
        "the picture repeated": [real[i, :1].expand(6, -1, -1, -1) for i in range(n)],
        "true renders": [real[i, 1:] for i in range(n)],
    }

    def apart(i: int, views: Tensor) -> float:
        whole = torch.cat([real[i, :1], views])
        return agreement.palette(whole, read(whole))

    figures = _compared(
        "disagreement in colours, picture included",
        {k: [apart(i, v) for i, v in enumerate(some)] for k, some in made.items() if k != "the picture repeated"},
    )
    figures += _compared(
        "RMSE to the true views",
        {k: [_rmse(v, real[i, 1:]) for i, v in enumerate(some)] for k, some in made.items() if k != "true renders"},
    )
    shown = torch.cat(
        [torch.cat([real[i, :1], made["together"][i], real[i, :1], real[i, 1:]]) for i in range(min(n, 4))]
    )
    _write(
        out,
        "Grid",
        model.network.module(),
        figures,
        shown,
        f"Zero123++ at the reference world's size. {n} held-out pictures, DDIM, {STEPS} steps, guidance {VIEWS:g}. "
        f"Sheet: the picture and its six views, above the true ones. {UNLIKE['grid']}",
        columns=7,
    )


def channels_card(name: str, out: Path, base: Path, n: int, device: str) -> None:
    """Write the card of a decomposition: errors by the suite's metrics, and those of trivial predictions."""
    kind = ChannelsJoint if name == "channels_joint" else ChannelsPrompted
    model: Any = kind(path=str(out / "model"), base=str(base), device=device)
    items = load("datasets", "world_channels", {"count": n}).items()
    rgb = torch.cat([item.conditions["image"] for item in items])
    real = torch.stack([item.truth["views"] for item in items])
    made = torch.cat([decomposed(model, part) for part in rgb.split(8)])
    with torch.no_grad():
        coded = torch.cat([model.decode(model.encode(part.flatten(0, 1))) for part in real.split(8)])
    flat = real[:, 1:].mean((0, 3, 4))  # the sky's grey says nothing, so the mean points where surfaces do
    constant = flat[None, :, :, None, None].expand(n, 2, 3, *rgb.shape[2:])
    answers = {
        "made": made,
        "trivial": torch.cat([rgb[:, None], constant], 1),
        "floor": coded.float().cpu().unflatten(0, (n, 3)),
    }
    figures: list[Row] = []
    for metric, trivial in {
        "albedo_error": "the picture itself",
        "albedo_error@plain": "the picture itself",
        "normal_error": "the best constant",
    }.items():
        judge = load("metrics", metric)
        values = {
            kind: interval(
                [judge(Artifact(views=views), item).value for views, item in zip(answer, items, strict=True)]
            )
            for kind, answer in answers.items()
        }
        unit = f"{metric} ({judge.unit})"
        figures += [
            (unit, f"<= {values['trivial'].mean / 2:.4f} (half of trivial)", told(values["made"])),
            (f"{unit}: {trivial} (trivial)", "none", told(values["trivial"])),
            (f"{unit}: truth through the codec (floor)", "none", told(values["floor"])),
        ]
    off = {kind: interval([_rmse(a[2], b[2]) for a, b in zip(x, real, strict=True)]) for kind, x in answers.items()}
    figures.append(("shading, RMSE, sRGB", f"<= {off['trivial'].mean / 2:.4f} (half of trivial)", told(off["made"])))
    figures.append(("shading, RMSE, sRGB: the mean (trivial)", "none", told(off["trivial"])))
    shown = torch.cat([torch.cat([rgb[i, None], made[i], rgb[i, None], real[i]]) for i in range(min(n, 6))])
    _write(
        out,
        "Channels, jointly" if name == "channels_joint" else "Channels, by prompt",
        model.network.module(),
        figures,
        shown,
        f"Decomposes a picture of the world. The first {n} pictures of `world_channels`, which no trainer sees, DDIM, "
        f"{DIRECT} steps, no guidance, scored by the suite's metrics. Sheet: picture, albedo, normal, shading as made, "
        f"then as true. {UNLIKE[name]}",
    )


def truth(taken: Any) -> Tensor:
    """True channel images (n, 3, 3, H, W) of the first views of `Shots`."""
    return torch.stack([picture(getattr(taken, name)[:, 0]) for name in CHANNELS], 1)


def decomposed(model: Any, rgb: Tensor, steps: int = DIRECT) -> Tensor:
    """Channel images (n, 3, 3, H, W) of pictures (n, 3, H, W) by a channel model."""
    prompts = list(CHANNELS) * len(rgb)
    return sample(model, prompts, steps=steps, image=rgb.repeat_interleave(3, 0)).unflatten(0, (-1, 3))


def recomposed_card(out: Path, base: Path, n: int, device: str) -> None:
    """Write the card of `channels_to_rgb`: errors of pictures from all channels and from some of them."""
    model = ChannelsToRgb(path=str(out / "model"), base=str(base), device=device)
    taken = shots(HELD_OUT + 8, n, "single")
    real, rgb = truth(taken), picture(taken.rgb[:, 0])
    made: dict[str, Tensor] = {}
    for kept in (CHANNELS, CHANNELS[:1], CHANNELS[1:]):
        given: dict[str, Any] = {name: real[:, CHANNELS.index(name)] for name in kept}
        made[" and ".join(kept)] = sample(model, taken.captions, steps=DIRECT, **given)
    errors = {name: interval([_rmse(a, b) for a, b in zip(x, rgb, strict=True)]) for name, x in made.items()}
    bar = interval([_rmse(a, b) for a, b in zip(real[:, 0], rgb, strict=True)])
    figures = [
        (f"RMSE from {name}", f"<= {bar.mean / 2:.4f} (half of trivial)" if i == 0 else "none", told(value))
        for i, (name, value) in enumerate(errors.items())
    ]
    figures.append(("RMSE of the albedo taken for the picture (trivial)", "none", told(bar)))
    shown = torch.cat([torch.cat([rgb[i, None], *(x[i, None] for x in made.values())]) for i in range(min(n, 8))])
    _write(
        out,
        "Channels to picture",
        model.network.module(),
        figures,
        shown,
        f"Recomposes a picture from its channels, any of which may be missing. {n} held-out scenes, DDIM, {DIRECT} "
        f"steps, no guidance, the caption given. Sheet: the picture; from {'; from '.join(made)}. "
        f"{UNLIKE['channels_to_rgb']}",
        columns=8,
    )


def _compared(what: str, values: dict[str, list[float]]) -> list[Row]:
    """Means of every kind, and the paired differences of the others to the first."""
    first, *others = values
    rows = [(f"{what}, {kind}", "none", told(interval(found))) for kind, found in values.items()]
    for kind in others:
        if kind not in ("true renders", "from a first frame"):
            off = interval([b - a for a, b in zip(values[first], values[kind], strict=True)])
            rows.append((f"{what}: {kind} minus {first}, paired", "interval above 0", told(off)))
    return rows


def _rmse(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def _write(
    out: Path, title: str, network: Any, figures: list[Row], shown: Tensor, notes: str, columns: int = 8
) -> None:
    folder = out / "model"
    steps, minutes = spent([out])
    curve([out], "loss", f"{title}: training loss", folder / "loss.png")
    sheet(shown, columns, folder / "samples.png")
    facts = {
        "diffusers class": f"`{type(network).__name__}`",
        "parameters": f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M",
        "data": "ray-traced scenes of `bench/world` only, random captions",
        "training": f"{steps} steps, {minutes:.0f} minutes",
        "machine": machine(),
        "weights": megabytes(folder),
    }
    card(folder, title, facts, figures, notes)
    for name, target, value in figures:
        print(f"{name}: {value}" + ("" if target == "none" else f" (wanted: {target})"), flush=True)
