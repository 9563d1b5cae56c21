"""The stored views, and the images that text, quality and variety scores look at."""

from jaxtyping import Float
from torch import Tensor

from ...bench.types import Artifact, Item, SyncbenchError


def stored(artifact: Artifact) -> Float[Tensor, "n 3 h w"]:
    """The views as `eight_bit`."""
    return eight_bit(artifact.views)


def eight_bit(images: Tensor) -> Float[Tensor, "n 3 h w"]:
    """Images rounded to 8 bits, as float32 in [0, 1] on the CPU. SyncbenchError unless they are RGB in [0, 1]."""
    if images.ndim != 4 or images.shape[1] != 3 or not len(images) or not images.is_floating_point():
        raise SyncbenchError(f"views must be a float tensor (n, 3, h, w), not {images.dtype} {tuple(images.shape)}")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also catches NaN
        raise SyncbenchError(f"views must lie in [0, 1], not in [{low:g}, {high:g}]: clamp them")
    return ((images.detach().float().cpu() * 255).round() / 255).contiguous()


def unlike(artifact: Artifact, item: Item, names: tuple[str, ...]) -> str | None:
    """Why the artifact's views cannot be held against the item's truth `names`; None when they can."""
    lacking = [name for name in names if name not in item.truth]
    if lacking:
        return f"the item's truth has no {', '.join(lacking)}"
    shape = tuple(item.truth[names[0]].shape)
    count, (height, width) = len(artifact.views), artifact.views.shape[2:]
    if (count, height, width) != (shape[0], *shape[2:]):
        true = f"{shape[0]} of {shape[2]}x{shape[3]} px"
        return f"{count} views of {height}x{width} px cannot be held against true ones: {true}"
    return None
