"""ImageDream on a replica of its published folder: layers in their places, the picture as tokens and as a view."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.cameras import orbit_numbers
from syncbench.bench.models.parts.joint import joint
from syncbench.datasets.world_views import WorldViews
from syncbench.methods.prior.imagedream import ImageDream
from torch import Tensor

from .. import coupled_replicas as replicas

PLACES = {
    "input_blocks.1.1": "down_blocks.0.attentions.0",
    "input_blocks.5.1": "down_blocks.2.attentions.0",
    "middle_block.1": "mid_block.attentions.0",
    "output_blocks.2.1": "up_blocks.1.attentions.0",
    "output_blocks.7.1": "up_blocks.3.attentions.1",
}
"""Some transformers of a UNet of one layer a level, by original name, read off the layout of its blocks."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replicas.imagedream(tmp_path_factory.mktemp("imagedream") / "folder")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load("models", "sd_imagedream", {"path": str(folder), "device": "cpu"})


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_layers_that_read_the_picture_are_in_their_places(folder: Path, model: Any) -> None:
    weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    network, placed = model.network.module(), 0
    for original, stock in PLACES.items():
        name = f"{original}.transformer_blocks.0.attn2.to_k_ip.weight"
        if name not in weights:
            continue
        processor = network.get_submodule(f"{stock}.transformer_blocks.0.attn2").processor
        torch.testing.assert_close(processor.to_k_ip[0].weight.float(), weights[name], atol=1e-6, rtol=0)
        value = weights[name.replace("to_k", "to_v")]
        torch.testing.assert_close(processor.to_v_ip[0].weight.float(), value, atol=1e-6, rtol=0)
        assert processor.scale == [1.0]
        placed += 1
    assert placed >= 3
    read = [layer.processor for layer in network.modules() if hasattr(getattr(layer, "processor", None), "to_k_ip")]
    assert 2 * len(read) == sum("_ip.weight" in name for name in weights)


def test_a_layer_adds_attention_to_the_pictures_tokens(model: Any) -> None:
    """softmax(Q K^T) V over the text, plus softmax(Q K_ip^T) V_ip over the picture, written out."""
    layer = model.network.module().get_submodule("mid_block.attentions.0.transformer_blocks.0.attn2")
    x, text, tokens = randn(2, 9, layer.to_q.in_features), randn(2, 7, 32), randn(2, 1, 16, 32)

    def heads(values: Tensor) -> Tensor:
        return values.unflatten(2, (layer.heads, -1)).transpose(1, 2)

    with torch.no_grad():
        found = layer(x, encoder_hidden_states=(text, [tokens]))
        q, total = heads(layer.to_q(x)), 0
        pairs = (layer.to_k, layer.to_v, text), (layer.processor.to_k_ip[0], layer.processor.to_v_ip[0], tokens[:, 0])
        for keys, values, source in pairs:
            k, v = heads(keys(source)), heads(values(source))
            total = total + (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        expected = layer.to_out[0](total.transpose(1, 2).flatten(2))  # type: ignore[union-attr]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_picture_is_a_fifth_view_with_a_camera_of_zeros(model: Any) -> None:
    """Both passes of guidance; without the picture its view is a latent of zeros and its tokens are made of zeros."""
    item = WorldViews(rig="imagedream", size=64).items()[0]
    camera, image = item.conditions["camera"], item.conditions["image"]
    prompt, scale, z, level = "a dog", 5.0, randn(4, 4, 8, 8), list(model.schedule(4))[1]
    condition = model.condition([prompt] * 4, scale, "fog", together=True, camera=camera, image=image)
    unet = model.network.module()
    with torch.no_grad():
        x0, eps = model.predict(z, level, condition)
        words = [model.made.conditioners[0].encode(text)["text"] for text in ("fog", f"{prompt}, 3d asset")]
        tokens = model.made.conditioners[2].tokens(model.prepare(image))
        latent = model.encode(image)
        outputs: list[Tensor] = []
        numbers = torch.cat([orbit_numbers(camera), torch.zeros(1, 16)])
        for text, seen, shown in zip(
            words, (torch.zeros_like(tokens), tokens), (torch.zeros_like(latent), latent), strict=True
        ):
            with joint(unet, 5):
                outputs.append(
                    unet(
                        torch.cat([z, shown]),
                        level.t,
                        text.expand(5, -1, -1),
                        class_labels=numbers,
                        added_cond_kwargs={"image_embeds": [seen[:, None].expand(5, -1, -1, -1)]},
                    ).sample[:4]
                )
    wanted = level.split(z, outputs[0] + scale * (outputs[1] - outputs[0]), "eps")
    torch.testing.assert_close(x0, wanted[0], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(eps, wanted[1], atol=1e-4, rtol=1e-3)


def test_another_picture_makes_other_views_and_samples_end_to_end(model: Any) -> None:
    item = WorldViews(rig="imagedream", size=64).items()[0]
    item = replace(item, protocol=replace(item.protocol, steps=1))
    assert {"joint", "camera", "image"} <= model.capabilities
    assert model.needs == {"image"}
    given = {name: item.conditions[name] for name in item.conditions}
    made, other = (
        ImageDream()(replace(item, conditions={**given, "image": image}), model, 0)
        for image in (given["image"], given["image"] / 4)
    )
    assert made.views.shape == (4, 3, 64, 64)
    assert (made.views - other.views).abs().max() > 1e-3
    large = {**given, "image": torch.nn.functional.interpolate(given["image"], scale_factor=2)}
    with pytest.raises(SyncbenchError, match="of 16x16 latent cells, and the views have 8x8"):
        ImageDream()(replace(item, conditions=large), model, 0)


def test_folders_that_are_not_imagedreams_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match="lists no image_encoder, as ImageDream does"):
        load("models", "sd_imagedream", {"path": str(replicas.mvdream(tmp_path / "mvdream")), "device": "cpu"})
    for part in folder.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "unet").unlink()
    (tmp_path / "unet").mkdir()
    config = json.loads((folder / "unet" / "config.json").read_text())
    (tmp_path / "unet" / "config.json").write_text(json.dumps(config))
    file = "diffusion_pytorch_model.safetensors"
    from safetensors.torch import save_file

    weights = load_file(folder / "unet" / file)
    some = {
        name: value
        for name, value in weights.items()
        if "middle_block.1.transformer_blocks.0.attn2.to_k_ip" not in name
    }
    save_file(some, tmp_path / "unet" / file, {"format": "pt"})
    with pytest.raises(SyncbenchError, match="cannot read the network"):
        _ = load("models", "sd_imagedream", {"path": str(tmp_path), "device": "cpu"}).network.module()
