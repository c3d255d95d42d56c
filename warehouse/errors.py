"""What goes wrong in the warehouse, in words for the person at the command line."""


class WarehouseError(Exception):
    """The message is one line: what is wrong, where, and what to do. Command lines print it and exit with 2."""
