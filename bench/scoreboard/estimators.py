"""Detectors on raw channels: fitted on rows that are known to be good, with limits from those rows alone.

Each takes training rows (n, channels) and rows to judge (m, channels), and gives what it flags (m,). None sees a label.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Estimator = Callable[[Floats, Floats], NDArray[np.bool_]]
# How often a normal row may be flagged, stated beforehand: SKAB's own limits are at 0.999.
FALSE_ALARM_RATE = 0.001
# SKAB smooths what it flags by a running median, of 3 rows for the forest and 5 for T²+Q.
_FOREST_ROWS, _PCA_ROWS = 3, 5
_EXPLAINED = 0.85


def flag_everything(train: Floats, judged: Floats) -> NDArray[np.bool_]:
    """What an F1 without a false-alarm rate is worth."""
    return np.ones(len(judged), dtype=bool)


def isolation_forest(train: Floats, judged: Floats) -> NDArray[np.bool_]:
    """scikit-learn's forest, its limit at the stated false-alarm rate of training rows; running median of 3."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=0, contamination=FALSE_ALARM_RATE).fit(train)
    return _median((forest.predict(np.vstack([train, judged])) < 0).astype(float), _FOREST_ROWS)[len(train) :] > 0.5


def t2_and_q(train: Floats, judged: Floats) -> NDArray[np.bool_]:
    """PCA on standardised channels; T² within the components, Q the squared residual outside them.

    Components explain 85 % of the training variance. The limit of T² is that of the F distribution, the one of Q is
    Jackson and Mudholkar's (Technometrics 21, 1979), both at 0.999 and from training rows; running median of 5.
    """
    from scipy import stats  # type: ignore[import-untyped]

    spread = train.std(axis=0)
    varied = spread > 0
    train, judged = train[:, varied], judged[:, varied]
    centre, spread = train.mean(axis=0), spread[varied]
    x, y = (train - centre) / spread, (np.vstack([train, judged]) - centre) / spread
    roots, axes = np.linalg.eigh(np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1]))
    roots, axes = np.maximum(roots[::-1], 1e-12), axes[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(roots) / roots.sum(), _EXPLAINED) + 1)
    n, level = len(x), 1 - FALSE_ALARM_RATE
    scores = y @ axes[:, :kept]
    t2 = (scores**2 / roots[:kept]).sum(axis=1)
    limit = kept * (n - 1) * (n + 1) / (n * (n - kept)) * stats.f.ppf(level, kept, n - kept)
    flagged = _median(t2, _PCA_ROWS) > limit
    rest = roots[kept:]
    if len(rest):
        q = ((y - scores @ axes[:, :kept].T) ** 2).sum(axis=1)
        one, two, three = (float((rest**power).sum()) for power in (1, 2, 3))
        h = max(1 - 2 * one * three / (3 * two**2), 1e-3)
        inner = stats.norm.ppf(level) * np.sqrt(2 * two * h**2) / one + 1 + two * h * (h - 1) / one**2
        flagged |= _median(q, _PCA_ROWS) > one * inner ** (1 / h)
    return np.asarray(flagged[n:])


def rows(train: Floats, judged: Floats) -> NDArray[np.bool_]:
    """The project's own on the product path, which `ml train` fits on features: here on raw channels, row by row."""
    from ml.detector import Detector

    return Detector().fit(train).predict(judged, FALSE_ALARM_RATE) < 0


def levels(train: Floats, judged: Floats) -> NDArray[np.bool_]:
    """The project's own for raw channels as a series; not on the product path, where dbt makes the features."""
    from ml.series import LevelDetector

    return LevelDetector().fit(train).predict(judged, FALSE_ALARM_RATE) < 0


def _median(values: Floats, rows: int) -> Floats:
    """The running median of the last `rows`; where there are fewer, of those."""
    return pd.Series(values).rolling(rows, min_periods=1).median().to_numpy()


def filled(values: Floats) -> Floats:
    """`values` (n, channels) with the last reading in an empty field, 0 before the first."""
    return pd.DataFrame(values).ffill().fillna(0.0).to_numpy()
