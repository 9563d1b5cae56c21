"""An artifact's views in 8 bits, and whether they can be compared with the item's truth."""

from jaxtyping import Float
from torch import Tensor

from ...bench.types import Artifact, Item, SyncbenchError


def stored_views(artifact: Artifact) -> Float[Tensor, "n 3 h w"]:
    """The artifact's views rounded to 8 bits, as float32 in [0, 1] on the CPU. Raises SyncbenchError (`eight_bit`)."""
    return eight_bit(artifact.views)


def eight_bit(images: Tensor) -> Float[Tensor, "n 3 h w"]:
    """The images rounded to 8 bits, as float32 in [0, 1] on the CPU. Raises SyncbenchError unless RGB in [0, 1]."""
    if images.ndim != 4 or images.shape[1] != 3 or not len(images) or not images.is_floating_point():
        raise SyncbenchError(f"views must be a float tensor (n, 3, h, w), not {images.dtype} {tuple(images.shape)}")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also catches NaN
        raise SyncbenchError(f"views must lie in [0, 1], not in [{low:g}, {high:g}]: clamp them")
    return ((images.detach().float().cpu() * 255).round() / 255).contiguous()


def mismatch(artifact: Artifact, item: Item, names: tuple[str, ...]) -> str | None:
    """Why the artifact's views cannot be compared with the item's truth `names`; None where they can.

    They cannot where the truth lacks a name, or has another number or size of views.
    """
    lacking = [name for name in names if name not in item.truth]
    if lacking:
        return f"the item's truth has no {', '.join(lacking)}"
    shape = tuple(item.truth[names[0]].shape)
    count, (height, width) = len(artifact.views), artifact.views.shape[2:]
    if (count, height, width) != (shape[0], *shape[2:]):
        true = f"{shape[0]} of {shape[2]}x{shape[3]} px"
        return f"{count} views of {height}x{width} px cannot be held against true ones: {true}"
    return None
