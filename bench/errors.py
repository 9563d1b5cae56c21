"""What a user may see go wrong; apart from the other nouns so that raising it never imports torch."""

from .escaping import visible


class SyncbenchError(Exception):
    """A mistake of the user's that one sentence explains; the command line prints it and exits with 2."""


def quoted(text: object, most: int = 200) -> str:
    """A name or a path to be named in a sentence: on one line, printable, its middle left out where it is long."""
    shown = visible(str(text))
    return shown if len(shown) <= most else f"{shown[: most // 2 - 2]}...{shown[-(most // 2 - 2) :]}"


class DamagedWarning(UserWarning):
    """Stored results that cannot be read and count as missing, in one sentence; the rest is read all the same."""
