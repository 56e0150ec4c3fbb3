"""The errors a user can mend: one base class, and those of them that may be gone at the next try."""


class HomingError(Exception):
    """Something the user can mend: the message names the file, row or key, what was expected, and the cure."""


class TransientError(HomingError):
    """One that may be gone when the job is tried again: time was up, the disk was full, a server did not answer."""
