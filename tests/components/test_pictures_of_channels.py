"""Pictures from channels, and the round trip from a picture to its channels and back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from syncbench.bench.catalogue.registry import load
from syncbench.bench.models.parts.channels import GAMMA, HABITS, Channel, Habit
from syncbench.bench.surfaces.light import linear_to_srgb, srgb_to_linear
from syncbench.bench.surfaces.shared import Shared
from syncbench.bench.types import Artifact, Item
from syncbench.datasets.world_channels import WorldChannels
from syncbench.datasets.world_pictures import WorldPictures
from syncbench.methods.channels.xrgb import XToRGB
from syncbench.metrics.albedo_error import AlbedoError
from syncbench.metrics.channel_reconstruction import ChannelReconstruction
from syncbench.metrics.normal_accuracy import NormalAccuracy
from syncbench.metrics.normal_error import NormalError
from syncbench.metrics.picture_error import PictureError
from syncbench.metrics.round_trip import RoundTrip
from torch import Tensor


@pytest.fixture(scope="module")
def model() -> Any:
    return load("models", "channels_to_rgb", {"dtype": "float32", "device": "cpu"})


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return WorldPictures(count=3).items()


def test_pictures_are_those_of_the_channels(items: list[Item]) -> None:
    """In linear light the picture is albedo times shading, up to the 8 bits of neither and the white of the shading."""
    for made, taken in zip(items, WorldChannels(count=3).items(), strict=True):
        assert torch.equal(made.truth["views"], taken.conditions["image"])
        for n, name in enumerate(("albedo", "normal", "shading")):
            assert torch.equal(made.conditions[name][0], taken.truth["views"][n])
        product = srgb_to_linear(made.conditions["albedo"]) * 1.25 * srgb_to_linear(made.conditions["shading"])
        shown = (product - srgb_to_linear(made.truth["views"])).abs() * made.truth["surface"]
        assert float(shown.median()) < 1e-5


def test_a_channel_left_out_is_one_that_the_item_does_not_know(model: Any, items: list[Item]) -> None:
    item = replace(items[0], protocol=replace(items[0].protocol, steps=2))
    bare = replace(item, conditions={"albedo": item.conditions["albedo"]})
    whole, some, known = (
        m(i, model, 0) for m, i in ((XToRGB(), item), (load("methods", "xrgb@albedo"), item), (XToRGB(), bare))
    )
    assert torch.equal(some.views, known.views)
    assert not torch.equal(some.views, whole.views)
    assert some.notes["without"] == ["normal", "shading"]
    assert "without" not in whole.notes
    with pytest.raises(ValueError, match="and not depth"):
        XToRGB(without=("depth",))
    assert "no channels to make a picture of" in (XToRGB().lacks(WorldChannels(count=1).items()[0]) or "")
    assert XToRGB().lacks(item) is None


def test_more_channels_say_more(model: Any, items: list[Item]) -> None:
    """From text alone the picture is another one; albedo tells most of it."""
    judge = PictureError()
    means = {
        spec: sum(judge(load("methods", spec)(item, model, 0), item).value or 0 for item in items) / len(items)
        for spec in ("xrgb", "xrgb@albedo", "xrgb@text")
    }
    assert means["xrgb"] < means["xrgb@albedo"] < means["xrgb@text"] / 2


def test_picture_error_is_the_root_mean_square_in_levels(items: list[Item]) -> None:
    item, judge = items[0], PictureError()
    true = (item.truth["views"] * 255).round() / 255
    off = torch.where(true < 0.5, true + 10 / 255, true - 10 / 255)
    made = judge(Artifact(views=off.clamp(0, 1)), item)
    assert made.value == pytest.approx(10, abs=0.3)
    assert judge.reference(Artifact(views=off.clamp(0, 1)), item) == pytest.approx(made.value, rel=1e-6)
    taken = WorldChannels(count=1).items()[0]
    assert "asks for channels" in (judge(Artifact(views=taken.truth["views"]), taken).reason or "")


CHEATS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "true channels": lambda true, image: true,
    "picture as albedo": lambda true, image: torch.stack(
        [image[0], torch.tensor([0.5, 0.5, 0.0]).view(3, 1, 1).expand_as(image[0]), torch.ones_like(image[0])]
    ),
    "grey": lambda true, image: torch.full_like(true, 0.5),
}


def test_the_round_trip_of_true_channels_stays_within_the_codecs_bound_and_guards_expose_cheats(model: Any) -> None:
    judge = RoundTrip()
    items = WorldChannels(count=4).items()
    trips: dict[str, list[float]] = {name: [] for name in (*CHEATS, "codec")}
    for item in items:
        image = item.conditions["image"]
        with torch.no_grad():
            coded = model.decode(model.encode(image))
        trips["codec"].append(255 * float((coded - image).square().mean().sqrt()))
        for name, cheat in CHEATS.items():
            made = Artifact(views=cheat(item.truth["views"], image))
            trips[name].append(judge(made, item).value or 0)
            if name == "picture as albedo":
                true = Artifact(views=item.truth["views"])
                assert (AlbedoError()(made, item).value or 0) > 10 * (AlbedoError()(true, item).value or 0)
                assert (NormalError()(made, item).value or 0) > 20 > (NormalError()(true, item).value or 0)
    means = {name: sum(values) / len(items) for name, values in trips.items()}
    assert means["true channels"] < 2 * means["codec"]
    assert means["grey"] > 3 * means["true channels"]
    assert means["picture as albedo"] < 1.5 * means["true channels"], "which is why the guards stand beside it"


def test_the_round_trip_answers_on_the_world_alone_and_always_alike(items: list[Item]) -> None:
    judge, item = RoundTrip(), WorldChannels(count=1).items()[0]
    made = Artifact(views=item.truth["views"])
    assert judge(made, item).value == judge(made, item).value
    assert "channels_to_rgb" in judge.fingerprint()
    assert "reference world alone" in (judge(made, replace(item, world=False)).reason or "")
    assert "no picture that was taken apart" in (judge(Artifact(views=items[0].truth["views"]), items[0]).reason or "")


@pytest.mark.parametrize("habit", HABITS)
def test_conventions_of_channels_are_undone_once(habit: Habit) -> None:
    """What a network reads and writes of a channel is the suite's picture again; normals are turned about x."""
    picture = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    if habit in ("grey", "first"):
        picture = picture[:, :1].expand(-1, 3, -1, -1)
    if habit in ("normal", "opposite"):
        picture = torch.nn.functional.normalize(2 * picture - 1, dim=1) / 2 + 0.5
    if habit == "compressed":  # known up to a factor, which is chosen once; none of these becomes white
        picture = HABITS[habit].shown(Channel("any", habit).given(linear_to_srgb(0.5 + 0.3 * picture)))
    read = Channel("any", habit).given(picture)
    torch.testing.assert_close(HABITS[habit].shown(read), picture, atol=1e-5, rtol=0)
    if habit == "normal":
        torch.testing.assert_close(2 * read - 1, (2 * picture - 1) * torch.tensor([1.0, -1, -1]).view(3, 1, 1))
    if habit == "opposite":
        torch.testing.assert_close(2 * read - 1, (2 * picture - 1) * torch.tensor([-1.0, 1, 1]).view(3, 1, 1))
    if habit == "gamma":
        torch.testing.assert_close(read, picture**GAMMA)
    if habit == "compressed":
        light = 1.25 * srgb_to_linear(picture)
        torch.testing.assert_close(read, light / (1 + light))


