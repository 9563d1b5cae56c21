"""Components in bad moods, one a fault that must not end a sweep. Named as `moods.py:Class` by the tests."""

import ctypes
import gc
import io
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import torch
from syncbench import Artifact, Canvas, Cost, Item, Sampling, Score, Strip
from syncbench.bench.surfaces.lazy import Lazy
from syncbench.methods.independent import Independent

LONE = "\ud800"
"""A surrogate without its partner: no UTF-8 holds it."""


class Mute(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Leaving(Exception):
    """Its text ends the process."""

    def __str__(self) -> str:
        sys.exit(0)


class Final(BaseException):
    """Not even an Exception."""


def fail(error: BaseException) -> Any:
    raise error


def recursion(n: int = 0) -> int:
    return recursion(n + 1)


def cycle() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["self"] = made
    return made


RAISES: dict[str, Callable[[], Any]] = {
    "raises": lambda: fail(RuntimeError("a bolt broke")),
    "surrogate text": lambda: fail(RuntimeError(LONE)),
    "text raises": lambda: fail(Mute()),
    "text exits": lambda: fail(Leaving()),
    "exits": sys.exit,
    "exits with 0": lambda: sys.exit(0),
    "exits with 3": lambda: sys.exit(3),
    "generator exit": lambda: fail(GeneratorExit()),
    "stop iteration": lambda: fail(StopIteration()),
    "base exception": lambda: fail(Final("x")),
    "recursion": recursion,
    "memory": lambda: fail(MemoryError()),
    "allocation": lambda: torch.empty(1 << 52),
    "assertion": lambda: fail(AssertionError()),
}
"""Whatever a call may raise."""


def answers(a: Artifact) -> dict[str, Callable[[], Any]]:
    """What a method may answer, by mood; `a` is a good answer."""
    views, canvas = a.views, a.canvas
    assert canvas is not None

    def notes(value: Any) -> Artifact:
        return replace(a, notes={"x": value})

    def extras(value: Any) -> Artifact:
        return replace(a, extras={"x": value})

    return {
        "none": lambda: None,
        "dict": lambda: {"views": views},
        "views a list": lambda: replace(a, views=list(views)),
        "views an array": lambda: replace(a, views=views.numpy()),
        "views flat": lambda: replace(a, views=views[0]),
        "views grey": lambda: replace(a, views=views[:, :1]),
        "no views": lambda: replace(a, views=views[:0]),
        "views too few": lambda: replace(a, views=views[1:]),
        "views too many": lambda: replace(a, views=views.repeat(300, 1, 1, 1)),
        "views too small": lambda: replace(a, views=views[..., :8, :8]),
        "views bytes": lambda: replace(a, views=(views * 255).byte()),
        "views bool": lambda: replace(a, views=views > 0.5),
        "views half": lambda: replace(a, views=views.half()),
        "views complex": lambda: replace(a, views=views.to(torch.complex64)),
        "views sparse": lambda: replace(a, views=views.to_sparse()),
        "views meta": lambda: replace(a, views=views.to("meta")),
        "views nan": lambda: replace(a, views=views * float("nan")),
        "views inf": lambda: replace(a, views=views / 0),
        "views out of range": lambda: replace(a, views=views + 7),
        "canvas too small": lambda: replace(a, canvas=canvas[..., :9, :9]),
        "canvas flat": lambda: replace(a, canvas=canvas[0]),
        "canvas text": lambda: replace(a, canvas="wide"),
        "extras none": lambda: replace(a, extras=None),
        "extras a list": lambda: extras([1.0]),
        "extras sparse": lambda: extras(torch.eye(3).to_sparse()),
        "extras quantised": lambda: extras(torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.quint8)),
        "extras meta": lambda: extras(torch.empty(3, device="meta")),
        "extras int key": lambda: replace(a, extras={3: torch.ones(2)}),
        "extras tuple key": lambda: replace(a, extras={("a", 1): torch.ones(2)}),
        "extras surrogate key": lambda: replace(a, extras={LONE: torch.ones(2)}),
        "notes a list": lambda: replace(a, notes=[1]),
        "notes nan": lambda: notes(float("nan")),
        "notes nan tensor": lambda: notes(torch.tensor(float("nan"))),
        "notes tensor": lambda: notes(torch.ones(3)),
        "notes array": lambda: notes(np.ones(3)),
        "notes tuple key": lambda: notes({(1, 2): 3}),
        "notes surrogate": lambda: notes(LONE),
        "notes surrogate key": lambda: notes({LONE: 1}),
        "notes set": lambda: notes({1}),
        "notes bytes": lambda: notes(b"x"),
        "notes object": lambda: notes(object()),
        "notes cycle": lambda: replace(a, notes=cycle()),
        "notes huge number": lambda: notes(10**5000),
        "cost none": lambda: replace(a, cost=None),
        "cost nan": lambda: replace(a, cost=Cost(evaluations=float("nan"))),
        "cost negative": lambda: replace(a, cost=Cost(evaluations=-1)),
        "cost text": lambda: replace(a, cost=Cost(decodes="many")),
    }


