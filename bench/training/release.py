"""Turn finished runs into the shipped weights folders: models, measured figures, curves, sheets, cards."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline

from ..world import PANORAMA_CAPTIONS
from . import base as base_trainer
from . import cards, codec, judge, measure, start
from .stream import Which, codec_of, pictures, signed


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _parameters(*modules: torch.nn.Module) -> str:
    return " + ".join(f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f} M" for module in modules)


def _fresh(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)


def judge_release(out: Path, runs: list[Path], n: int = 512) -> None:
    """Write the shipped folder ``out`` of the judge, from the last of its runs."""
    _fresh(out)
    shutil.copytree(runs[-1] / "clip", out, dirs_exist_ok=True)
    kinds: dict[str, Which] = {"landscapes": "landscape", "flat objects": "object", "3-D, from the front": "solid"}
    kinds |= {"3-D, from every camera": "views"}
    found = {name: measure.judge_figures(out, n, kind) for name, kind in kinds.items()}
    steps, minutes = cards.spent(runs)
    cards.curve(runs, "loss", "judge: training loss", out / "loss.png")
    images, _ = pictures(measure.HELD_OUT, 16, 1)
    cards.sheet(images[:16].float() / 255, 8, out / "renders.png")
    cards.card(
        out,
        "Judge",
        {
            "architecture": "CLIP in open_clip's format: ModifiedResNet, 128 x 128 RGB; text transformer, 24 tokens",
            "parameters": _parameters(judge.load(out)[0]),
            "data": "renders of `bench/world` only, random captions",
            "training": f"{steps} steps, {minutes:.0f} minutes",
            "machine": cards.machine(),
            "weights": cards.megabytes(out),
        },
        [
            (f"{words} words, {name}", ">= 98 %" if name != "3-D, from every camera" else "none", _percent(value))
            for name, read in found.items()
            for words in ("colour", "scene", "shape", "pattern")
            if (value := read[f"{words}_accuracy"]) == value
        ],
        f"Reads the world's words out of pictures. A word counts as read where its caption beats every caption "
        f"with that one word replaced by another of its class ({n} fresh renders of each kind). From every camera: a "
        "ring seen along its plane, or a star from its side, shows its shape to nobody.",
    )


def reference_release(
    out: Path,
    judged: Path,
    codec_runs: list[Path],
    base_runs: list[Path],
    guidance: float = 5.0,
    steps: int = 25,
    n: int = 200,
    remark: str = "",
) -> None:
    """Write the shipped folder ``out``: the averaged base model of the last run and the codec of the last codec run."""
    _fresh(out)
    base, vae = base_trainer.load(base_runs[-1] / "state.pt", codec_runs[-1])
    base_trainer.export(base, vae, out)
    kept, made = measure.codec_figures(out), measure.base_figures(out, judged, n, guidance, steps)
    codec_steps, codec_minutes = cards.spent(codec_runs)
    base_steps, base_minutes = cards.spent(base_runs)
    cards.curve(codec_runs, "psnr", "codec: training PSNR (dB)", out / "codec.png")
    cards.curve(base_runs, "loss", "base: training loss", out / "loss.png")
    _sheets(out, guidance, steps)
    cards.card(
        out,
        "Reference model",
        {
            "pipeline": "diffusers `StableDiffusionPipeline`, 128 x 128, v-prediction, DDIM, trailing timesteps",
            "parameters": _parameters(base.unet, base.text, vae) + " (UNet, text encoder, codec)",
            "data": "renders of `bench/world` only, random captions, half of them landscapes",
            "codec training": f"{codec_steps} steps, {codec_minutes:.0f} minutes",
            "base training": f"{base_steps} steps of 32 pictures, {base_minutes:.0f} minutes",
            "machine": cards.machine(),
            "weights": cards.megabytes(out),
        },
        [
            ("codec PSNR, all scenes", ">= 33 dB", f"{kept['all']:.2f} dB"),
            ("codec PSNR, object scenes", ">= 31 dB", f"{kept['object']:.2f} dB"),
            ("codec PSNR, landscapes", "none", f"{kept['landscape']:.2f} dB"),
            ("latents: largest channel mean", "0", f"{kept['mean']:.2f}"),
            ("latents: largest error of a channel variance", "0", f"{kept['variance']:.2f}"),
            *(
                (
                    f"{words} words in samples{where}",
                    "none" if words == "pattern" else goal,
                    _percent(made[f"{kind}{words}_accuracy"]),
                )
                for kind, where, goal in (
                    ("", "", ">= 95 %"),
                    ("landscape_", ", landscapes", "none"),
                    ("object_", ", flat objects", "none"),
                    ("solid_", ", 3-D objects", ">= 95 %"),
                )
                for words in ("colour", "scene", "shape", "pattern")
                if made[f"{kind}{words}_accuracy"] == made[f"{kind}{words}_accuracy"]
            ),
        ],
        f"The small text-to-image model of the world. Words in samples are those the judge reads out of {n} "
        f"samples of held-out captions: DDIM, {steps} steps, guidance {guidance:g}. Weights are the moving "
        f"average; the rate of the run is constant but for its end, so `base --start` takes training up again from "
        f"this folder. {remark}",
    )


def codec_release(out: Path, runs: list[Path]) -> None:
    """Write the shipped folder ``out`` of the codec, from the last of its runs."""
    _fresh(out)
    vae: Any = AutoencoderTiny.from_pretrained(
        runs[-1], torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    start.save(vae.eval(), out)
    kept = codec.quality(codec_of(out))
    steps, minutes = cards.spent(runs)
    cards.curve(runs, "psnr", "codec: training PSNR (dB)", out / "codec.png")
    _coded(codec_of(out), out)
    cards.card(
        out,
        "Codec",
        {
            "architecture": "diffusers `AutoencoderTiny`, factor 8, unit-variance latents",
            "parameters": _parameters(vae),
            "data": "renders of `bench/world` only",
            "training": f"{steps} steps, {minutes:.0f} minutes",
            "machine": cards.machine(),
            "weights": cards.megabytes(out),
        },
        [
            ("PSNR, all scenes", ">= 33 dB", f"{kept['all']:.2f} dB"),
            ("PSNR, object scenes", ">= 31 dB", f"{kept['object']:.2f} dB"),
            ("largest channel mean", "0", f"{kept['mean']:.2f}"),
            ("largest error of a channel variance", "0", f"{kept['variance']:.2f}"),
            *((f"PSNR, {name} of 3-D scenes", "none", f"{value:.2f} dB") for name, value in measure.solid(out).items()),
        ],
        "Pictures to latents of an eighth the size, and back.",
    )


def finish(name: str, out: Path, codec_folder: Path) -> None:
    """Write the folder ``out / "model"`` and the card of a finished run of the judge, the codec or the base."""
    if name == "judge":
        judge_release(out / "model", [out])
    elif name == "codec":
        codec_release(out / "model", [out])
    else:
        reference_release(out / "model", judge.WEIGHTS, [codec_folder], [out])


def _sheets(out: Path, guidance: float, steps: int) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(
        out, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    _, objects = pictures(measure.HELD_OUT + 2, 8, 1, kind="object")
    captions = [*PANORAMA_CAPTIONS[:16], *objects[:8]]
    cards.sheet(measure.draw(pipe, captions, guidance, steps, seed=1), 8, out / "samples.png")
    _coded(codec_of(out / "vae"), out)


def _coded(vae: Any, out: Path) -> None:
    x = signed(pictures(measure.HELD_OUT + 3, 8, 1)[0])
    with torch.no_grad():
        y = vae(x).sample
    cards.sheet(torch.cat([x, y]) / 2 + 0.5, 8, out / "codec-real-above-decoded-below.png")


if __name__ == "__main__":
    import typer

    app = typer.Typer(help=__doc__)
    app.command("judge")(judge_release)
    app.command("reference")(reference_release)
    app()
