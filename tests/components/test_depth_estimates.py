"""Depth of clips by a published class: a replica of the published structure, its scale, its refusals."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from syncbench.bench.backbones.depth import Depth
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Depth Anything V2's classes and files at small widths, with random weights."""
    where = tmp_path_factory.mktemp("depth")
    backbone = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(where)
    facts = {
        "image_processor_type": "DPTImageProcessor", "do_resize": True, "size": {"height": 56, "width": 56},
        "ensure_multiple_of": 14, "keep_aspect_ratio": True, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3,
    }  # fmt: skip
    (where / "preprocessor_config.json").write_text(json.dumps(facts))
    return where


def test_depth_of_a_clip_is_the_librarys_on_one_scale(folder: Path) -> None:
    clip = torch.rand(3, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    found = Depth(str(folder), "cpu")(clip)
    assert found.shape == (3, 1, 40, 60)
    assert (float(found.min()), float(found.max())) == (0.0, 1.0)
    pipe = transformers.pipeline("depth-estimation", str(folder), device="cpu")
    pictures = [Image.fromarray((frame * 255).round().byte().permute(1, 2, 0).numpy()) for frame in clip]
    theirs = torch.stack([pipe(one)["predicted_depth"] for one in pictures])
    theirs = (theirs - theirs.min()) / (theirs.max() - theirs.min())
    assert float((found[:, 0] - theirs).abs().mean()) < 0.02


def test_clips_of_ones_own_get_depth(folder: Path, tmp_path: Path) -> None:
    frames = [Image.effect_noise((64, 64), 60 + step).convert("RGB") for step in range(5)]
    frames[0].save(tmp_path / "walk.gif", save_all=True, append_images=frames[1:])
    fields = {"path": str(tmp_path / "walk.gif"), "prompt": "a cat", "size": 64, "frames": 3, "motion": "none"}
    [item] = load("datasets", "videos", {**fields, "depth": str(folder), "edges": True}).items()
    assert item.conditions["depth"].shape == (3, 1, 64, 64)
    assert item.conditions["edge"].shape == (3, 3, 64, 64)
    assert set(item.conditions["edge"].unique().tolist()) <= {0.0, 1.0}
    [plain] = load("datasets", "videos", fields).items()
    assert plain.content != item.content
    assert set(plain.conditions) == {"video"}


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match="syncbench fetch"):
        Depth("depth-anything/Depth-Anything-V2-Small-hf", "cpu")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(SyncbenchError, match="holds no network of relative depth, but BertModel"):
        Depth(str(tmp_path), "cpu")