def harmless(a: Artifact) -> dict[str, Callable[[], Any]]:
    """Answers that are odd and simply stored."""
    base = torch.rand(4)
    return {
        "views with a gradient": lambda: replace(a, views=a.views.clone().requires_grad_()),
        "views float64": lambda: replace(a, views=a.views.double()),
        "views in steps": lambda: replace(a, views=a.views.repeat_interleave(2, -1)[..., ::2]),
        "extras share memory": lambda: replace(a, extras={"a": base, "b": base, "c": base[1:]}),
        "extras with a gradient": lambda: replace(a, extras={"a": base.clone().requires_grad_()}),
        "extras parameter": lambda: replace(a, extras={"a": torch.nn.Parameter(base)}),
        "notes numpy number": lambda: replace(a, notes={"x": np.float32(0.5), "y": np.int64(3), "z": np.bool_(True)}),
        "notes tensor number": lambda: replace(a, notes={"x": torch.tensor(3), "y": torch.tensor(0.5)}),
        "notes tuple": lambda: replace(a, notes={"x": (1, 2)}),
        "cost numpy": lambda: replace(a, cost=Cost(evaluations=np.int64(3), decodes=torch.tensor(2))),
    }


def _replace_stdout() -> None:
    sys.stdout = io.StringIO()


def _handler(number: int, frame: Any) -> None:
    os._exit(9)


BEHIND: dict[str, Callable[[], Any]] = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch.set_grad_enabled(False),
    "seeds": lambda: (random.seed(1), np.random.seed(1), torch.manual_seed(1)),
    "draws": lambda: (random.random(), np.random.rand(), torch.rand(1)),
    "folder": lambda: os.chdir("/"),
    "environment": lambda: os.environ.update({"OMP_NUM_THREADS": "7", "MOOD": "bad"}),
    "no environment": lambda: os.environ.clear(),
    "prints": lambda: (print("mood"), os.write(1, b"mood\n"), os.system("echo mood")),
    "closes stdout": lambda: sys.stdout.close(),
    "closes descriptor 1": lambda: os.close(1),
    "replaces stdout": _replace_stdout,
    "determinism": lambda: torch.use_deterministic_algorithms(False),
    "strict determinism": lambda: torch.use_deterministic_algorithms(True),
    "warnings": lambda: warnings.simplefilter("error"),
    "threads": lambda: torch.set_num_threads(7),
    "denormals": lambda: torch.set_flush_denormal(True),
    "numpy errors": lambda: np.seterr(all="raise"),
    "file mode": lambda: os.umask(0o777),
    "recursion limit": lambda: sys.setrecursionlimit(200),
    "garbage": gc.disable,
    "signals": lambda: signal.signal(signal.SIGTERM, _handler),
    "alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 0.2),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
}
"""What a component may change behind one's back."""


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _endless() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


DEADLY: dict[str, Callable[[], Any]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leaves with 0": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "leaves with 3": lambda: os._exit(3),
    "terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
}
"""Whatever ends a process."""
ENDLESS: dict[str, Callable[[], Any]] = {"sleeps": _endless, "stopped": _stop}
"""Whatever never ends."""


@dataclass(frozen=True, kw_only=True)
class Moody(Independent):
    """Does what `mood` says, on items called other than `spare`; `answers` are made without the model."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Any] = None
    mood: str = ""

    def __call__(self, item: Item, model: Any, seed: int) -> Artifact:
        """In a mood."""
        for acts in (RAISES, BEHIND, DEADLY, ENDLESS):
            if self.mood in acts:
                acts[self.mood]()
        good = super().__call__(item, model, seed)
        if self.mood.startswith("cost"):
            model.cost = Cost()
        return {**answers(good), **harmless(good)}.get(self.mood, lambda: good)()


@dataclass(frozen=True, kw_only=True)
class Sensitive(Independent):
    """A careless but honest method: global random numbers, default dtype, gradients, no seed of its own."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Any] = None

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Any) -> Artifact:
        """Whatever is left of the last component would show here."""
        shades = [torch.rand(1), torch.tensor([np.random.rand()]), torch.tensor([random.random()])]
        third = torch.tensor([1.0]) / 3
        facts = {
            "dtype": str(third.dtype),
            "grad": torch.is_grad_enabled(),
            "folder": os.getcwd(),
            "mood": os.environ.get("MOOD", ""),
            "threads": torch.get_num_threads(),
            "home": "PATH" in os.environ,
        }
        made = super().finish(state, item, canvas, model)
        given = item.conditions["hint"].float().mean() if "hint" in item.conditions else torch.zeros(())
        made.extras["shades"] = torch.cat([*shades, third, given.reshape(1).to(third.dtype)])
        made.notes.update(facts)
        return made


