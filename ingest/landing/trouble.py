"""What an error of Postgres means for landing: wait, call someone, or set a row aside.

Whatever it is, the readings stay in the spool until they have landed; a class decides who has to do something.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import psycopg


class Trouble(StrEnum):
    """`transient` passes by itself, `standing` stays until someone acts, `poison` is about a row and not the server."""

    TRANSIENT = "transient"
    STANDING = "standing"
    POISON = "poison"


@dataclass(frozen=True)
class Diagnosis:
    """The class of an error, its name in Postgres' words, the first line of what it says, and what to do about it."""

    trouble: Trouble
    kind: str
    reason: str
    advice: str


_WAIT: Final = "nothing to do: it is tried again until Postgres takes it"
_SET_ASIDE: Final = "the row is set aside in raw.rejected_events, the others land"
_MIGRATE: Final = "run `python -m warehouse migrate` with this version, and see that PGDATABASE names the warehouse"
_PASSWORD: Final = (
    "the role and its password are those of var/passwords.json or MILLWRIGHT_PASSWORD_INGEST;"
    " `python -m warehouse migrate` sets them, pg_hba.conf has to let this machine in"
)
_STANDING: Final = {
    "42501": "grant what is missing: `python -m warehouse migrate` restores every grant of millwright_ingest",
    "25006": "Postgres takes no writes: it is a standby, or default_transaction_read_only is on;"
    " point PGHOST at the primary or switch that off",
    "53100": "the disk of Postgres is full: free some, or lower MILLWRIGHT_RAW_RETENTION_DAYS and run"
    " `python -m warehouse maintain`",
    "28000": _PASSWORD,
    "28P01": _PASSWORD,
}
_STANDING_CLASSES: Final = {"42": _MIGRATE, "3D": _MIGRATE, "3F": _MIGRATE, "28": _PASSWORD}
# A value (22), a constraint (23), a size (54), a trigger of someone's (P0, 09).
_POISON_CLASSES: Final = ("22", "23", "54", "P0", "09")
# The connection (08), a lost race (40), resources (53), locks and states (55), an operator (57).
_TRANSIENT_CLASSES: Final = ("08", "40", "53", "55", "57")
# A connection that isn't made has no code, only words.
_REFUSALS: Final = {
    "password authentication failed": _PASSWORD,
    "no pg_hba.conf entry": _PASSWORD,
    "no password supplied": _PASSWORD,
    "does not exist": _MIGRATE,
}


def diagnose(error: psycopg.Error) -> Diagnosis:
    """The class of `error` by its SQLSTATE; unknown ones are standing, so that no row is set aside for them."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    trouble, advice = _judge(error, str(error))
    return Diagnosis(trouble, kind, lines[0] if lines else kind, advice)


def lacks_partition(error: psycopg.Error) -> bool:
    """Whether a row found no partition; Postgres reports it as a constraint without a name."""
    return isinstance(error, psycopg.errors.CheckViolation) and not error.diag.constraint_name


def _judge(error: psycopg.Error, message: str) -> tuple[Trouble, str]:
    code = error.sqlstate
    if code is None:
        for words, advice in _REFUSALS.items():
            if words in message:
                return Trouble.STANDING, advice
        if isinstance(error, psycopg.OperationalError):
            return Trouble.TRANSIENT, _WAIT
        return Trouble.STANDING, "an error of the client itself, not of Postgres: please report it with this line"
    if lacks_partition(error):
        return Trouble.STANDING, (
            "a day has no partition and none could be made for it: a table raw.sensor_events_YYYYMMDD that isn't"
            " attached is in the way; attach, rename or drop it"
        )
    if code in _STANDING:
        return Trouble.STANDING, _STANDING[code]
    if code[:2] in _STANDING_CLASSES:
        return Trouble.STANDING, _STANDING_CLASSES[code[:2]]
    if code[:2] in _POISON_CLASSES:
        return Trouble.POISON, _SET_ASIDE
    if code[:2] in _TRANSIENT_CLASSES:
        return Trouble.TRANSIENT, _WAIT
    return Trouble.STANDING, f"the log of Postgres has more; its manual lists {code} under error codes"
