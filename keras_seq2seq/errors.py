"""The one exception that means "the input is wrong", as opposed to a bug."""


class InputError(ValueError):
    """Input that cannot be used: says what was wrong, what was received and what to do.

    The command line prints its message as one line and exits with status 2.
    """
