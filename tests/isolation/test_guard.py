"""The guard around a component: any exception can be told, and global state is as it was afterwards."""

import torch
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.isolation.guard import describe, storable, unchanged
from syncbench.bench.surfaces.lazy import Lazy


def test_any_exception_can_be_told() -> None:
    assert describe(ValueError("x")) == "ValueError: x"
    assert describe(ValueError()) == "ValueError"
    assert describe(SyncbenchError("one sentence")) == "one sentence"
    assert storable("\ud800 ä\0") == "\\ud800 ä\0"


def test_global_random_numbers_start_from_the_seed_and_go_on_afterwards() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first = torch.rand(1)
    drawn = []
    for seed in (1, 1, 2):
        with unchanged(seed):
            drawn.append(float(torch.rand(1)))
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_what_is_made_on_first_access_is_made_under_standard_settings() -> None:
    content = Lazy(a=lambda: torch.tensor([0.5]), b=lambda: torch.ones(2))
    with unchanged():
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        assert (content["a"].dtype, content["a"].device.type) == (torch.float32, "cpu")
        assert torch.tensor(0.5).dtype == torch.float64
    assert content.intact
    content["a"].numpy()[0] = 1
    assert not content.intact
