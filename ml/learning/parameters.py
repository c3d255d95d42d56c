"""The estimator's parameters: those of the last search that may be used, else the built-in ones."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from ml.features import contract


def chosen(connection: psycopg.Connection, moment: datetime, border: datetime) -> tuple[str | None, dict[str, Any]]:
    """(tuning_id, parameters) of the last search known at `moment`; (None, {}) where the built-in ones are to be used.

    A search that looked at windows after `border`, where the held-out time begins, is none: its parameters would be
    chosen on what they are judged by. So is one for other features, or that names a parameter which is no more.
    """
    from ml.bundle import EquipmentAnomalyDetector

    row = connection.execute(
        "SELECT tuning_id, adopted, parameters FROM ml.tunings"
        " WHERE contract = %s AND moment <= %s AND learnt_until <= %s ORDER BY moment DESC, tuned_at DESC LIMIT 1",
        (contract(), moment, border),
    ).fetchone()
    if row is None:
        return None, {}
    tuning_id, adopted, parameters = row
    if not adopted or not set(parameters) <= set(EquipmentAnomalyDetector().get_params()):
        return None, {}
    return tuning_id, parameters
