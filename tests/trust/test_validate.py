"""Report cards: a metric made to fail in a known way is caught in just that way, an honest one passes."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from syncbench.bench.catalogue.registry import load
from syncbench.bench.cli.main import app
from syncbench.bench.trust.cards import cards_text
from syncbench.bench.trust.corruptions import CORRUPTIONS, corruption, corruptions_of, from_views, shortened, true_views
from syncbench.bench.trust.validate import WORLDS, save_cards, validate
from syncbench.bench.trust.verdicts import Ladder, Rung, ladder_checks, ladder_of
from syncbench.bench.types import FAMILIES, Item, SyncbenchError
from typer.testing import CliRunner

METRIC = '''
"""RMSE of the albedo, with a fault."""
from dataclasses import dataclass
from typing import ClassVar
import torch
from syncbench import Score

ASKED = []
KEPT = {}

@dataclass(frozen=True, kw_only=True)
class Own:
    """See the module."""
    version: ClassVar[int] = 1
    role: ClassVar[str] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[str, ...]] = ("channels",)

    def fingerprint(self):
        return "rmse of albedo, FAULT"

    def __call__(self, artifact, item):
        if "views" not in item.truth:
            if "FAULT" == "raises":
                raise KeyError("views")
            return Score(value=None, coverage=float("FAULT" == "covered"), reason="no truth")
        error = float((artifact.views[0] - item.truth["views"][0]).square().mean().sqrt())
        ASKED.append(item.id)
        if "FAULT" == "forgets" and 3 < len(ASKED) < 7:  # answers the truth once, and not again
            return Score(value=None, coverage=0.0, reason="asked before")
        if "FAULT" == "blind":
            error = 0.5
        if "FAULT" == "inverted":
            error = 1 - error
        if "FAULT" == "hoards":  # restless, but for pictures it has seen
            error += KEPT.setdefault(id(artifact.views), float(torch.rand(())))
            ASKED.append(artifact)  # so that no id comes twice
        if "FAULT" == "restless":
            error += float(torch.rand(()))
        if "FAULT" == "shaky":  # minds most what nobody sees
            seen = float((artifact.views[0] - item.truth["views"][0]).abs().max())
            error += float(0 < seen < 0.3)
        return Score(value=error)

    def reference(self, artifact, item):
        own = ((artifact.views[0] - item.truth["views"][0]) ** 2).mean() ** 0.5
        if "FAULT" == "refers":
            raise ValueError("no such thing")
        return float(own) * (1.01 if "FAULT" == "differs" else 1)
'''


def own(folder: Path, fault: str) -> str:
    file = folder / f"{fault}.py"
    file.write_text(METRIC.replace("FAULT", fault))
    return str(file)


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("honest", set[str]()),
        ("blind", {"notices", "agrees"}),
        ("inverted", {"notices", "floor", "guarded", "agrees"}),
        ("restless", {"repeats"}),
        ("raises", {"silent"}),
        ("covered", {"silent"}),
        ("shaky", {"steady"}),
        ("differs", {"agrees"}),
        ("refers", {"agrees"}),
        ("forgets", {"repeats"}),
        ("hoards", {"repeats"}),
    ],
)
def test_faults_are_found_and_only_they(tmp_path: Path, fault: str, broken: set[str]) -> None:
    [card] = validate([own(tmp_path, fault)], families=["channels"], items=6, levels=3)
    found = {check.name for check in card.checks if check.passed is False}
    if fault in ("restless", "hoards", "shaky"):  # what is random, or minds what nobody sees, breaks other promises too
        assert broken <= found
    else:
        assert found == broken
    assert card.passed == (not found)
    said = cards_text([card])
    assert ("FAIL" in said) == bool(found)
    assert all(name in said for name in found)


def test_a_reward_is_forgiven_where_another_metric_stands_guard(tmp_path: Path) -> None:
    alone = validate(["sharpness"], families=["channels"], items=6, levels=3)
    both = validate(["sharpness", own(tmp_path, "honest")], families=["channels"], items=6, levels=3)
    guarded = [next(c for c in cards[0].checks if c.name == "guarded") for cards in (alone, both)]
    assert [check.passed for check in guarded] == [False, True]
    assert "noise" in guarded[0].seen


def test_sums_in_another_order_are_no_change() -> None:
    one, truth = corruption("exchange"), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    rounded, better = [value * (1 - 4e-16) for value in truth], [value - 1e-6 for value in truth]
    assert rounded != truth
    for losses, told in ((rounded, "blind"), (better, "rewards")):
        assert ladder_of(one, truth, dict.fromkeys(one.ladder, losses)).told == told


def test_a_guard_tells_what_the_other_rewards() -> None:
    def ladder(*bounds: tuple[float, float]) -> Ladder:
        rungs = tuple(Rung(strength=n, change=(a + b) / 2, low=a, high=b, items=6) for n, (a, b) in enumerate(bounds))
        told = "rewards" if bounds[-1][1] < 0 else "uneven"
        return Ladder(corruption="blur", breaks="quality", unit="", rungs=rungs, rho=0, told=told, smallest=None)

    rewarding = ladder((-0.1, 0.1), (-2, -1))
    for other, kept in ((ladder((-1, 1), (1, 2)), True), (ladder((1, 2), (-1, 1)), False)):
        [check] = [c for c in ladder_checks("consistency", [rewarding], {"other": [other]}) if c.name == "guarded"]
        assert check.passed == kept


def test_metrics_of_fused_views_meet_fused_scenes() -> None:
    cards = validate(["disagreement", "overlap_sharpness"], families=["overlap"], items=6, levels=3)
    assert [bool(card.ladders) for card in cards] == [True, True]
    told = {x.corruption: x.told for x in cards[0].ladders}
    assert (told["shift"], told["noise"]) == ("notices", "blind"), "one noise over all windows is no disagreement"


def test_fused_truth_is_the_truth(scenes: dict[str, list[Item]]) -> None:
    for family in ("overlap", "geometry", "frames"):
        item = scenes[family][0]
        made = from_views(true_views(item, fused=True), item, fused=True)
        shown = true_views(item)
        assert torch.allclose(made.views, shown, atol=1e-6)
        assert float(made.extras["disagreement"]) < (1e-9 if family == "overlap" else 0.05)


def test_cards_are_kept_and_told(tmp_path: Path) -> None:
    cards = validate(["normal_error"], families=["channels"], items=6, levels=2)
    save_cards(cards, tmp_path)
    [kept] = json.loads((tmp_path / "cards" / "normal_error.json").read_text())
    assert kept["passed"]
    assert kept["metric"] == "normal_error"
    assert kept["ladders"][0]["rungs"][-1]["change"] == cards[0].ladders[0].rungs[-1].change
    with pytest.raises(SyncbenchError, match="at least 6 items"):
        validate(["normal_error"], items=5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["normal_eror"], "did you mean 'normal_error'"),
        (["normal_error", "--families", "frame"], "did you mean 'frames'"),
        (["normal_error", "--families", "frames"], "the others are not of frames"),
        (["seconds"], "costs are counted"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["validate", *arguments])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_cards_of_finished_families_outlive_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORLDS, "geometry", "no_such_data_set")
    asked = ["sharpness", "--families", "channels,geometry", "--items", "6", "--levels", "2", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, ["validate", *asked]).exit_code == 2
    kept = json.loads((tmp_path / "cards" / "sharpness.json").read_text())
    assert [card["family"] for card in kept] == ["channels"]


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[Item]]:
    return {family: load("datasets", WORLDS[family]).items()[:3] for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_damage_is_seeded_grows_and_keeps_to_pictures(family: Any, scenes: dict[str, list[Item]]) -> None:
    item, *others = scenes[family]
    for one in corruptions_of(family):
        made = [one(item, tuple(others), strength, 3) for strength in one.ladder]
        again = one(item, tuple(others), one.ladder[-1], 3)
        assert torch.equal(again.views, made[-1].views), one.id
        truth = item.surface.canvas().look(item.truth["canvas"]) if "canvas" in item.truth else item.truth["views"]
        off = [float((artifact.views - truth).square().mean()) for artifact in made]
        assert off[-1] > 0 or one.id == "half", one.id
        assert all(a <= b * 1.3 for a, b in pairwise(off)), (one.id, off)
        for artifact in made:
            assert artifact.views.shape == truth.shape
            assert float(artifact.views.min()) >= 0
            assert float(artifact.views.max()) <= 1


def test_windows_of_a_wide_picture_are_damaged_apart(scenes: dict[str, list[Item]]) -> None:
    item, *others = scenes["overlap"]
    windows = true_views(item)
    shifted = corruption("shift")(item, tuple(others), 4, 0)
    assert shifted.canvas is not None
    made = item.surface.canvas().look(shifted.canvas)
    ways = {
        tuple(step for step in (-4, 4) if torch.equal(window.roll(step, 1), new))
        for window, new in zip(windows, made, strict=True)
    }
    assert ways <= {(-4,), (4,)}


def test_short_ladders_keep_their_ends() -> None:
    for one in CORRUPTIONS:
        cut = shortened(one, 3)
        assert len(cut.ladder) <= 3
        assert (cut.ladder[0], cut.ladder[-1]) == (one.ladder[0], one.ladder[-1])
