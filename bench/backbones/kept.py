"""Networks that judge stay loaded from one call to the next; here they are let go."""

from . import clip, judge, perceptual, raft, style


def release_networks() -> None:
    """Forget every network that was loaded to judge, so that its memory is free."""
    for module in (clip, judge, perceptual, raft, style):
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):  # what `lru_cache` made of a function
                value.cache_clear()
