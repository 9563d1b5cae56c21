"""Errors and warnings that a user sees. They have a file of their own so that raising one never imports torch."""

from .escaping import visible


class SyncbenchError(Exception):
    """Something that the user can mend, explained in one sentence; the command line prints it and exits with 2."""


def quoted(text: object, most: int = 200) -> str:
    """`text` for use in a sentence: on one line, printable, without its middle where it exceeds `most` characters."""
    line = visible(str(text))
    return line if len(line) <= most else f"{line[: most // 2 - 2]}...{line[-(most // 2 - 2) :]}"


class SyncbenchWarning(UserWarning):
    """Something a user should know, and may want to change; the work goes on."""


class CapacityWarning(SyncbenchWarning):
    """Networks that will probably not fit into the memory of this machine."""


class DamagedWarning(SyncbenchWarning):
    """Warns, in one sentence, of stored results that cannot be read and count as missing; all others are read."""


class UnscoredWarning(SyncbenchWarning):
    """A folder holds samples without scores, which no table shows."""
