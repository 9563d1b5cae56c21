"""Import: a folder of outputs becomes jobs of a results folder, with anchors beside them, all of it or nothing.

Everything is read, checked and written to a temporary folder first. A new results folder then appears by one rename;
into one that exists, finished jobs are moved last. Nothing in the folder of outputs is executed or changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

from ..catalogue.content import content_of
from ..catalogue.fields import check_text
from ..catalogue.listing import list_components
from ..errors import SyncbenchError, quoted
from ..files.temporary import clear_stale, temporary_file
from ..files.writing import disk
from ..isolation.guard import unchanged
from ..limits import NAME, SEED
from ..run.answers import as_notes, check_artifact, settled
from ..run.events import Event, Listener, silent
from ..run.job import Named, noise_seed, sampling
from ..run.measure import machine, versions
from ..run.plan import chosen, listed, located
from ..run.sample import about
from ..run.sweep import RUNS, check_items
from ..store.artifacts import encode_artifact
from ..store.folder import Store
from ..store.png import check_sizes
from ..store.run_file import is_begun
from ..suites.narrow import Narrowing, narrowed
from ..suites.suite import Entry, Part, Suite
from ..types import FAMILIES, Artifact, Cost, Family, Item, Json
from .imported import Made, StandIn, Told, anchor_job, imported_job
from .leaves import find_leaves
from .manifest import match_rows, read_manifest
from .match import Matched, Output, match_names
from .metrics import family_metrics
from .publish import publish, superseded
from .read import Reading, read_output

ANCHORS = ("truth", "source", "redrawn", "shortcut@blur", "shortcut@frozen", "shortcut@source")
"""Anchors that are made of an item's own pictures, without a model."""


@dataclass(kw_only=True)
class Imported:
    """What an import did."""

    out: Path
    method: str
    outputs: list[str] = field(default_factory=list[str])
    """Paths of the outputs that are now samples."""
    anchors: dict[str, int] = field(default_factory=dict[str, int])
    """Number of samples of each anchor."""
    no_anchor: str = ""
    """Why there are no anchors; empty where there are some or none were asked for."""
    replaced: int = 0
    """Number of samples of an earlier import of the same outputs that these replace."""
    missing: list[str] = field(default_factory=list[str])
    unmatched: list[str] = field(default_factory=list[str])
    extra: list[str] = field(default_factory=list[str])

    def as_json(self) -> Json:
        """The facts as JSON."""
        return {**vars(self), "out": str(self.out)}


def import_folder(
    folder: str | Path,
    dataset: str,
    out: str | Path | None = None,
    *,
    family: str | None = None,
    method: str | None = None,
    paper: str = "",
    title: str = "",
    model: str = "",
    overrides: Sequence[str] = (),
    items: Sequence[str] | None = None,
    limit: int | None = None,
    manifest: str | Path | None = None,
    seed: int | None = None,
    same_protocol: bool = False,
    metrics: Sequence[str] | None = None,
    anchors: bool = True,
    dry_run: bool = False,
    progress: Listener | None = None,
    **reading: Any,
) -> Imported:
    """Make samples of the outputs in `folder`, one file or folder for each item of a data set; scores nothing.

    `dataset` is a data set's id, `overrides` its fields (`videos.path=clips.jsonl`) and what is known of the protocol
    (`protocol.steps=50`); `items` and `limit` narrow it. `same_protocol` tells that the data set's own was followed.
    Results go to `out` (default: results/runs/<method>); `method` defaults to the folder's name. `reading` are the
    fields of `Reading`. With `dry_run` nothing is written. Raises SyncbenchError, before anything is written, for
    outputs that cannot be read or do not fit their items.
    """
    root, listen, how = Path(folder), progress or silent, Reading(**reading)
    told = Told(method=_method_name(root, method), paper=paper, title=title, model=model)
    suite = _suite(told.method, dataset, metrics, overrides=tuple(overrides), items=items, limit=limit)
    part = suite.parts[0]
    source = Named(part.datasets[0], part.datasets[0].load())
    every = listed(*source)
    check_items(suite, {source.entry.token: every})
    wanted = chosen(part, every)
    _check_family(family, source.made.family, source.entry.label)
    found = find_leaves(root)
    if manifest is not None:
        rows = read_manifest(Path(manifest))
        matched = match_rows(rows, found, wanted, seed or 0)
        matched.extra = [name for name in matched.extra if root / name != Path(manifest)]
    else:
        matched = match_names(found, wanted, seed or 0)
    _check_some(matched, wanted, root, source.entry.label)
    result = Imported(out=Path(out) if out is not None else RUNS / _slug(told.method), method=told.method)
    result.missing, result.unmatched, result.extra = matched.missing, matched.unmatched, matched.extra
    protocol = asdict(wanted[0].protocol) if same_protocol else _told_protocol(part, wanted[0])
    params = {
        "imported": True,
        "protocol": "as told" if protocol else "not stated",
        "seed": "as told" if matched.seeds_told or seed is not None else "not stated",
        **{name: value for name, value in asdict(how).items() if value != getattr(Reading(), name)},
    }
    work = _Import(told, how, source, {item.id: item for item in wanted}, params, protocol, same_protocol)
    _write(result, matched, work, suite, anchors, dry_run, listen)
    return result


