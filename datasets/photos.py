"""Photos of your own to be taken apart into channels: a folder of pictures, one picture, or a list of them.

Several: `path` names a folder, whose pictures are taken in the order of their names, a txt file with one path a line,
or a jsonl, json or csv file with `photo` (a path, relative to that file) and, if wanted, `prompt` and `id`. A prompt
tells what the picture shows; models of channels do not read it, and `clip_text` compares with it. Pictures are turned
as their header says, transparent pixels are laid on white, and colours are read as sRGB.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import MinLen
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from ..bench.errors import quoted
from ..bench.files.reading import is_file, is_folder
from ..bench.limits import ITEMS, PIXELS, Length, check_size
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.shared import Shared
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.grammar import is_caption
from ..bench.world.truth import CHANNELS
from ._rows import READERS, checked_prompt, read_rows

FORMATS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",), "TIFF": (".tif", ".tiff"), "BMP": (".bmp",)}
"""Pillow's names of the formats that are read, and the endings by which the pictures of a folder are recognised."""
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
        endings = {ending for some in FORMATS.values() for ending in some}
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in endings and is_file(file))
        if not files or len(files) > ITEMS:
            what = f"more than {ITEMS:,} pictures" if files else f"no pictures ({', '.join(sorted(endings))})"
            raise SyncbenchError(f"{quoted(path)}: {what} in this folder")
        return [_row(file) for file in files]

    def _item(self, row: dict[str, str]) -> Item:
        path = Path(row["photo"])
        with undamaged(path):
            high, wide = self._sides(_opened(path))
        prompt = row["prompt"] or self.prompt.strip()
        digits = sha256(path.read_bytes()).hexdigest()
        return Item(
            id=f"{row['id']}-{digits[:6]}",
            family=self.family,
            world=is_caption(prompt),
            prompts=(checked_prompt(prompt, "photos.prompt") if prompt else "",),
            surface=Shared(tuple(self.channels), high, wide),
            protocol=Sampling(steps=STEPS, guidance=1.0),
            conditions=Lazy(image=partial(read_photo, path, high, wide)),
            content=digits[:12],
        )

    def _sides(self, image: Image.Image) -> tuple[int, int]:
        """Height and width to which a picture is scaled before its channels are made."""
        wide, high = image.size
        if image.getexif().get(0x0112, 1) >= 5:  # turned by a quarter
            wide, high = high, wide
        scale = self.size / max(wide, high)
        high, wide = (max(MULTIPLE, MULTIPLE * round(side * scale / MULTIPLE)) for side in (high, wide))
        return high, wide


def read_photo(path: Path, height: int, width: int) -> Float[Tensor, "1 3 height width"]:
    """The picture in [0, 1], upright, scaled (bilinear, antialiased). Raises SyncbenchError for a damaged file."""
    with undamaged(path):
        image = ImageOps.exif_transpose(_opened(path))
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    levels: Any = np.asarray(image, dtype=np.float32) / 255
    share = levels[..., 3:] if levels.shape[-1] == 4 else 1.0
    opaque = levels[..., :3] * share + (1 - share)
    picture = torch.from_numpy(opaque).permute(2, 0, 1)[None].contiguous()
    if picture.shape[2:] != (height, width):
        picture = F.interpolate(picture, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return picture.clamp(0, 1)


@contextmanager
def undamaged(path: Path) -> Generator[None]:
    """A context in which Pillow reads the picture at `path`; Pillow's errors are raised as SyncbenchError."""
    try:
        yield
    except (OSError, ValueError, SyntaxError) as error:
        raise SyncbenchError(f"{quoted(path)}: this picture is damaged ({error}): copy it again") from error


def _opened(path: Path) -> Image.Image:
    """The picture at `path`, of which only the header has been read.

    Raises SyncbenchError for a file that is missing, no picture, too large, or of more than 8 bits.
    """
    if not is_file(path):
        raise SyncbenchError(f"no picture '{quoted(path)}'")
    try:
        image = Image.open(path, formats=list(FORMATS))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise SyncbenchError(f"{quoted(path)}: this is no picture that can be read ({', '.join(FORMATS)})") from error
    if image.width * image.height > PIXELS:
        raise SyncbenchError(
            f"{quoted(path)}: {image.width} x {image.height} px are more than the {PIXELS:,} px that are read"
        )
    if image.mode[0] in "IF":
        raise SyncbenchError(f"{quoted(path)}: levels of more than 8 bits (mode {image.mode}): convert it to 8-bit RGB")
    return image


def _row(path: Path) -> dict[str, str]:
    return {"photo": str(path), "prompt": "", "id": path.stem.replace(",", "_")[:150]}
