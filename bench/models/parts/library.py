"""The only imports of classes of diffusers and transformers, which are partly untyped and slow to import."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

LIBRARIES = ("diffusers", "transformers")


def library_class(library: str, name: str) -> Any:
    """A class of `diffusers` or `transformers`; raises AttributeError for a name that the installed version lacks."""
    assert library in LIBRARIES
    return getattr(import_module(library), name)


@contextmanager
def quiet() -> Generator[None]:
    """A context without progress bars, advice or deprecation notes of the libraries."""
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
