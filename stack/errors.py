"""What goes wrong when the stack is started, in words for the person at the command line."""


class StackError(Exception):
    """One line: what is wrong, where, and what to do. The command line prints it and exits with 2."""