@dataclass(frozen=True, kw_only=True)
class Tampering(Independent):
    """Changes what it was given: the item's tensors, or the model's weights."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Any] = None
    what: str = "item"

    def __call__(self, item: Item, model: Any, seed: int) -> Artifact:
        """By torch, by NumPy, or in the model."""
        if self.what == "item":
            item.conditions["hint"].zero_()
        if self.what == "numpy":
            item.conditions["hint"].numpy()[:] = 0
        if self.what == "weights":
            with torch.no_grad():
                next(iter(model.pipeline.unet.parameters())).zero_()
        if self.what == "precision":
            model.pipeline.unet.half()
            return super().__call__(item, model, seed) and None
        return super().__call__(item, model, seed)


@dataclass(frozen=True, kw_only=True)
class Hints:
    """Two strips with a hint, as a plain tensor or made on first access."""

    version: ClassVar[int] = 1
    family: ClassVar[Any] = "overlap"
    lazy: bool = False

    def items(self) -> list[Item]:
        """Two."""

        def hint() -> torch.Tensor:
            return torch.linspace(0, 1, 7) / 3

        return [
            Item(
                id=name,
                family="overlap",
                prompts=("x",),
                surface=Strip(16, 64, 16),
                protocol=Sampling(steps=2, guidance=1.0),
                conditions=Lazy(hint=hint) if self.lazy else {"hint": hint()},
            )
            for name in ("one", "two")
        ]


SCORES: dict[str, Callable[[Artifact], Any]] = {
    "none": lambda a: None,
    "bare number": lambda a: 0.5,
    "dict": lambda a: {"value": 0.5},
    "value text": lambda a: Score(value="0.5"),
    "value complex": lambda a: Score(value=1j),
    "value list": lambda a: Score(value=[0.5]),
    "value vector": lambda a: Score(value=torch.ones(3)),
    "coverage nan": lambda a: Score(value=0.5, coverage=float("nan")),
    "coverage 7": lambda a: Score(value=0.5, coverage=7.0),
    "coverage negative": lambda a: Score(value=0.5, coverage=-1.0),
    "coverage none": lambda a: Score(value=0.5, coverage=None),
    "coverage text": lambda a: Score(value=0.5, coverage="all"),
    "reason dict": lambda a: Score(value=None, coverage=0.0, reason={"a": 1}),
    "reason bytes": lambda a: Score(value=None, coverage=0.0, reason=b"x"),
    "reason number": lambda a: Score(value=0.5, reason=3),
}
"""Answers of a metric that are errors."""
NUMBERS: dict[str, Callable[[Artifact], Any]] = {
    "numpy float32": lambda a: Score(value=np.float32(0.5)),
    "numpy float64": lambda a: Score(value=np.float64(0.5)),
    "numpy array": lambda a: Score(value=np.array(0.5)),
    "tensor": lambda a: Score(value=torch.tensor(0.5)),
    "tensor of one": lambda a: Score(value=torch.tensor([[0.5]])),
    "tensor half": lambda a: Score(value=torch.tensor(0.5, dtype=torch.float16)),
    "tensor with a gradient": lambda a: Score(value=torch.tensor(0.5, requires_grad=True)),
    "fraction": lambda a: Score(value=Fraction(1, 2)),
    "coverage numpy": lambda a: Score(value=0.5, coverage=np.float32(1)),
    "coverage above by rounding": lambda a: Score(value=0.5, coverage=1 + 1e-9),
}
"""Answers of a metric that are 0.5."""
NULLS: dict[str, Callable[[Artifact], Any]] = {
    "nan": lambda a: Score(value=float("nan")),
    "inf": lambda a: Score(value=float("inf")),
    "numpy nan": lambda a: Score(value=np.float32("nan")),
    "tensor nan": lambda a: Score(value=torch.tensor(float("nan"))),
    "no reason": lambda a: Score(value=None, coverage=0.0),
    "surrogate reason": lambda a: Score(value=None, coverage=0.0, reason=LONE),
}
"""Answers of a metric that are nulls with a reason."""


def _forget(a: Artifact) -> None:
    a.extras.clear()
    a.notes.clear()
    a.cost.evaluations = 7
    a.views = a.canvas = None  # type: ignore[assignment]


TAMPERS: dict[str, Callable[[Artifact], Any]] = {
    "views in place": lambda a: a.views.zero_(),
    "views by numpy": lambda a: a.views.numpy().__setitem__(slice(None), 0),
    "canvas in place": lambda a: a.canvas.mul_(0.5),  # type: ignore[union-attr]
    "fields": _forget,
}
"""What a metric may do to the artifact."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A metric in a mood."""

    version: ClassVar[int] = 1
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    role: ClassVar[Any] = "quality"
    families: ClassVar[tuple[str, ...]] = ("overlap",)
    mood: str = ""

    def fingerprint(self) -> str:
        """Says nothing of the mood."""
        return "mood"

    def __call__(self, artifact: Artifact, item: Item) -> Any:
        """In a mood."""
        for acts in (RAISES, BEHIND, DEADLY, ENDLESS):
            if self.mood in acts:
                acts[self.mood]()
        if self.mood in TAMPERS:
            TAMPERS[self.mood](artifact)
        return {**SCORES, **NUMBERS, **NULLS}.get(self.mood, lambda a: Score(value=0.5))(artifact)


