"""No toy numbers on real pictures: what the bundled judge and the bundled models refuse, and how they say it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lpips
import pytest
import torch
from PIL import Image
from syncbench import run
from syncbench.bench.backbones import published
from syncbench.bench.backbones.clip import clip
from syncbench.bench.backbones.judge import BUNDLED
from syncbench.bench.backbones.perceptual import PackageLpips, vgg_lpips
from syncbench.bench.catalogue.registry import load
from syncbench.bench.cli.doctor import doctor
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.fetch import torch_hub
from syncbench.bench.models.reference import Reference
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.report.report import report
from syncbench.bench.sampling.loop import Noise, Step
from syncbench.bench.store.folder import load_records
from syncbench.bench.surfaces.shared import Apart, Shared
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Artifact, Item, Sampling
from syncbench.bench.world.grammar import is_caption
from syncbench.methods.overlap import syncdiffusion
from syncbench.metrics.clip_text import ClipText
from torchvision.models import vgg16
from typer.testing import CliRunner

CAPTION = "a red ball on a green meadow under a blue sky"
REAL = "a woman running in a garden"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without published weights."""
    monkeypatch.setattr(torch_hub, "hub_folder", lambda: tmp_path / "torch")
    monkeypatch.setattr("syncbench.bench.backbones.clip.try_to_load_from_cache", lambda *about: None)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *about: None)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def panorama(world: bool) -> tuple[Artifact, Item]:
    item = Item(id="a", family="overlap", prompts=(CAPTION,), world=world, surface=Strip(64, 256, 64))
    return Artifact(views=noise(4, 3, 64, 64), canvas=noise(3, 64, 256)), item


def edit(world: bool) -> tuple[Artifact, Item]:
    source, truth = noise(3, 3, 64, 64), noise(3, 3, 64, 64) / 2
    item = Item(
        id="a",
        family="frames",
        prompts=(CAPTION,),
        world=world,
        surface=Apart(3, 64, 64),
        conditions={"video": source},
        truth={"views": truth},
    )
    return Artifact(views=noise(3, 3, 64, 64).flip(0)), item


LOOKS: dict[str, tuple[Callable[[bool], tuple[Artifact, Item]], str]] = {
    "intra_lpips": (panorama, "lpips"),
    "straddle_lpips": (panorama, "lpips"),
    "variety": (panorama, "lpips"),
    "edit_strength": (edit, "lpips"),
    "intra_style": (panorama, "vgg19"),
    "clip_text": (panorama, "clip"),
    "clip_text@squeezed": (panorama, "clip"),
    "frame_clip": (edit, "clip"),
}
"""Metrics that look through a network, something for them to look at, and what fetches the network."""


def asked(metric: Any, artifact: Artifact, item: Item) -> Any:
    if hasattr(metric, "group"):
        other = replace(artifact, canvas=1 - artifact.canvas) if artifact.canvas is not None else artifact
        return metric.group({"a": artifact, "b": other}, {"a": item, "b": item})["a"]
    return metric(artifact, item)


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("fields", [{}, {"backbone": "reference"}])
def test_the_bundled_judge_answers_on_items_of_the_world_only(name: str, fields: dict[str, Any]) -> None:
    make, weights = LOOKS[name]
    metric = load("metrics", name, fields)
    assert asked(metric, *make(True)).value is not None
    score = asked(metric, *make(False))
    assert (score.value, score.coverage) == (None, 0)
    assert "the bundled judge knows the reference world only" in score.reason
    assert f"`syncbench fetch {weights}`" in score.reason
    own = load("metrics", name, {"folder": str(BUNDLED)})
    assert asked(own, *make(False)).value is not None, "a judge of one's own judges what it is given"


@pytest.mark.parametrize("name", ["intra_lpips@statistics", "edit_strength@statistics"])
def test_plain_statistics_judge_anything(name: str) -> None:
    make, _ = LOOKS[name.partition("@")[0]]
    assert asked(load("metrics", name), *make(False)).value is not None


@pytest.mark.parametrize(
    ("which", "weights"), [("b16", "clip"), ("b32", "clip-b32"), ("l14", "clip-l14"), ("l14-336", "clip-l14-336")]
)
def test_published_clips_are_asked_for_by_name(which: str, weights: str) -> None:
    for name in ("clip_text", "frame_clip"):
        with pytest.raises(SyncbenchError, match=rf"is not on this machine: syncbench fetch {weights} brings it"):
            load("metrics", f"{name}@{which}").fingerprint()
    with pytest.raises(SyncbenchError, match="choose one of ViT-B-16, ViT-B-32, ViT-L-14, ViT-L-14-336, reference"):
        clip("ViT-H-14")


def test_published_networks_that_are_asked_for_and_missing_name_their_fetch() -> None:
    for metric, weights in (("intra_lpips", "lpips"), ("intra_style", "vgg19")):
        with pytest.raises(SyncbenchError, match=f"syncbench fetch {weights} brings it, or use backbone=reference"):
            load("metrics", metric, {"backbone": "vgg"}).fingerprint()


