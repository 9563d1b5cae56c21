"""COLMAP-registered views

The fraction of the views that COLMAP's incremental mapping places in one reconstruction, from the pictures alone: no
camera and no geometry is given, all views share one unknown lens. Range [0, 1]; higher is better. `points` counts the
reconstruction's 3-D points per view instead, without an upper end.

Schonberger, Frahm, Structure-from-Motion Revisited, CVPR 2016, through pycolmap (`pip install 'syncbench[colmap]'`),
with its defaults, one thread and a fixed seed, after resizing to at least 256 px. Registered views and points are what
several papers of novel views report of generated sequences.

Traps. Many neighbouring views with much texture register, whatever they show; a few views far apart, or smooth ones, do
not, even if they are true: then the score is 0 for all and tells nothing, as on most items of this benchmark's world. A
frozen clip has no parallax and does not register. Without pycolmap there is no value.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from ..bench.backbones.clip import to_pil
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import stored_views

SMALLEST = 256
"""Length of the shorter side in pixels to which smaller views are enlarged."""


@dataclass(frozen=True, kw_only=True)
class ColmapRegistered:
    """Fraction of views, or number of points per view, in COLMAP's largest reconstruction."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior", "frames")
    estimates: ClassVar[str] = "reprojection"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"points": {"count": "points"}}

    count: Literal["views", "points"] = "views"
    """What is counted: registered `views`, as a fraction of all, or `points` per view."""

    def fingerprint(self) -> str:
        """One line that names the count, the version of pycolmap and its options."""
        try:
            package = f"pycolmap {version('pycolmap')}"
        except PackageNotFoundError:
            package = "pycolmap not installed"
        what = "registered views, share" if self.count == "views" else "3-D points per view"
        return f"{what}, {package}, exhaustive matching, incremental mapping, one lens, >= {SMALLEST} px, rgb8"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine; None where it is not."""
        return None if find_spec("pycolmap") else "pycolmap is not installed: pip install 'syncbench[colmap]'"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The count, 0 where nothing is reconstructed; coverage is 1."""
        if len(artifact.views) < 2:
            return Score.none("there is only one view")
        if why := self.lacks():
            return Score.none(why)
        views = stored_views(artifact)
        if float((views - views.mean((2, 3), keepdim=True)).abs().max()) < 1e-6:
            return Score.none("every view is of one colour: there is nothing to reconstruct from")
        with TemporaryDirectory() as folder:
            for number, view in enumerate(views):
                picture = to_pil(view)
                scale = max(1.0, SMALLEST / min(picture.size))
                width, height = (round(scale * side) for side in picture.size)
                picture.resize((width, height)).save(Path(folder) / f"{number:05d}.png")
            registered, points = _largest(Path(folder))
        value = registered / len(views) if self.count == "views" else points / len(views)
        return Score(value=value)


def _largest(folder: Path) -> tuple[int, int]:
    """Numbers of registered views and of points of the largest reconstruction from the pictures in a folder."""
    colmap: Any = import_module("pycolmap")
    colmap.logging.minloglevel = 3  # it reports every failure to stderr
    colmap.set_random_seed(0)
    database, out = folder / "database.db", folder / "models"
    out.mkdir()
    extraction, matching = colmap.FeatureExtractionOptions(), colmap.FeatureMatchingOptions()
    extraction.num_threads = matching.num_threads = 1
    colmap.extract_features(
        database, folder, camera_mode=colmap.CameraMode.SINGLE, extraction_options=extraction, device=colmap.Device.cpu
    )
    colmap.match_exhaustive(database, matching_options=matching, device=colmap.Device.cpu)
    mapping = colmap.IncrementalPipelineOptions()
    mapping.num_threads = 1
    models = colmap.incremental_mapping(database, folder, out, options=mapping)
    counts = [(one.num_reg_images(), one.num_points3D()) for one in models.values()]
    return max(counts, default=(0, 0))
