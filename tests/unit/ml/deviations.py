"""Windows that are made up, as deviations from normal."""

from __future__ import annotations

import numpy as np

from ml.features import FEATURES, HISTORY, MEASUREMENTS, Z_SCORES

COLUMN = {name: index for index, name in enumerate(FEATURES)}
NORMAL, FAULTY = 30_000, 800


def made_up(rng: np.random.Generator, count: int) -> np.ndarray:
    context = len(Z_SCORES) + len(HISTORY)
    # Of a stream of its own: what models of the readings see doesn't depend on how much context there is.
    x = np.hstack(
        [
            rng.normal(0, 0.7, (count, len(FEATURES) - context)),
            np.abs(np.random.default_rng(count).normal(0, 1, (count, context))),
        ]
    )
    x[:, [COLUMN[f"{m}_flat_minutes"] for m in MEASUREMENTS]] = 0
    x[:, COLUMN["load_ratio"]] = rng.uniform(0.5, 1, count)
    for absent in ("power", "speed", "current", "voltage"):
        x[:, [index for name, index in COLUMN.items() if name.startswith(absent)]] = np.nan
    return x


def shift(x: np.ndarray, measurement: str, by: np.ndarray) -> np.ndarray:
    shifted = x.copy()
    for window in (5, 15, 60):
        shifted[:, COLUMN[f"{measurement}_deviation_{window}m"]] += by
    return shifted