@dataclass
class _Import:
    """What the samples of one import share."""

    told: Told
    how: Reading
    source: Named
    items: Mapping[str, Item]
    params: Json
    protocol: Json
    same: bool
    contents: dict[str, str] = field(default_factory=dict[str, str])

    def sample(self, store: Store, output: Output, item: Item, seed: int) -> Made:
        """Store one output. Raises SyncbenchError, with its name, for what cannot be read or does not fit."""
        artifact = read_output(output, item, self.how)
        artifact.notes["imported"] = {"from": output.name, **self.params}
        files = _encoded(artifact, item, f"'{quoted(output.name)}'")
        made = imported_job(
            self.told, self.params, self.source, item, self.content(item), self._protocol(item), seed, files
        )
        _save(store, made, artifact, files)
        return made

    def anchor(self, store: Store, entry: Entry, item: Item, seed: int) -> Made | None:
        """Store an anchor's sample of an item; None where the item has no such pictures."""
        rule, model = entry.load(), StandIn(self.told.model or "not stated")
        job, made = anchor_job(
            Named(entry, rule), model, self.source, item, self.content(item), self._protocol(item), seed
        )
        if job.unsupported is not None:
            return None
        artifact: Artifact = rule(item, model, noise_seed(job.identity.dataset["id"], item.id, seed))
        told = as_notes(about(entry), "what the method says of itself")
        _save(store, Made(made.key, {**made.job, "about": told}), artifact, _encoded(artifact, item, entry.label))
        return made

    def content(self, item: Item) -> str:
        """The item's content, hashed once."""
        if item.id not in self.contents:
            self.contents[item.id] = content_of(item)
        return self.contents[item.id]

    def _protocol(self, item: Item) -> Json:
        return asdict(item.protocol) if self.same else self.protocol


def _write(
    result: Imported, matched: Matched, work: _Import, suite: Suite, anchors: bool, dry_run: bool, listen: Listener
) -> None:
    """Write samples to a temporary folder, then make it, or its jobs, the results folder's."""
    root, part = result.out, suite.parts[0]
    if not (root / "run.json").exists() and root.exists() and not is_begun(root):
        raise SyncbenchError(f"'{root}' exists and is not a results folder: choose another --out")
    earlier = Store(root) if (root / "run.json").exists() else None
    with disk(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        clear_stale(root.parent, root.name)
    with disk(root), temporary_file(root) as draft, unchanged():
        facts = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}
        store = Store.create(draft, {"suite": suite.as_json(), **facts, "machine": machine()})
        made: dict[str, Made] = {}
        total = len(matched.outputs)
        listen(Event("import", 0, total))
        for number, ((id, seed), output) in enumerate(sorted(matched.outputs.items(), key=lambda pair: pair[0]), 1):
            one = work.sample(store, output, work.items[id], seed)
            made[one.key] = one
            result.outputs.append(output.name)
            listen(Event("import", number, total, output.name))
        entries = [Entry("methods", name) for name in ANCHORS] if anchors else []
        for id in dict.fromkeys(id for id, _ in matched.outputs):
            for entry in entries:
                one = work.anchor(store, entry, work.items[id], 0)
                if one is not None:
                    made[one.key] = one
                    result.anchors[entry.label] = result.anchors.get(entry.label, 0) + 1
        if anchors and not result.anchors:
            result.no_anchor = "the items have no pictures of their own of which anchors could be made"
        kept = [entry for entry in entries if entry.label in result.anchors]
        suite = replace(suite, parts=(replace(part, methods=tuple(kept)),))
        old = [] if earlier is None else superseded(earlier, made)
        result.replaced = len(old)
        if dry_run:
            return
        publish(draft, root, earlier, suite, facts, made)
        for key in old:  # last, so that nothing is lost where the new ones do not arrive
            Store(root).drop(key)


