"""The one exception a user may see; apart from the other nouns so that raising it never imports torch."""


class SyncbenchError(Exception):
    """A mistake of the user's that one sentence explains; the command line prints it and exits with 2."""


def quoted(text: object, most: int = 200) -> str:
    """A name or a path to be named in a sentence: on one line, printable, its middle left out where it is long."""
    shown = str(text)
    shown = shown if shown.isprintable() else ascii(shown)[1:-1]
    return shown if len(shown) <= most else f"{shown[: most // 2 - 2]}...{shown[-(most // 2 - 2) :]}"
