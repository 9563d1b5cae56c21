"""Shape annotations, checked at every call while tests run: jaxtyping's hook with a checker of its types alone."""

import functools
import inspect
import sys
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from jaxtyping import AbstractArray, install_import_hook

CHECKED: set[str] = set()
"""Functions whose annotations have been checked in some call."""


def arrays(hint: Any) -> tuple[type, ...]:
    """The array types that a hint allows; none where it speaks of none."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(one for one in members if isinstance(one, type) and issubclass(one, AbstractArray))


def checked(function: Any) -> Any:
    """`function`, raising TypeError where an argument or the answer is an array of another shape or type."""
    if not inspect.isfunction(function):
        return function
    try:
        hints = {name: found for name, hint in get_type_hints(function).items() if (found := arrays(hint))}
    except Exception:  # a name that only type checkers know
        return function
    if not hints:
        return function
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        CHECKED.add(f"{function.__module__}.{function.__qualname__}")
        for name, value in signature.bind(*args, **options).arguments.items():
            _check(name, value, hints.get(name, ()))
        answer = function(*args, **options)
        _check("return", answer, hints.get("return", ()))
        return answer

    return call


def _check(name: str, value: Any, allowed: tuple[type, ...]) -> None:
    if allowed and hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, allowed):
        said = " | ".join(getattr(one, "__name__", str(one)) for one in allowed)
        raise TypeError(f"{name}: {value.dtype} {tuple(value.shape)} is no {said}")


def install() -> Callable[[], None]:
    """Check whatever is imported of the package from now on."""
    sys.modules["syncbench_shapes"] = sys.modules[__name__]
    hook: Any = install_import_hook("syncbench", "syncbench_shapes.checked")
    return hook.uninstall