def test_a_flipped_axis_of_normals_is_caught() -> None:
    """An axis that a recipe forgets to turn is worse than no normals at all; the metric says so."""
    item, judge = WorldChannels(count=1).items()[0], NormalError(region="object")
    views = item.truth["views"].clone()
    upright = judge(Artifact(views=views.clone()), item).value or 0
    found: dict[int, float] = {}
    for axis in range(3):
        turned = views.clone()
        turned[1, axis] = 1 - turned[1, axis]
        found[axis] = judge(Artifact(views=turned), item).value or 0
    assert upright < 2
    assert min(found.values()) > 20


def test_an_ensemble_is_the_median_of_samples_and_nearer_to_the_truth() -> None:
    """Its first sample is the method's own; normals have unit length; the spread of the samples is told."""
    model = load("models", "channels_joint", {"dtype": "float32", "device": "cpu"})
    item = WorldChannels(count=1).items()[0]
    one, many = load("methods", "marigold_iid"), load("methods", "marigold_iid", {"ensemble": 5})
    single, made = one(item, model, 3), many(item, model, 3)
    seeds = np.random.SeedSequence([3, 5]).generate_state(4)
    samples = torch.stack([single.views, *(one(item, model, int(seed)).views for seed in seeds)])
    torch.testing.assert_close(made.views[0], samples[:, 0].median(0).values)
    torch.testing.assert_close(made.views[2], samples[:, 2].median(0).values)
    mean = (2 * samples[:, 1] - 1).mean(0)
    lengths, clear = (2 * made.views[1] - 1).norm(dim=0), mean.norm(dim=0) > 0.5
    torch.testing.assert_close(lengths[clear], torch.ones_like(lengths[clear]), atol=1e-4, rtol=0)
    torch.testing.assert_close(2 * made.views[1][:, ~clear] - 1, mean[:, ~clear])
    sky = item.truth["surface"][0, 0] < 0.5
    assert float(lengths[sky].mean()) < 0.3, "the sky has no normals to be made longer"
    judge = AlbedoError()
    errors = [judge(Artifact(views=sample), item).value or 0 for sample in samples]
    assert (judge(made, item).value or 0) < sum(errors) / len(errors)
    spread = made.extras["uncertainty"]
    assert spread.shape == (3, 1, 128, 128)
    assert 0 < float(spread.mean()) < 0.1
    assert made.notes["ensemble"] == 5
    assert "uncertainty" not in single.extras


