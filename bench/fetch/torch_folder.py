"""Where torch hub keeps files of torch's own."""

from pathlib import Path


def torch_folder() -> Path:
    """The folder in which metrics look for them (`TORCH_HOME`, or the user's cache)."""
    from ...metrics.backbones.published import hub_folder

    return hub_folder()
