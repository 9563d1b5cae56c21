"""GeoWizard on a replica of its published folder, against its step written out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.joint import joint
from syncbench.datasets.world_channels import WorldChannels
from torch import Tensor

from .. import coupled_replicas as replicas


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published layout, small."""
    place = tmp_path_factory.mktemp("geowizard") / "folder"
    task = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 10, "in_channels": 8}
    small = {**replicas.SD2, **replicas.SMALL, "attention_head_dim": 8, "cross_attention_dim": 32}
    unet = replicas.seeded(diffusers.UNet2DConditionModel, **{**small, **task, "use_linear_projection": False})
    parts = {"unet": unet, "vae": replicas.words("sd15")["vae"], "image_encoder": replicas.tower(32)}
    parts["feature_extractor"] = transformers.CLIPImageProcessor()
    index: dict[str, Any] = {"_class_name": "DepthNormalEstimationPipeline", "_diffusers_version": "0.24.0"}
    for name, part in parts.items():
        part.save_pretrained(place / name)
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    (place / "scheduler").mkdir()
    (place / "scheduler" / "scheduler_config.json").write_text(json.dumps(replicas.DDIM))
    (place / "model_index.json").write_text(json.dumps({**index, "scheduler": ["diffusers", "DDIMScheduler"]}))
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load("models", "sd_geowizard", {"path": str(folder), "device": "cpu", "kind": "object"})


def picture(side: int = 64) -> Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_a_step_is_that_of_the_published_pipeline(model: Any) -> None:
    """Rows depth and normal, the picture's latent first, sines and cosines of task and domain, one token of CLIP."""
    image, x = picture(), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    level = list(model.schedule(4))[1]
    condition = model.condition(["depth", "normal"], 7.5, together=True, image=image)
    assert len(condition.passes) == 1
    task, domain = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]]).repeat(2, 1)
    labels = torch.cat([task.sin(), task.cos(), domain.sin(), domain.cos()], 1)
    torch.testing.assert_close(condition.given["class_labels"], labels)
    unet, tower = model.network.module(), model.made.conditioners[0].tower.module
    with torch.no_grad():
        found = model.predict(x, level, condition)
        token = tower(model.prepare(image)).image_embeds[:, None].expand(2, -1, -1)
        rows = torch.cat([model.encode(image).expand(2, -1, -1, -1), x], 1)
        with joint(unet, 2):
            output = unet(rows, level.t, token, class_labels=labels).sample
        alone = model.predict(x, level, model.condition(["depth", "normal"], 1.0, image=image))
    wanted = level.split(x, output, "eps")
    torch.testing.assert_close(found[0], wanted[0], atol=1e-4, rtol=1e-3)
    assert (found[0] - alone[0]).abs().max() > 1e-4, "the channels attend to each other"


def test_it_takes_a_picture_apart_from_one_noise(model: Any) -> None:
    assert model.makes == ("depth", "normal")
    assert {"joint", "channels", "image"} <= model.capabilities
    item = WorldChannels(count=1, size=64, channels=("depth", "normal")).items()[0]
    item = replace(item, protocol=replace(item.protocol, steps=2))
    made, apart = load("methods", "geowizard"), load("methods", "geowizard", {"shared_noise": False})
    views = made(item, model, 0).views
    assert views.shape == (2, 3, 64, 64)
    assert (views - apart(item, model, 0).views).abs().max() > 1e-3
    assert float((views[0] - views[0].mean(0)).abs().max()) < 1e-6, "depth is one number"
    length = (2 * views[1] - 1).norm(dim=0)
    torch.testing.assert_close(length, torch.ones_like(length), atol=1e-3, rtol=0)


def test_the_whole_picture_is_shown_to_the_tower(model: Any) -> None:
    wide = torch.cat([torch.zeros(1, 3, 32, 64), torch.ones(1, 3, 32, 64)], 3)
    seen = model.prepare(wide)
    assert seen.shape == (1, 3, 224, 224)
    assert float(seen[..., :10].mean()) < float(seen[..., -10:].mean()) - 3


def test_a_folder_of_another_network_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match="text_encoder"):
        load("models", "sd_geowizard", {"path": str(replicas.sd15(tmp_path / "sd15")), "device": "cpu"})
