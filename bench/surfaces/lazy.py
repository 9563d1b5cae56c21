"""A mapping whose tensors are made on first access, so that listing thousands of items costs nothing."""

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from ..isolation.guard import standard_defaults
from ..isolation.intact import Mark, mark


class Lazy(Mapping[str, Tensor]):
    """Tensors by name, each made by its function on first access, then kept.

    They are made under torch's standard settings, whatever settings the component that reads them first has changed.

    >>> import torch
    >>> truth = Lazy(canvas=lambda: torch.zeros(3, 4, 8))
    >>> list(truth), tuple(truth["canvas"].shape)
    (['canvas'], (3, 4, 8))
    """

    def __init__(self, **makers: Callable[[], Tensor]) -> None:
        self._makers = makers
        self._made: dict[str, Tensor] = {}
        self._marks: dict[str, Mark] = {}

    @property
    def intact(self) -> bool:
        """Whether none of the tensors was changed in place since it was made."""
        return all(mark(tensor) == self._marks[name] for name, tensor in self._made.items())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            with standard_defaults():
                tensor = self._makers[name]()
            self._made[name], self._marks[name] = tensor, mark(tensor)
        return self._made[name]

    def __contains__(self, name: object) -> bool:  # the default would make the value to answer
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"Lazy({', '.join(self._makers)})"
