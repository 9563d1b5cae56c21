"""Photos of your own to be taken apart into channels: a folder of pictures, one picture, or a list of them.

Several: `path` names a folder, whose pictures are taken in the order of their names, a txt file with one path a line,
or a jsonl, json or csv file with `photo` (a path, relative to that file) and, if wanted, `prompt` and `id`. A prompt
tells what the picture shows; models of channels do not read it, and `clip_text` compares with it. Pictures are turned
as their header says, transparent pixels are laid on white, and colours are read as sRGB.
"""

from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import MinLen
from PIL import Image

from ..bench.errors import quoted
from ..bench.files.reading import is_folder
from ..bench.limits import Length, check_size
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.shared import Shared
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.grammar import is_caption
from ..bench.world.truth import CHANNELS
from ._pictures import ENDINGS, opened_picture, picture_files, read_scaled, undamaged, upright_size
from ._rows import READERS, checked_prompt, read_rows

MULTIPLE = 8
"""Heights and widths are multiples of it, as the autoencoders of Stable Diffusion need."""
STEPS = 4
"""Denoising steps of the protocol, Marigold's own number; RGB-to-X takes 50 (`--set protocol.steps=50`)."""


@dataclass(frozen=True, kw_only=True)
class Photos:
    """One item per picture, whose channels are to be made from it. There is no truth."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "channels"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A folder, a picture, or a file that lists pictures. The path is no part of a result's identity."""
    prompt: str = ""
    """Prompt of pictures whose row has none; it may stay empty."""
    size: Length = 768
    """Longer side in pixels, the model's native size; the other side keeps the proportions, to a multiple of 8."""
    channels: Annotated[tuple[str, ...], MinLen(1)] = CHANNELS
    """The channels that the model makes, in the order of the views."""

    def items(self) -> list[Item]:
        """One item for each picture, in order; its id ends with digits of the file's hash. Pixels are read when needed.

        Raises SyncbenchError for a file that is no picture.
        """
        if self.size < MULTIPLE:
            raise SyncbenchError(f"photos.size = {self.size}: use {MULTIPLE} or more")
        check_size("a photo", len(self.channels), self.size, self.size)
        return [self._item(row) for row in self._rows()]

    def _rows(self) -> list[dict[str, str]]:
        path = Path(self.path).expanduser()
        if not self.path:
            raise SyncbenchError(
                "photos needs pictures: add --set photos.path=FOLDER (or a picture, or a txt, jsonl, json or csv file "
                "of them)"
            )
        if path.suffix.lower() in READERS:
            rows = read_rows(str(path), ("photo",), prompted=False)
            return [{**row, "photo": str(path.parent / row["photo"])} for row in rows]
        if not is_folder(path):
            return [_row(path)]
        files = picture_files(path)
        if not files:
            raise SyncbenchError(f"{quoted(path)}: no pictures ({', '.join(sorted(ENDINGS))}) in this folder")
        return [_row(file) for file in files]

    def _item(self, row: dict[str, str]) -> Item:
        path = Path(row["photo"])
        with undamaged(path):
            high, wide = self._sides(opened_picture(path))
        prompt = row["prompt"] or self.prompt.strip()
        digits = sha256(path.read_bytes()).hexdigest()
        return Item(
            id=f"{row['id']}-{digits[:6]}",
            family=self.family,
            world=is_caption(prompt),
            prompts=(checked_prompt(prompt, "photos.prompt") if prompt else "",),
            surface=Shared(tuple(self.channels), high, wide),
            protocol=Sampling(steps=STEPS, guidance=1.0),
            conditions=Lazy(image=partial(read_scaled, path, high, wide)),
            content=digits[:12],
        )

    def _sides(self, image: Image.Image) -> tuple[int, int]:
        """Height and width to which a picture is scaled before its channels are made."""
        high, wide = upright_size(image)
        scale = self.size / max(wide, high)
        high, wide = (max(MULTIPLE, MULTIPLE * round(side * scale / MULTIPLE)) for side in (high, wide))
        return high, wide


def _row(path: Path) -> dict[str, str]:
    return {"photo": str(path), "prompt": "", "id": path.stem.replace(",", "_")[:150]}