def test_a_picture_without_a_prompt_has_no_text_score() -> None:
    item = Item(id="a", family="channels", prompts=("",), surface=Shared(("albedo",), 64, 64))
    assert ClipText()(Artifact(views=noise(1, 3, 64, 64)), item).reason == "the item has no prompt"


def test_items_of_the_suites_own_worlds_say_so_and_ones_own_where_the_grammar_does(tmp_path: Path) -> None:
    for name in ("panoramas", "world_meshes", "world_views", "world_videos", "world_channels"):
        items = load("datasets", name).items()
        assert all(item.world for item in items)
        assert all(map(is_caption, (prompt for item in items for prompt in item.prompts)))
    (tmp_path / "a.txt").write_text(f"{CAPTION}\n{REAL}\n")
    mine = load("datasets", "prompts", {"path": str(tmp_path / "a.txt")}).items()
    assert [item.world for item in mine] == [True, False]


def test_a_bundled_model_names_the_words_it_does_not_know() -> None:
    model = Reference(device="cpu")
    assert model.unknown(CAPTION) == ()
    assert model.unknown("A Woman, running in a garden: a red woman") == ("woman", "running", "in", "garden")


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clip of two frames and a photo."""
    monkeypatch.chdir(tmp_path)
    frames = [Image.fromarray((noise(64, 64, 3) * 255).byte().numpy()) for _ in range(2)]
    frames[0].save("walk.gif", save_all=True, append_images=[Image.new("RGB", (64, 64), "red")])
    frames[0].save("room.png")
    return tmp_path


SHORT = ("--methods", "independent", "--metrics", "sharpness", "--set", "protocol.steps=1")


def sets(**fields: object) -> list[str]:
    return [word for name, value in fields.items() for word in ("--set", f"{name.replace('__', '.')}={value}")]


def test_a_real_clip_on_a_bundled_model_is_refused_before_the_sweep(place: Path) -> None:
    clip = sets(videos__path="walk.gif", videos__size=64, videos__frames=2)
    done = call("run", "quick", "--datasets", "videos", *clip, *sets(videos__prompt=REAL), *SHORT, "--out", "out")
    assert done.exit_code == 2, done.output
    text = " ".join(done.output.split())
    assert "`motion` does not know *woman*, *running*, *in*, *garden* (item 'walk-" in text
    assert "use a real checkpoint (--model FOLDER" in text
    assert not (place / "out").exists()
    words = call(
        "run",
        "quick",
        "--datasets",
        "videos",
        *clip,
        *sets(videos__prompt="a city under a sky"),
        *SHORT,
        "--out",
        "out",
    )
    assert words.exit_code == 2, "known words alone do not make a clip of the world"
    assert "`motion` knows the reference world only, and item 'walk-" in " ".join(words.output.split())
    done = call("run", "quick", "--datasets", "videos", *clip, *sets(videos__prompt=CAPTION), *SHORT, "--out", "out")
    assert done.exit_code == 0, done.output


def test_a_photo_on_a_bundled_model_is_refused_before_the_sweep(place: Path) -> None:
    photo = sets(photos__path="room.png", photos__size=64)
    done = call("run", "quick", "--datasets", "photos", *photo, "--metrics", "sharpness", "--out", "out")
    assert done.exit_code == 2, done.output
    assert "knows the reference world only, and item 'room-" in " ".join(done.output.split())
    assert not (place / "out").exists()


def test_prompts_of_ones_own_are_refused_by_word(place: Path) -> None:
    (place / "a.txt").write_text(f"a landscape of green meadow and purple hills under an orange sky\n{REAL}\n")
    mine = sets(prompts__path="a.txt", prompts__width=256, prompts__window=128)
    done = call("run", "quick", "--datasets", "prompts", *mine, *SHORT, "--out", "out")
    assert done.exit_code == 2, done.output
    assert "`reference` does not know *woman*" in " ".join(done.output.split())
    assert call("run", "quick", "--datasets", "prompts", *mine, *SHORT, "--limit", 1, "--out", "out").exit_code == 0


def test_other_models_take_any_words_and_the_judge_is_silent(place: Path) -> None:
    (place / "a.txt").write_text(f"{REAL}\n")
    run(
        {
            "model": {"id": "tiny", "device": "cpu"},
            "datasets": [{"id": "prompts", "path": "a.txt", "width": 128, "window": 64}],
            "methods": ["independent", "syncdiffusion@paper"],
            "metrics": ["intra_lpips", "clip_text", "sharpness"],
            "protocol": {"steps": 1},
        },
        place / "out",
    )
    rows = load_records([place / "out"]).set_index(["method", "metric"])
    assert set(rows["status"]) == {"ok"}
    assert rows.loc[("independent", "sharpness"), "value"] > 0
    for metric, weights in (("intra_lpips", "lpips"), ("clip_text", "clip")):
        row = rows.loc[("independent", metric)]
        assert row["value"] is None or row["value"] != row["value"]
        assert f"syncbench fetch {weights}" in row["reason"]
    assert "descends LPIPS on VGG16" in rows.loc[("syncdiffusion@paper", "sharpness"), "reason"]
    text = report(place / "out", "md")
    assert "syncbench fetch lpips" in text


def test_conditions_that_a_model_does_not_see_stand_in_report_and_board(place: Path) -> None:
    suite = {
        "model": {"id": "tiny", "device": "cpu"},
        "datasets": [{"id": "world_channels", "count": 1, "size": 64}],
        "methods": ["independent", "trap@blur"],
        "metrics": ["sharpness"],
        "protocol": {"steps": 1},
    }
    run(suite, place / "out")
    said = "Model tiny takes no notice of the items' condition image."
    assert report(place / "out", "md").count(said) == 1
    assert " ".join(report(place / "out", width=300).split()).count(said) == 1
    done = call("board", "out")
    assert done.exit_code == 0, done.output
    assert said in (place / "out" / "board.html").read_text()
    run(
        {**suite, "model": {"id": "channels_joint", "device": "cpu"}, "datasets": ["world_channels"], "limit": 1},
        place / "b",
    )
    assert "takes no notice" not in report(place / "b", "md")
    clips = {"datasets": [{"id": "world_videos", "size": 64, "frames": 2}], "limit": 1}
    run({**suite, **clips, "methods": ["independent", "per_frame"]}, place / "c")
    text = report(place / "c", "md")
    assert "Model tiny takes no notice of the items' condition depth." in text
    assert "Model tiny takes no notice of the items' condition video; some methods do themselves." in text


def test_doctor_says_what_would_be_null(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = {finding.name: finding.found for finding in doctor(tmp_path)}
    for name, metric, weights in (
        ("lpips weights", "intra_lpips", "lpips"),
        ("style weights", "intra_style", "vgg19"),
        ("clip weights", "clip_text", "clip"),
    ):
        assert "null outside the reference world" in found[name]
        assert metric in found[name]
        assert f"syncbench fetch {weights}" in found[name]
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / published.VGG16).touch()
    assert {finding.name: finding.found for finding in doctor(tmp_path)}["lpips weights"].startswith("published")


def test_syncdiffusion_of_the_paper_says_that_it_cannot() -> None:
    method, (_, item) = load("methods", "syncdiffusion@paper"), panorama(True)
    assert method.guide == "vgg"
    assert method.loads() == {}
    assert "`syncbench fetch lpips` brings it" in method.lacks(item)
    assert load("methods", "syncdiffusion").lacks(item) is None
    judged = load("methods", "syncdiffusion", {"guide": "reference"})
    assert judged.lacks(item) is None
    assert "syncbench fetch lpips" in judged.lacks(panorama(False)[1])


def test_syncdiffusion_of_the_paper_descends_lpips_on_vgg16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is that of the package's own LPIPS between every decoded window and the middle one."""
    torch.manual_seed(0)
    package: lpips.LPIPS = vgg_lpips(vgg16(weights=None).features.state_dict(prefix="features."))
    monkeypatch.setattr(syncdiffusion, "checkpoint", lambda name: Path(name))
    monkeypatch.setattr(
        syncdiffusion, "perceptual", lambda which, device=None: {"vgg": PackageLpips(package, "x")}[which]
    )
    method, model = load("methods", "syncdiffusion@paper"), Tiny(device="cpu", sample_size=8)
    assert method.loads() == {"guide_weights": PackageLpips(package, "x").fingerprint}
    item = Item(id="a", family="overlap", prompts=(CAPTION,), surface=Strip(64, 128, 64), protocol=Sampling(steps=3))
    assert method.lacks(item) is None
    canvas = item.surface.canvas(model.factor, 0.5)
    level, condition = list(model.schedule(3))[1], model.condition([CAPTION] * 3, 2.0)
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    step = Step(level, canvas, model, condition, item.protocol, Noise(canvas, model, 0), lambda: canvas)
    with torch.no_grad():
        found = method.gradient(x, step)
        goal = model.decode(model.predict(x[1:2], level, condition.rows(slice(1, 2)))[0])
    y = x.clone().requires_grad_()
    images = model.decode(model.predict(y, level, condition)[0])
    distance = package(2 * images[[0, 2]] - 1, 2 * goal.expand(2, -1, -1, -1) - 1).sum()
    wanted = torch.autograd.grad(distance, y)[0]
    assert float(wanted[0].abs().max()) > 0
    torch.testing.assert_close(found[[0, 2]], wanted[[0, 2]], rtol=1e-3, atol=1e-6)
    assert not found[1].any(), "the anchor stays"
