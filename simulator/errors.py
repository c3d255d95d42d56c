"""What goes wrong at the simulator's command line, in words for the person at it."""


class SimulatorError(Exception):
    """One line: what is wrong, where, and what is allowed. The command line prints it and exits with 2."""
