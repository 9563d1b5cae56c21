"""Train the judge: a small CLIP in open_clip's format that recognises the words of captions in pictures."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip  # pyright: ignore[reportMissingTypeStubs]
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from ..world import COLOURS, GROUNDS, LAYERS, PATTERNS, SHAPES, alternatives, parse
from .loop import Plan, is_first, launch, train, where
from .stream import pictures
from .tokenizer import LENGTH
from .tokenizer import build as build_tokenizer
from .tokenizer import save as save_tokenizer

CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 128, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
    "text_cfg": {
        "context_length": LENGTH,
        "vocab_size": 0,
        "hf_tokenizer_name": "local",
        "width": 128,
        "heads": 4,
        "layers": 2,
        "mlp_ratio": 2.0,
    },
}
MEAN = STD = (0.5, 0.5, 0.5)
WEIGHTS = Path(__file__).parents[1] / "models" / "weights" / "judge"


def build() -> open_clip.CLIP:
    """The architecture: a ModifiedResNet for (n, 3, 128, 128) pictures and a text transformer."""
    text = {**CONFIG["text_cfg"], "vocab_size": len(build_tokenizer())}
    text.pop("hf_tokenizer_name")
    clip: Any = open_clip.CLIP  # configurations may be mappings
    return clip(CONFIG["embed_dim"], dict(CONFIG["vision_cfg"]), text)


def export(model: open_clip.CLIP, folder: Path) -> None:
    """Write a folder ``open_clip`` loads as ``local-dir:<folder>``; weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "vocab_size": len(build_tokenizer())}}
    preprocess = {"mean": list(MEAN), "std": list(STD), "interpolation": "bicubic", "resize_mode": "squash"}
    whole = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole, indent=2) + "\n")
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("attn_mask")
    }
    save_file(state, folder / "open_clip_model.safetensors")
    save_tokenizer(folder)


_HEADS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ground", GROUNDS),
    ("layer", LAYERS),
    ("farther", LAYERS),
    ("object", SHAPES),
    ("pattern", PATTERNS),
    ("sky", ("sky", "cloudy")),
)


def labels(caption: str) -> list[int]:
    """A word index and a colour index for every possible role of a caption; the last index means absent."""
    slots = parse(caption)
    seen: dict[str, tuple[str, str]] = {}
    for role, colour, word in slots.parts:
        seen["farther" if role in seen else role] = (colour, word)
    found: list[int] = []
    for role, words in _HEADS:
        colour, word = seen.get(role, ("", ""))
        if role == "sky" and slots.cloudy:
            word = "cloudy"
        found.append(words.index(word) if word else len(words))
        found.append(COLOURS.index(colour) if colour else len(COLOURS))
    return found


