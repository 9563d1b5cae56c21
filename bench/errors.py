"""The one exception a user may see; apart from the other nouns so that raising it never imports torch."""


class SyncbenchError(Exception):
    """A mistake of the user's that one sentence explains; the command line prints it and exits with 2."""
