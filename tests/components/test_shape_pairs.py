"""SHREC'19 and TOSCA in the folders as published: which vertices are the same, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.surfaces.rigs import RIGS
from syncbench.bench.types import Artifact, Item
from syncbench.bench.world.bodies import DEFORMATIONS, body
from syncbench.datasets.shape_pairs import ShapePairs
from syncbench.metrics.correspondence import Correspondence

FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
PLACES = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])


def off(file: Path, places: np.ndarray = PLACES, faces: np.ndarray = FACES) -> None:
    """A mesh as the file format OFF has it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [" ".join(map(str, row)) for row in places.tolist()]
    rows += [" ".join(map(str, [3, *row])) for row in faces.tolist()]
    file.write_text("\n".join(["OFF", f"{len(places)} {len(faces)} 0", *rows]) + "\n")


def items(path: Path, **fields: Any) -> list[Item]:
    return ShapePairs(path=str(path), rig="texpainter", size=32, held=1, **fields).items()


@pytest.fixture
def shrec(tmp_path: Path) -> Path:
    """Two shapes, the second with a vertex first that no face names and the others turned round; and a map."""
    off(tmp_path / "off_2" / "1.off")
    extra = np.concatenate([[[9.0, 9, 9]], PLACES[::-1] * 2])
    off(tmp_path / "off_2" / "12.off", extra, 4 - FACES[:, ::-1])
    (tmp_path / "groundtruth").mkdir()
    (tmp_path / "groundtruth" / "1_12.map").write_text("5\n4\n3\n2\n")
    return tmp_path


def test_shrec_maps_count_from_one_and_vertices_without_faces_are_left_out(shrec: Path) -> None:
    first, second = items(shrec)
    assert (first.id, second.id, first.prompts) == ("1", "12", ("human",))
    assert first.truth["match_12"].tolist() == [3, 2, 1, 0]
    assert not any(name.startswith("match_") for name in second.truth)
    found = second.truth["vertices"][first.truth["match_12"]]
    gap = first.truth["vertices"] - found
    torch.testing.assert_close(gap, torch.zeros(4, 3), atol=1e-6, rtol=0)


def test_the_default_is_the_protocol_of_diff3f(shrec: Path) -> None:
    item = ShapePairs(path=str(shrec)).items()[0]
    assert item.surface.window == (512, 512)
    assert item.surface.views == len(RIGS["diff3f"].azimuth) == 100  # type: ignore[attr-defined]
    assert (item.protocol.steps, item.protocol.guidance, item.protocol.eta) == (30, 7.0, 1.0)
    few = items(shrec)[0]
    assert few.conditions["depth"].shape == (8, 1, 32, 32)
    assert few.conditions["camera"].shape == (8, 16)
    assert torch.equal(few.conditions["depth"] > 0, few.truth["depth"] > 0)


def test_the_same_shapes_are_known_by_their_content_wherever_they_lie(shrec: Path, tmp_path: Path) -> None:
    before = [item.content for item in items(shrec)]
    shrec.rename(moved := tmp_path.parent / f"{tmp_path.name}-moved")
    assert [item.content for item in items(moved)] == before
    (moved / "groundtruth" / "1_12.map").write_text("4\n5\n3\n2\n")
    assert items(moved)[0].content != before[0]


@pytest.mark.parametrize("kind", ["off", "mat", "Meshes"])
def test_tosca_pairs_shapes_of_one_name_vertex_by_vertex(kind: str, tmp_path: Path) -> None:
    own = body("cube")
    for name, how in (("cat0", "rest"), ("cat3", "twist"), ("dog1", "bend"), ("david2", "rest"), ("david4", "bend")):
        places = DEFORMATIONS[how](*own.vertices.T)
        if kind == "mat":
            columns = dict(zip("XYZ", places.T[:, :, None], strict=True))
            savemat(tmp_path / f"{name}.mat", {"surface": {**columns, "TRIV": own.faces + 1}})
        else:
            off(tmp_path / ("Meshes" if kind == "Meshes" else "") / f"{name}.off", places, own.faces)
    made = items(tmp_path)
    assert [item.id for item in made] == ["cat0", "cat3", "dog1"]
    assert [item.prompts[0] for item in made] == ["cat", "cat", "dog"]
    matched = {item.id: [name for name in item.truth if name.startswith("match_")] for item in made}
    assert matched == {"cat0": ["match_cat3"], "cat3": ["match_cat0"], "dog1": []}
    assert made[0].truth["match_cat3"].tolist() == list(range(len(own.vertices)))
    assert [item.id for item in items(tmp_path, humans=True)] == ["cat0", "cat3", "david2", "david4", "dog1"]
    views, exact = torch.zeros(1, 3, 8, 8), torch.eye(len(own.vertices))
    samples = {item.id: Artifact(views=views, extras={"features": exact}) for item in made}
    scores = Correspondence().group(samples, {item.id: item for item in made})
    assert (scores["cat0"].value, scores["dog1"].value) == (100, None)


def broken(root: Path, how: str) -> None:
    maps, file = root / "groundtruth", root / "groundtruth" / "1_12.map"
    if how == "short":
        file.write_text("5\n4\n3\n")
    elif how == "zero":
        file.write_text("0\n4\n3\n2\n")
    elif how == "words":
        file.write_text("5\nfour\n3\n2\n")
    elif how == "halves":
        file.write_text("5\n3.5\n3\n2\n")
    elif how == "named":
        (maps / "one_two.map").write_text("1")
    elif how == "missing":
        (maps / "1_7.map").write_text("1\n1\n1\n1\n")
    elif how == "none":
        file.unlink()
    elif how == "faces":
        off(root / "off_2" / "1.off", PLACES, FACES + 9)
    elif how == "text":
        (root / "off_2" / "1.off").write_text("hello")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("short", r"1_12.map: 3 numbers, but its first shape has 4 vertices"),
        ("zero", r"1_12.map: numbers of vertices count from 1 to 5"),
        ("halves", r"1_12.map: numbers of vertices count from 1 to 5"),
        ("words", r"1_12.map: this is no list of numbers"),
        ("named", r"one_two.map: a map of SHREC'19 is called 1_2.map"),
        ("missing", r"1_7.map: shape 7 has no file off_2/7.off"),
        ("none", r"no two shapes with a known correspondence"),
        ("faces", r"1.off: "),
        ("text", r"1.off: trimesh cannot read this mesh"),
    ],
)
def test_damage_is_refused_in_a_sentence(how: str, words: str, shrec: Path) -> None:
    broken(shrec, how)
    with pytest.raises(SyncbenchError, match=words):
        items(shrec)


def test_other_folders_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match=r"no shapes given: add --set shape_pairs\.path="):
        ShapePairs().items()
    with pytest.raises(SyncbenchError, match="no folder "):
        items(tmp_path / "nowhere")
    with pytest.raises(SyncbenchError, match="no two shapes with a known correspondence"):
        items(tmp_path)
    (tmp_path / "cat0.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(SyncbenchError, match=r"cat0.mat: this is no MATLAB file \(up to version 7\)"):
        items(tmp_path)
    (tmp_path / "cat0.mat").unlink()
    off(tmp_path / "cat0.off")
    off(tmp_path / "cat1.off", np.concatenate([PLACES, PLACES[:1]]))
    with pytest.raises(SyncbenchError, match=r"cat0.off has 4 vertices and cat1.off 5, but"):
        items(tmp_path)
