"""Figures of trained models of views and clips on held-out scenes, and their cards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..analysis.stats import interval
from ..models.depth import Depth
from ..models.grid import Grid
from ..models.motion import Motion
from ..models.reference import Reference
from ..models.views import Views
from ..world.stream import shots
from . import agreement
from .figures import STEPS, Row, compared, picture, rmse, sample, told, write
from .measure import HELD_OUT
from .silhouette import agreement as overlap
from .silhouette import reader
from .stream import codec_of

VIEWS = 1.5
"""Guidance for several views of an object, as in `world_views`."""


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
    write(
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
    figures += compared("disagreement in colours", colours) + compared("disagreement in height", heights)
    shown = torch.cat([torch.cat([made[kind][i] for kind in ("together", "off")]) for i in range(min(n, 4))])
    write(
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
    figures = compared("jump between frames", {k: [agreement.jump(f) for f in some] for k, some in made.items()})
    figures += [
        (f"change between frames, {kind}", "none", f"{sum(map(agreement.change, some)) / n:.4f}")
        for kind, some in made.items()
    ]
    figures += compared(
        "RMSE of later frames to the given first",
        {
            kind: [rmse(clip[1:], real[i, :1].expand_as(clip[1:])) for i, clip in enumerate(made[kind])]
            for kind in ("from a first frame", "together", "true renders")
        },
    )
    shown = torch.cat([torch.cat([made[k][i] for k in ("together", "from a first frame")]) for i in range(min(n, 3))])
    write(
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

    figures = compared(
        "disagreement in colours, picture included",
        {k: [apart(i, v) for i, v in enumerate(some)] for k, some in made.items() if k != "the picture repeated"},
    )
    figures += compared(
        "RMSE to the true views",
        {k: [rmse(v, real[i, 1:]) for i, v in enumerate(some)] for k, some in made.items() if k != "true renders"},
    )
    shown = torch.cat(
        [torch.cat([real[i, :1], made["together"][i], real[i, :1], real[i, 1:]]) for i in range(min(n, 4))]
    )
    write(
        out,
        "Grid",
        model.network.module(),
        figures,
        shown,
        f"Zero123++ at the reference world's size. {n} held-out pictures, DDIM, {STEPS} steps, guidance {VIEWS:g}. "
        "Sheet: the picture and its six views, above the true ones. The unconditional half sees a latent of zeros "
        "(published: that of a grey picture), and the reference's noise depends on the step alone, the same for all "
        "items, seeds and both halves of guidance (published: fresh every time), so seeds do not cover it. The field "
        "of view is 49 degrees (published: 30).",
        columns=7,
    )