class Trained(nn.Module):
    """The judge with a linear readout of every role's word and colour, used in training only and shared by both towers.

    One linear map for pictures and captions aligns the two embeddings word by word, for which a contrastive loss alone
    needs many more steps.
    """

    def __init__(self, clip: open_clip.CLIP):
        super().__init__()
        self.clip = clip
        self.sizes = [n + 1 for _, words in _HEADS for n in (len(words), len(COLOURS))]
        self.read = nn.Linear(CONFIG["embed_dim"], sum(self.sizes))

    def errors(self, embedding: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of the readout; embedding (n, d), target (n, 12)."""
        parts = self.read(12 * F.normalize(embedding, dim=-1)).split(self.sizes, 1)
        return torch.stack([F.cross_entropy(part, target[:, i]) for i, part in enumerate(parts)]).mean()


def main(
    out: Path,
    steps: int = 5_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    scenes: int = 16_000,
    size: int = 64,
    rate: float = 2e-3,
    save_every: int = 250,
    processes: int = 2,
    start: Path | None = None,
    device: str = "auto",
    solid: int = 0,
    views: int = 0,
) -> None:
    """Train contrastively on real renders; leaves an open_clip folder in ``out / "clip"``.

    ``scenes`` are flat ones, ``solid`` those of the 3-D world from where a shape is told at a glance, ``views`` those
    from every camera.

    Beside the other captions of the batch every picture meets its own caption with one word replaced: the
    grammar's hardest negatives. ``start`` is the folder of an earlier judge to continue from.
    """
    device, processes = where(device, processes)
    pictures(seed + 3, scenes, processes, out / "pictures.pt")
    if solid:
        pictures(seed + 4, solid, processes, out / "solid.pt", "solid")
    if views:
        pictures(seed + 9, views, processes, out / "views.pt", "views")
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, warmup=100, decay=0.02)
    plan.average, plan.device = 0.995, device
    launch(_run, processes, plan, scenes, solid, views, size // processes, start)


def _run(plan: Plan, scenes: int, solid: int, views: int, size: int, start: Path | None) -> None:
    torch.manual_seed(plan.seed)
    clip: Any = build() if start is None else load(start)[0]
    clip.to(plan.device)
    parts = [pictures(plan.seed + 3, scenes, 1, plan.out / "pictures.pt")]
    if solid:
        parts.append(pictures(plan.seed + 4, solid, 1, plan.out / "solid.pt", "solid"))
    if views:
        parts.append(pictures(plan.seed + 9, views, 1, plan.out / "views.pt", "views"))
    images = [image for some, _ in parts for image in some]
    captions = [caption for _, some in parts for caption in some]
    clip.visual.to(memory_format=torch.channels_last)
    model = Trained(clip).to(plan.device)
    tokenizer = build_tokenizer()

    def loss(step: int, random: torch.Generator) -> dict[str, torch.Tensor]:
        pick = torch.randint(len(images), (size,), generator=random).tolist()
        wrong = [_wrong(captions[i], random) for i in pick]
        words = [captions[i] for i in pick] + [caption for some in wrong for caption in some]
        asked = torch.tensor([labels(caption) for caption in words], device=plan.device)
        x = torch.stack([images[i] for i in pick]).float() / 127.5 - 1
        x = x + 0.04 * torch.rand(size, 1, 1, 1, generator=random) * torch.randn(x.shape, generator=random)
        with plan.half():
            image = clip.encode_image(x.to(plan.device, memory_format=torch.channels_last))
            text = clip.encode_text(_tokens(tokenizer, words).to(plan.device))
        image, text = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
        read = model.errors(image, asked[:size]) + 0.3 * model.errors(text, asked)
        scale = clip.logit_scale.exp().clamp(max=100)
        near = scale * torch.einsum("nd,nkd->nk", image, text[size:].view(size, -1, image.shape[-1]))
        logits = scale * (image @ text[:size].T)
        target = torch.arange(size, device=plan.device)
        total = F.cross_entropy(torch.cat([logits, near], 1), target) + F.cross_entropy(logits.T, target)
        total = total + F.cross_entropy(torch.cat([logits.diagonal()[:, None], near], 1), target * 0)
        right = (logits.diagonal() > near.max(1).values).float().mean()
        return {"loss": total + 4 * read, "right": right, "read": read}

    train(model, loss, plan).swap()
    if is_first():
        export(clip.eval().cpu(), plan.out / "clip")


def _tokens(tokenizer: Any, captions: list[str]) -> torch.Tensor:
    return tokenizer(captions, padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids


def _wrong(caption: str, random: torch.Generator, n: int = 3) -> list[str]:
    """n captions that differ from this one in one word, mostly not a colour, because colours are learned quickly."""
    every = alternatives(caption)
    things = [slot for slot in every if slot[0] != "colour"]
    found: list[str] = []
    for _ in range(n):
        slots = things if float(torch.rand(1, generator=random)) < 0.8 else every
        others = slots[int(torch.randint(len(slots), (1,), generator=random))][2]
        found.append(others[int(torch.randint(len(others), (1,), generator=random))])
    return found


def load(folder: Path) -> tuple[Any, Any]:
    """The judge of a folder (float32, eval) and its tokenizer (captions -> (n, 24) ids)."""
    name = f"local-dir:{folder}"
    model: Any = open_clip.create_model(name, precision="fp32")
    model.eval()
    return model, open_clip.get_tokenizer(name)


@torch.no_grad()
def recognised(
    images: torch.Tensor, captions: list[str], folder: Path | None = None, judge: tuple[Any, Any] | None = None
) -> dict[str, float]:
    """Fractions of the captions' words that the judge recognises in the pictures.

    images: (n, 3, 128, 128) floats in [0, 1], one a caption. A word is recognised where its caption beats every
    caption with that one word replaced by another of its class. ``colour_accuracy`` is over colour words,
    ``scene_accuracy`` over grounds, layers and shapes, ``shape_accuracy`` over shapes alone, ``pattern_accuracy`` over
    patterns (NaN without any).
    """
    model, tokenizer = judge or load(folder or WEIGHTS)
    sums = {"colour": [0, 0], "scene": [0, 0], "shape": [0, 0], "pattern": [0, 0]}
    for image, caption in zip(images, captions, strict=True):
        slots = alternatives(caption)
        texts = [caption] + [other for *_, others in slots for other in others]
        words = F.normalize(model.encode_text(tokenizer(texts)), dim=-1)
        scores = words @ F.normalize(model.encode_image(image[None] * 2 - 1), dim=-1)[0]
        at = 1
        for kind, _, others in slots:
            read = int(scores[0] > scores[at : at + len(others)].max())
            for name in {"colour": ("colour",), "pattern": ("pattern",), "shape": ("scene", "shape")}.get(
                kind, ("scene",)
            ):
                sums[name][0] += read
                sums[name][1] += 1
            at += len(others)
    return {f"{name}_accuracy": hit / n if n else float("nan") for name, (hit, n) in sums.items()}


if __name__ == "__main__":
    import typer

    typer.run(main)