def _encoded(artifact: Artifact, item: Item, name: str) -> dict[str, bytes]:
    """The files of an artifact. Raises SyncbenchError, which begins with `name`, for one that does not fit its item."""
    try:
        check_artifact(artifact, item)
        pictures = [*artifact.views, *([] if artifact.canvas is None else [artifact.canvas])]
        check_sizes((image.shape[-1], image.shape[-2]) for image in pictures)
        return encode_artifact(settled(artifact))
    except ValueError as error:
        raise SyncbenchError(f"{name}: {error}") from error


def _save(store: Store, made: Made, artifact: Artifact, files: Mapping[str, bytes]) -> None:
    done = {"device": "", "cost": asdict(Cost()), "notes": artifact.notes, "versions": versions()}
    store.save(made.key, {**made.job, "status": "ok", "error": None, **done}, files)


def _method_name(folder: Path, told: str | None) -> str:
    """The name of the method. Raises SyncbenchError for one that is empty, too long, or a method's of syncbench."""
    name = check_text(folder.resolve().name if told is None else told, "--method")
    if not name.strip() or len(name) > NAME:
        raise SyncbenchError(f"--method: a name of 1 to {NAME} characters is needed, not {len(name)}")
    if name.partition("@")[0].partition("[")[0] in {one.id for one in list_components("methods")}:
        raise SyncbenchError(
            f"--method {quoted(name)}: syncbench has a method of that name: say whose code it was, too"
        )
    return name


def _slug(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name)


def _suite(name: str, dataset: str, measures: Sequence[str] | None, **how: Unpack[Narrowing]) -> Suite:
    """A suite of one part: the data set with its fields, no models, and the metrics of its family."""
    entry = Entry("datasets", dataset)
    empty = Suite(
        name=_slug(name),
        title="Outputs of another program",
        parts=(Part(models=(), datasets=(entry,), methods=(), metrics=()),),
    )
    suite = located(narrowed(empty, **how))
    part = suite.parts[0]
    family: Family = part.datasets[0].load().family
    chosen_metrics = family_metrics(family) if measures is None else tuple(Entry("metrics", one) for one in measures)
    for one in chosen_metrics:
        one.load()
    return replace(suite, parts=(replace(part, metrics=chosen_metrics),))


def _told_protocol(part: Part, item: Item) -> Json:
    """The fields of the protocol that the user told, as numbers."""
    told = asdict(sampling(item.protocol, part.protocol))
    return {name: told[name] for name in part.protocol}


def _check_family(told: str | None, family: str, dataset: str) -> None:
    if told is None:
        return
    if told not in FAMILIES:
        raise SyncbenchError(f"--family {quoted(told)}: there are {', '.join(FAMILIES)}")
    if told != family:
        raise SyncbenchError(f"--family {told}: the data set {dataset} is of the family {family}")


def _check_some(matched: Matched, items: Sequence[Item], root: Path, dataset: str) -> None:
    """Raise SyncbenchError where no output is of any item."""
    if matched.outputs:
        return
    there = ", ".join(f"'{quoted(name, 60)}'" for name in matched.unmatched[:3]) or "no pictures, clips or meshes"
    wanted = ", ".join(f"'{item.id}'" for item in items[:3])
    raise SyncbenchError(
        f"nothing in '{quoted(root)}' is named like an item of {dataset}: there are {there}, and the items are {wanted}"
        f"{', ...' if len(items) > 3 else ''}; rename the outputs, or list them in a file for --manifest"
    )


def check_seed(seed: int | None) -> int | None:
    """The seed. Raises SyncbenchError for one out of range."""
    if seed is not None and not 0 <= seed <= SEED:
        raise SyncbenchError(f"--seed {seed}: a whole number from 0 to 2^63 - 1")
    return seed
