"""The one border to diffusers and transformers, whose classes are partly untyped and heavy to import."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

LIBRARIES = ("diffusers", "transformers")


def library_class(library: str, name: str) -> Any:
    """A class of `diffusers` or `transformers`; AttributeError for a name that the installed version has not."""
    assert library in LIBRARIES
    return getattr(import_module(library), name)


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars, advice or deprecation notes from the libraries while they load."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.set_verbosity(logging.ERROR)
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for library, (verbosity, bar) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            if bar:
                library.enable_progress_bar()
