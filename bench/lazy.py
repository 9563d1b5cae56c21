"""A mapping whose values are made on first access, so that listing thousands of items costs nothing."""

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor


class Lazy(Mapping[str, Tensor]):
    """Tensors by name, each made by its function when first asked for, then kept.

    >>> import torch
    >>> truth = Lazy(canvas=lambda: torch.zeros(3, 4, 8))
    >>> list(truth), tuple(truth["canvas"].shape)
    (['canvas'], (3, 4, 8))
    """

    def __init__(self, **makers: Callable[[], Tensor]) -> None:
        self._makers = makers
        self._made: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:  # the default would make the value to answer
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"Lazy({', '.join(self._makers)})"
