"""Versions of the packages that numbers depend on, from metadata: nothing is imported."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("syncbench", "torch", "torchvision", "diffusers", "transformers", "open-clip-torch", "lpips", "numpy"),
    "opencv-python-headless",
)


def versions() -> dict[str, str]:
    """Installed versions of PACKAGES, by name; packages that are not installed are left out."""
    return {name: installed for name in PACKAGES if (installed := _version(name))}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