@dataclass(frozen=True, kw_only=True)
class Witness(Judge):
    """Sees the whole artifact, and draws a random number."""

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """One number that anything amiss would change."""
        assert artifact.canvas is not None
        seen = float(artifact.views.mean()) + 10 * float(artifact.canvas.mean()) + 100 * float(torch.rand(1))
        third = torch.tensor(1.0) / 3
        return Score(value=seen + len(artifact.notes) + artifact.cost.evaluations + third.element_size())


class NoFamilies(Judge):
    """Lacks what every metric says of itself."""

    families: ClassVar[Any] = None


@dataclass(frozen=True, kw_only=True)
class Bent(Judge):
    """Breaks the metric's contract at planning."""

    def fingerprint(self) -> Any:
        """Raise, leave, or answer no text."""
        if self.mood in RAISES:
            return RAISES[self.mood]()
        return {"bytes": b"x", "none": None, "surrogate": LONE}.get(self.mood, "bent")

    def __post_init__(self) -> None:
        if self.mood == "init exits":
            sys.exit(0)
        if self.mood == "init raises":
            raise KeyError("x")


class Whole(Judge):
    """Its version is no number."""

    version: ClassVar[Any] = "1"


class Sideways(Judge):
    """Its direction is none."""

    direction: ClassVar[str] = "sideways"


@dataclass(frozen=True, kw_only=True)
class Party:
    """A group metric in a mood."""

    version: ClassVar[int] = 1
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    role: ClassVar[Any] = "variety"
    families: ClassVar[tuple[str, ...]] = ("overlap",)
    mood: str = ""

    def fingerprint(self) -> str:
        """Says nothing of the mood."""
        return "party"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> Any:
        """In a mood."""
        for acts in (RAISES, BEHIND, DEADLY, ENDLESS):
            if self.mood in acts:
                acts[self.mood]()
        names = list(artifacts)
        good: dict[Any, Any] = {name: Score(value=0.5) for name in names}
        found = {
            "none": None,
            "list": [Score(value=0.5)],
            "wrong key": {**good, "nobody": Score(value=1.0)},
            "int key": {**good, 3: Score(value=1.0)},
            "numpy": {name: Score(value=np.float32(0.5)) for name in names},
            "tensor": {name: Score(value=torch.tensor(0.5)) for name in names},
            "one bad": {**good, names[0]: Score(value="x")},
            "one nan coverage": {**good, names[0]: Score(value=0.5, coverage=float("nan"))},
            "one missing": {name: good[name] for name in names[1:]},
            "numbers": dict.fromkeys(names, 0.5),
        }
        return found.get(self.mood, good)


def _half() -> Iterator[Item]:
    yield Hints().items()[0]
    raise RuntimeError("the tape ended")


def _surrogate() -> list[Item]:
    return [replace(Hints().items()[0], id=3)]  # type: ignore[arg-type]


LISTS: dict[str, Callable[[], Any]] = {
    **RAISES,
    "none": lambda: None,
    "half way": _half,
    "dict": lambda: {"a": 1},
    "text": lambda: "abc",
    "number": lambda: 3,
    "no items": lambda: [{"id": "a"}],
    "id a number": _surrogate,
    "no prompts": lambda: [replace(Hints().items()[0], prompts=())],
    "prompts a text": lambda: [replace(Hints().items()[0], prompts="abc")],
    "family unknown": lambda: [replace(Hints().items()[0], family="sounds")],  # type: ignore[arg-type]
    "twice": lambda: Hints().items() * 2,
}
"""What the list of a data set may do."""


@dataclass(frozen=True, kw_only=True)
class Heap:
    """A data set in a mood."""

    version: ClassVar[int] = 1
    family: ClassVar[Any] = "overlap"
    mood: str = ""

    def items(self) -> Any:
        """In a mood."""
        for acts in (BEHIND,):
            if self.mood in acts:
                acts[self.mood]()
        return LISTS.get(self.mood, Hints().items)()
