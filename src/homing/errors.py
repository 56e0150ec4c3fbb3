"""The one base class of what a user can mend."""


class HomingError(Exception):
    """Something the user can mend: the message names the file, row or key, what was expected, and the cure."""