def test_normals_within_an_angle_are_those_planted_within_it() -> None:
    """A quarter of the object's pixels turned by 10, 20, 28 and 40 degrees each."""
    item = WorldChannels(count=1).items()[0]
    true = item.truth["normal"][0].double()
    axis = torch.tensor([0.3, 0.5, 0.8]).double().view(3, 1, 1).expand_as(true)
    other = torch.nn.functional.normalize(torch.linalg.cross(true, axis, dim=0), dim=0)
    quarter = torch.arange(true.shape[2]) % 4
    degrees = torch.tensor([10.0, 20.0, 28.0, 40.0]).double()[quarter].deg2rad()
    turned = true * degrees.cos() + other * degrees.sin()
    views = item.truth["views"].clone()
    views[1] = (turned / 2 + 0.5).float()
    shares = {a: NormalAccuracy(angle=a)(Artifact(views=views), item).value for a in (11.25, 22.5, 30.0, 90.0)}
    assert shares == pytest.approx({11.25: 0.25, 22.5: 0.5, 30.0: 0.75, 90.0: 1.0}, abs=0.02)
    judge = NormalAccuracy()
    made = Artifact(views=item.truth["views"])
    assert judge(made, item).value == judge.reference(made, item) == 1


def test_a_residual_closes_the_product() -> None:
    """I = A S + R with a planted highlight: without the residual it is missing, with it the picture is whole."""
    item = WorldChannels(count=1).items()[0]
    albedo, _, shading = item.truth["views"]
    spot = torch.zeros(3, 128, 128)
    spot[:, 40:60, 40:60] = 0.2
    product = srgb_to_linear(albedo) * 1.25 * srgb_to_linear(shading)
    image = linear_to_srgb((product * 0.8 + spot).clamp(0, 1))[None]
    given = replace(
        item,
        surface=Shared(("albedo", "shading", "residual"), 128, 128),
        conditions={"image": image},
        truth={},
    )
    made = Artifact(views=torch.stack([albedo, shading, linear_to_srgb(spot / 0.5)]))
    plain, closed = ChannelReconstruction(), ChannelReconstruction(residual=True)
    assert (closed(made, given).value or 1) < 0.02 < (plain(made, given).value or 0)
    assert "no residual" in (closed(Artifact(views=item.truth["views"]), item).reason or "")


def test_intrinsicdiffusion_averages_what_the_network_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a network that writes roots. The mean of its samples is squared, and not the mean of squares taken."""
    model = load("models", "channels_prompted", {"dtype": "float32", "device": "cpu"})
    item = WorldChannels(count=1).items()[0]
    plain, one, four = (load("methods", spec) for spec in ("rgbx", "intrinsicdiffusion", "intrinsicdiffusion@ensemble"))
    assert torch.equal(one(item, model, 3).views, plain(item, model, 3).views)
    assert four.ensemble == 4
    monkeypatch.setattr(model, "shown", lambda names, views: views)
    seeds = (3, *map(int, np.random.SeedSequence([3, 4]).generate_state(3)))
    written = torch.stack([plain(item, model, seed).views for seed in seeds])
    monkeypatch.setattr(model, "shown", lambda names, views: views**2)
    made = four(item, model, 3)
    torch.testing.assert_close(made.views[[0, 2]], written.mean(0)[[0, 2]] ** 2)
    assert (made.views - (written**2).mean(0)).abs().max() > 1e-4, "the order matters"
    assert made.notes["ensemble"] == 4
    spread = (written - written.median(0).values).abs().median(0).values.mean(1, keepdim=True)
    torch.testing.assert_close(made.extras["uncertainty"], spread)
