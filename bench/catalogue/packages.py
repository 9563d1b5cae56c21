"""Which packages the numbers depend on, and their versions, from metadata: nothing is imported."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("syncbench", "torch", "torchvision", "diffusers", "transformers", "open-clip-torch", "lpips", "numpy")


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, by package; without those that are not installed."""
    return {name: found for name in PACKAGES if (found := _version(name))}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
