"""The panoramas and a user's own prompt files, broken ones included."""

from pathlib import Path

import pytest
import torch
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.types import Dataset
from syncbench.bench.world import parse
from syncbench.datasets.panoramas import Panoramas
from syncbench.datasets.prompts import Prompts
from syncbench.datasets.world_panoramas import WorldPanoramas


def test_panoramas_are_many_unique_and_the_same_every_time() -> None:
    items = Panoramas().items()
    assert isinstance(Panoramas(), Dataset)
    assert len(items) >= 12
    assert len({item.id for item in items}) == len({item.prompts for item in items}) == len(items)
    assert [item.id for item in items] == [item.id for item in Panoramas().items()]
    assert all(item.family == "overlap" and item.surface.window == (128, 128) for item in items)
    assert all(item.surface.width >= 4 * item.surface.window_width for item in items)


def test_truth_is_rendered_on_access_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = Panoramas._truth
    monkeypatch.setattr(Panoramas, "_truth", lambda *a: calls.append(a) or original(*a))
    item = Panoramas(width=256).items()[0]
    assert "canvas" in item.truth
    assert not calls
    truth = item.truth["canvas"]
    assert truth.shape == (3, 128, 256)
    assert truth.dtype == torch.float32
    assert 0 <= float(truth.min()) < float(truth.max()) <= 1
    assert float(truth.std()) > 0.05
    assert item.truth["canvas"] is truth
    assert len(calls) == 1
    assert torch.equal(truth, Panoramas(width=256).items()[0].truth["canvas"])


def test_truths_differ_between_items_and_windows() -> None:
    first, second = (item.truth["canvas"] for item in Panoramas(width=256).items()[:2])
    assert float((first - second).abs().mean()) > 0.05
    assert float((first[..., :128] - first[..., 128:]).abs().mean()) > 0.01, "a landscape, not a repeated tile"


def test_wrapping_panoramas_have_no_truth() -> None:
    item = Panoramas(wrap=True).items()[0]
    assert dict(item.truth) == {}
    assert item.surface.wrap


@pytest.mark.parametrize(
    ("fields", "words"), [({"width": 64}, "narrower than its window"), ({"height": 0}, "positive")]
)
def test_impossible_sizes_are_refused(fields: dict[str, int], words: str) -> None:
    with pytest.raises(SyncbenchError, match=words):
        Panoramas(**fields).items()


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_txt_jsonl_and_csv_say_the_same(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.txt", "# mine\n\na wide, green sea\nthe city\n"),
        write(tmp_path / "b.jsonl", '{"prompt": "a wide, green sea"}\n\n{"prompt": "the city", "other": 1}\n'),
        write(tmp_path / "c.csv", '\ufeffother,prompt\n1,"a wide, green sea"\n2,the city\n'),
    ]
    for file in files:
        items = Prompts(path=file).items()
        assert [item.prompts for item in items] == [("a wide, green sea",), ("the city",)]
        assert len({item.id for item in items}) == 2
        assert items[0].surface.window == (512, 512)
        assert items[0].truth == {}


def test_ids_and_negatives_are_taken_from_the_file(tmp_path: Path) -> None:
    rows = '{"prompt": "a", "id": "one", "negative": "blur"}\n{"prompt": "b", "id": "two"}\n'
    path = write(tmp_path / "p.jsonl", rows)
    items = Prompts(path=path, window=64, width=256, height=32).items()
    assert [item.id for item in items] == ["one", "two"]
    assert [item.protocol.negative for item in items] == ["blur", ""]
    assert items[0].surface.window == (32, 64)


def test_a_quoted_csv_cell_may_span_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", 'prompt,id\n"a\nb",x\nc,y\n,z\n')
    with pytest.raises(SyncbenchError, match=r"p\.csv:5: the prompt is empty"):
        Prompts(path=path).items()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "no prompts"),
        ("a.txt", "# only a comment\n", "no prompts"),
        ("a.txt", b"fine\n\xff\xfe\n", "a.txt:2: not UTF-8"),
        ("a.jsonl", '{"prompt": "a"}\n{"prompt": }\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", '["a"]\n', "a.jsonl:1: expected an object"),
        ("a.jsonl", '{"prompt": "a"}\n{"promt": "b"}\n', "a.jsonl:2: no 'prompt' (there is promt)"),
        ("a.jsonl", '{"prompt": 3}\n', "a.jsonl:1: 'prompt' must be text"),
        ("a.jsonl", '{"prompt": null}\n', "a.jsonl:1: the prompt is empty"),
        ("a.jsonl", '{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "x"}\n', "a.jsonl:2: id 'x' is already used"),
        ("a.csv", "text\nhello\n", "a.csv:1: the header has no 'prompt'"),
        ("a.csv", "", "a.csv:1: the header has no 'prompt'"),
        ("a.csv", "prompt\na, b\n", "a.csv:2: more cells"),
        ("a.csv", 'prompt\n"a" b\n', "a.csv:2: not CSV"),
        ("a.csv", "prompt,id\na,1\n,2\n", "a.csv:3: the prompt is empty"),
        ("a.csv", "prompt\n", "no prompts"),
        ("a.yaml", "x", "ends in .txt, .jsonl, .csv"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, text: str | bytes, words: str) -> None:
    with pytest.raises(SyncbenchError) as caught:
        Prompts(path=write(tmp_path / name, text)).items()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match="No such file"):
        Prompts(path=str(tmp_path / "none.txt")).items()
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(SyncbenchError, match="Is a directory"):
        Prompts(path=str(tmp_path / "folder.txt")).items()
    with pytest.raises(SyncbenchError, match=r"--set prompts\.path=FILE"):
        Prompts().items()


def test_world_panoramas_are_endless_and_begin_alike() -> None:
    few, many = WorldPanoramas(count=5).items(), WorldPanoramas(count=40).items()
    assert [i.prompts for i in few] == [i.prompts for i in many[:5]]
    assert len({i.prompts for i in many}) == 40
    assert {i.prompts for i in WorldPanoramas(count=40, seed=1).items()} != {i.prompts for i in many}
    assert few[0].truth["canvas"].shape == (3, 128, 512)
    assert all(parse(i.prompts[0]).kind == "landscape" for i in many)
    with pytest.raises(SyncbenchError, match="leaves no items"):
        WorldPanoramas(count=0)
