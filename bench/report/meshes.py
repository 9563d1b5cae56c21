"""Textured meshes of the samples of a results folder: every sample on a given mesh as GLB, and as OBJ with MTL and PNG.

The views of a sample are baked into one texture (`surfaces.bake`). Nothing is kept with the sample: the same samples
give the same meshes at any time, also those of other programs that were imported.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from ..errors import SyncbenchError, SyncbenchWarning
from ..run.events import Tally
from ..run.loaded import Loaded
from ..run.score import stored_item
from ..store.folder import Store
from ..store.stored import StoredJob
from ..suites.recorded import entry as recorded
from ..surfaces.atlas import Atlas
from ..surfaces.bake import DENSITY, POWER, Baked, bake_views
from ..surfaces.textured_files import KINDS, Kind, write_textured

NAME = "meshes"
"""Folder of the meshes in a results folder."""


def bake(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    methods: Sequence[str] | None = None,
    items: Sequence[str] | None = None,
    seed: int | None = None,
    density: float = DENSITY,
    power: float = POWER,
    winner: bool = False,
    kinds: Sequence[Kind] = KINDS,
    progress: Tally = lambda done, total, text: None,
) -> list[Path]:
    """Write the textured meshes of a results folder and return their paths.

    Files lie in `out` (default: meshes in the folder), by data set and method: ITEM-sSEED.glb, .obj, .mtl and .png.
    `methods` (labels), `items` and `seed` choose samples; by default all are baked. `density` is the number of texels
    per pixel of a view, `power` the exponent of the cosine by which views are averaged; `winner` takes the least
    slanted view alone. Damaged samples are named in a `DamagedWarning`, and others that
    cannot be baked in a `SyncbenchWarning`. Raises SyncbenchError where no sample is of a
    given mesh, for unknown methods and items, and for a `density` or `power` that is no number above 0.
    """
    root = Path(folder)
    if not (0 < density <= 8 and 0 <= power <= 100):
        raise SyncbenchError(
            f"density {density:g}, power {power:g}: use more than 0, up to 8 texels per pixel, and a power of 0 to 100"
        )
    store = Store(root)
    jobs = [job for key in store.finished() if (job := store.job(key)) is not None and job.status == "ok"]
    jobs = [job for job in jobs if job.header.family == "geometry"]
    if not jobs:
        store.warn()
        raise SyncbenchError(f"'{root}' has no samples of the family geometry: only these are of a given mesh")
    for what, asked, known in (
        ("method", methods, {job.header.method for job in jobs}),
        ("item", items, {job.header.item for job in jobs}),
    ):
        for name in asked or ():
            if name not in known:
                raise SyncbenchError(f"no {what} '{name}' in '{root}': it has {', '.join(sorted(known))}")
    jobs = [
        job
        for job in jobs
        if (not methods or job.header.method in methods)
        and (not items or job.header.item in items)
        and seed in (None, job.header.seed)
    ]
    if not jobs:
        asked = [f"{what} {', '.join(names)}" for what, names in (("method", methods), ("item", items)) if names]
        asked += [] if seed is None else [f"seed {seed}"]
        raise SyncbenchError(f"no sample of {' and '.join(asked)} in '{root}'")
    target = root / NAME if out is None else Path(out)
    places = sample_places(jobs)
    if out is None:
        for inner in sorted({place.parent for place in places.values()}):
            _check_no_link(root, Path(NAME, inner))
    loaded, paths, reasons = Loaded(), list[Path](), list[str]()
    for done, job in enumerate(sorted(jobs, key=lambda one: (one.header.dataset, one.header.item, one.header.method))):
        progress(done, len(jobs), f"{job.header.method} {job.header.item}")
        stem = target / places[job.key]
        try:
            atlas, made = baked_sample(store, job, loaded, density, power, winner)
        except SyncbenchError as error:
            if store.folder(job.key) not in store.damage:
                reasons.append(str(error))
            continue
        mesh, _, pose = atlas.shape
        paths += write_textured(
            mesh, pose, made.texels.corners, made.texture, stem, tuple(kinds), follow=out is not None
        )
    progress(len(jobs), len(jobs), "")
    if not paths:
        raise SyncbenchError(f"no sample of '{root}' could be baked: {[*reasons, *store.damage.values()][0]}")
    warn_unbaked(reasons)
    store.warn()
    return paths


def _check_no_link(root: Path, inner: Path) -> None:
    """Raises SyncbenchError where a part of `inner`, a path below `root`, is a symbolic link, also a broken one."""
    for part in [*reversed(inner.parents), inner]:
        if (root / part).is_symlink() and part != Path():
            raise SyncbenchError(f"'{root / part}' is a link, which is not followed: name another folder with --out")


def warn_unbaked(reasons: Sequence[str]) -> None:
    """Emit one `SyncbenchWarning` with the first of the reasons why samples could not be baked, if there are any."""
    if reasons:
        told = "; ".join([*dict.fromkeys(reasons)][:3])
        many = "1 sample" if len(reasons) == 1 else f"{len(reasons)} samples"
        warnings.warn(f"{many} could not be baked: {told}", SyncbenchWarning, stacklevel=3)


def baked_sample(
    store: Store,
    job: StoredJob,
    loaded: Loaded,
    density: float = DENSITY,
    power: float = POWER,
    winner: bool = False,
) -> tuple[Atlas, Baked]:
    """The surface of a stored sample, and the sample baked.

    Raises SyncbenchError where there is no given mesh or it cannot be baked, and for a damaged sample, which the
    store's `damage` then names.
    """
    surface = sample_surface(job, loaded)
    try:
        views = store.artifact(job.key).views
    except SyncbenchError as error:
        store.damage[store.folder(job.key)] = str(error)
        raise
    return surface, bake_views(surface, views, density, power, winner)


def sample_surface(job: StoredJob, loaded: Loaded) -> Atlas:
    """The surface of a stored sample. Raises SyncbenchError where there is no given mesh."""
    item = stored_item(job, recorded("datasets", job.dataset), loaded)
    if not isinstance(item.surface, Atlas):
        raise SyncbenchError(f"item {item.id} of {job.header.dataset} has no mesh to be textured")
    return item.surface


def sample_places(jobs: Sequence[StoredJob]) -> dict[str, Path]:
    """Where the meshes of jobs lie, without their endings: DATASET/METHOD/ITEM-sSEED, by key.

    A method's folder names its model, too, where several are in the folder. Names that become one (or that other files
    of one name have) are told apart by digits of their keys.
    """
    several = len({job.header.model for job in jobs}) > 1
    names: dict[str, tuple[str, str, str]] = {}
    for job in jobs:
        header = job.header
        method = f"{header.method}--{header.model}" if several else header.method
        names[job.key] = _slug(header.dataset), _slug(method), f"{_slug(header.item)}-s{header.seed}"
    taken: dict[str, int] = {}
    for parts in names.values():
        taken["/".join(parts)] = taken.get("/".join(parts), 0) + 1
    places: dict[str, Path] = {}
    for key, parts in names.items():
        last = parts[2] if taken["/".join(parts)] == 1 else f"{parts[2]}-{key[:6]}"
        places[key] = Path(parts[0], parts[1], last)
    return places


def _slug(text: str) -> str:
    """A name of a file: letters, digits, dots, dashes and underlines, not beginning with a dot."""
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", text).strip("-.")[:80] or "_"
