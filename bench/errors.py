"""What a user may see go wrong; apart from the other nouns so that raising it never imports torch."""


class SyncbenchError(Exception):
    """A mistake of the user's that one sentence explains; the command line prints it and exits with 2."""


class DamagedWarning(UserWarning):
    """Stored results that cannot be read and count as missing, in one sentence; the rest is read all the same."""
