"""What goes wrong between the marts and a recommendation, in words for the person at the command line."""


class ModelError(Exception):
    """One line: what is wrong, where, and what to do. Command lines print it and exit with 2."""


class ContractError(ModelError):
    """The feature mart and the model don't fit together; the message names the columns or the two hashes."""


class RegistryError(ModelError):
    """The registry has no such version or alias, or its artifact can't be trusted."""


class NoChampionError(RegistryError):
    """There is no champion yet, so nothing can be scored; the message says how the first one is made."""


class NoReferenceError(ModelError):
    """The champion was trained before references were kept; the message says when drift begins to be looked at."""


class HistoryFileError(ModelError):
    """A file of past recommendations or answers can't be used; the message says where and what is allowed."""
