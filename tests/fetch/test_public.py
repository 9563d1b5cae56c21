"""Public data sets: every entry names a data set that is there, and a missing folder says where the set comes from."""

from pathlib import Path

import pytest
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.fetch.manifest import manifest, weights_named
from syncbench.bench.fetch.public import origin_of, public_sets

GUIDE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", public_sets())
def test_an_entry_is_whole_and_in_the_guide(name: str) -> None:
    one = public_sets()[name]
    assert load("datasets", one.dataset).family
    assert one.url.startswith(("https://", "http://"))
    assert one.layout
    assert one.words
    assert name in GUIDE, "the guide lists it"
    with pytest.raises(SyncbenchError, match=f"{name} is a data set, which is not downloaded"):
        weights_named(name)


@pytest.mark.parametrize(
    ("owner", "path", "words"),
    [
        ("videos", "data/DAVIS", "DAVIS 2017, trainval, 480p comes from https://davischallenge.org"),
        ("videos", "x/loveu-tgve-2023", "configs/loveu-tgve-2023/SET/VIDEO.yaml"),
        ("meshes", "GSO", "Google Scanned Objects comes from"),
        ("posed_views", "co3d/toytruck", "CATEGORY/frame_annotations.jgz"),
        ("photos", "iiw-dataset/data", "Intrinsic Images in the Wild comes from"),
    ],
)
def test_a_missing_folder_says_where_the_set_comes_from(tmp_path: Path, owner: str, path: str, words: str) -> None:
    with pytest.raises(SyncbenchError) as caught:
        load("datasets", owner, {"path": str(tmp_path / path)}).items()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_paths_mean_no_set() -> None:
    assert origin_of("videos", "holiday/navigation/blender.mp4") == ""
    assert origin_of("posed_views", "a/davis") == ""


def test_names_are_distinct_from_those_of_weights() -> None:
    assert not set(public_sets()) & set(manifest())
