"""What goes wrong on the way in, in words for the person at the command line."""


class IngestError(Exception):
    """One line: what is wrong, where, and what is allowed. Command lines print it and exit with 2."""


class PlantFileError(IngestError):
    """`plant.yml` can't be used; the message names the file, the key, what is wrong and what is allowed."""


class MapFileError(IngestError):
    """A map can't be used; the message names the file, the key, what is wrong and what is allowed."""


class FileError(IngestError):
    """A file to be loaded can't be used; the message names the file, line and column, and what is allowed."""


class ConnectError(IngestError):
    """A server can't be connected to; the message says why and what to do, on the server or in `plant.yml`."""
