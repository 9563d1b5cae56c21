"""Photos of your own to be taken apart into channels: a folder of pictures, one picture, or a list of them.

Several: `path` names a folder, whose pictures are taken in the order of their names, a txt file with one path a line,
or a jsonl, json or csv file with `photo` (a path, relative to that file) and, if wanted, `prompt`, `id`, and paths of
what is known: `albedo`, `shading`, `residual`, `normal`, `depth`, `distance`, `mask`, `judgements`. IIW, the MIT
intrinsic images, InteriorVerse and Hypersim are recognised (see `layouts.photo_rows`). A prompt tells what the picture
shows; models of channels do not read it, and `clip_text` compares with it. Pictures are turned as their header says,
transparent pixels are laid on white, and colours are read as sRGB; EXR, NPY and the 16-bit pictures of MIT are linear
light, and renders of Hypersim (HDF5) are exposed as its authors' tool exposes them.
"""

from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import MinLen

from ..bench.files.reading import read_bytes
from ..bench.limits import Length, check_size
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.shared import Shared
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.grammar import is_caption
from ..bench.world.truth import CHANNELS
from ._channels import Axes, known_names, known_tensor, read_light
from ._maps import read_map
from ._pictures import opened_picture, read_scaled, undamaged, upright_size
from ._rows import checked_prompt
from .layouts.photo_rows import KNOWN_OF, LINEAR, MIT, photo_rows

STEPS = 4
"""Denoising steps of the protocol, Marigold's own number; RGB-to-X takes 50 (`--set protocol.steps=50`)."""


@dataclass(frozen=True, kw_only=True)
class Photos:
    """One item per picture, whose channels are to be made from it. Truth is what the layout or list knows of it."""

    version: ClassVar[int] = 2
    family: ClassVar[Family] = "channels"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A folder, a picture, or a file that lists pictures. The path is no part of a result's identity."""
    prompt: str = ""
    """Prompt of pictures whose row has none; it may stay empty."""
    size: Length = 768
    """Longer side in pixels, the model's native size; the other side keeps the proportions, to a `multiple`."""
    multiple: Literal[8, 16, 32, 64] = 8
    """Heights and widths are multiples of it: 8 for Stable Diffusion's codec; IntrinsicDiffusion takes 64."""
    channels: Annotated[tuple[str, ...], MinLen(1)] = CHANNELS
    """The channels that the model makes, in the order of the views."""
    axes: Axes = "opencv"
    """Axes of normals in files: `opencv` (x right, y down, z forward) or `opengl` (y up, z to the viewer)."""

    def items(self) -> list[Item]:
        """One item for each picture, in order; its id ends with digits of the file's hash. Pixels are read when needed.

        Raises SyncbenchError for a file that is no picture.
        """
        if self.size < self.multiple:
            raise SyncbenchError(f"photos.size = {self.size}: use {self.multiple} or more")
        check_size("a photo", len(self.channels), self.size, self.size)
        return [self._item(row) for row in photo_rows(self.path)]

    def _item(self, row: dict[str, str]) -> Item:
        path = Path(row["photo"])
        linear = path.suffix.lower() in LINEAR or (path.name == f"{MIT[0]}.png" and bool(row["shading"]))
        if linear:
            high, wide = self._sides(*read_map(path).shape[:2])
        else:
            with undamaged(path):
                high, wide = self._sides(*upright_size(opened_picture(path)))
        prompt = row["prompt"] or self.prompt.strip()
        digits = sha256(read_bytes(path, 2**30)).hexdigest()
        reader = partial(read_light, entities=row["entities"]) if linear else read_scaled
        known = {name: Path(row[name]) for name in (*KNOWN_OF, "entities") if row[name]}
        axes: Axes = "opengl" if row["axes"] == "opengl" else self.axes
        total = sha256(digits.encode())
        for name, file in known.items():
            total.update(f"{name} {axes} {sha256(read_bytes(file, 2**30)).hexdigest()}".encode())
        make = partial(known_tensor, row=row, size=(high, wide), axes=axes, channels=tuple(self.channels))
        return Item(
            id=f"{row['id']}-{digits[:6]}",
            family=self.family,
            world=is_caption(prompt),
            prompts=(checked_prompt(prompt, "photos.prompt") if prompt else "",),
            surface=Shared(tuple(self.channels), high, wide),
            protocol=Sampling(steps=STEPS, guidance=1.0),
            conditions=Lazy(image=partial(reader, path, high, wide)),
            truth=Lazy(**{name: partial(make, name) for name in known_names(row, tuple(self.channels))}),
            content=total.hexdigest()[:12] if known else digits[:12],
        )

    def _sides(self, high: int, wide: int) -> tuple[int, int]:
        """Height and width to which a picture of those sides is scaled before its channels are made."""
        scale = self.size / max(wide, high)
        high, wide = (max(1, round(side * scale / self.multiple)) * self.multiple for side in (high, wide))
        return high, wide
