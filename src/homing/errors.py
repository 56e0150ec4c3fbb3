"""Errors that a user can fix."""


class HomingError(Exception):
    """An error that the user can fix. Its message names the file, row or key, what was expected, and the cure."""


class TransientError(HomingError):
    """An error that another try may not meet: the time limit, a full disk, a server that does not answer."""
