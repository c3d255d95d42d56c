"""What each input added to what a channel of the model says about one window. Every decomposition is exact.

Forests are explained by SHAP over the paths of their own trees (Lundberg 2020), T² by its complete decomposition, Q by
its squared residuals (Alcala & Qin 2009), the largest deviation by being one. SHAP takes seconds to import: nothing
that scores or publishes may come here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.features import DEVIATIONS, FLAT, MEASUREMENTS
from ml.scorecard import CONTINUE, classifier_inputs

if TYPE_CHECKING:
    from ml.bundle import EquipmentAnomalyDetector

# As `ml.scorecard` derives them: what the classifier and the detector see.
CLASSIFIED = (*(f"{m}_deviation_5m" for m in MEASUREMENTS), *FLAT)
DETECTED = (*DEVIATIONS, *FLAT)
# What is one normal minute in 1,000 has something to say.
TELLING_SURPRISE = 3.0


@dataclass(frozen=True)
class Contributions:
    """`base` and the sum of `values` are `output`, in the units of the channel."""

    channel: str
    names: tuple[str, ...]
    values: NDArray[np.float64]  # (d,)
    base: float
    output: float
    surprise: float  # of the channel, 0 to 8: how much it has to say

    @property
    def towards(self) -> NDArray[np.float64]:
        """`values` (d,) with what speaks for a fault positive: a window that is isolated early is unusual."""
        return -self.values if self.channel == "isolation" else self.values

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of all that speaks for a fault (d,), adding up to 1; what speaks against it is negative."""
        total = np.maximum(self.towards, 0.0).sum()
        return self.towards / total if total > 0 else np.zeros(len(self.values))


class Forest:
    """SHAP values of a fitted forest of scikit-learn; those of an isolation forest explain its mean depth."""

    def __init__(self, estimator: Any) -> None:
        with warnings.catch_warnings():
            # Its plots, which nothing here draws, use what matplotlib is about to remove.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            import shap
        self._explainer = shap.TreeExplainer(estimator, feature_perturbation="tree_path_dependent")

    def __call__(self, row: NDArray[np.float64], output: int = 0) -> tuple[NDArray[np.float64], float]:
        """What each input of `row` (d,) adds, (d,), and the base value; `output` is the class that is explained."""
        # Thresholds were found on float32, so they are compared with it.
        values = np.asarray(self._explainer.shap_values(row.astype(np.float32)[None, :]), float)
        base = np.atleast_1d(self._explainer.expected_value)
        return values.reshape(len(row), -1)[:, output], float(base[output])


def quadratic(row: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Complete decomposition (d,) of zᵀMz, T² where M is the inverse covariance: zⱼ(Mz)ⱼ. Parts may be negative."""
    return np.asarray(row * (matrix @ row))


def residual(row: NDArray[np.float64], components: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared residuals (d,) that `components` (k, d), orthonormal, leave of `row`; their sum is Q."""
    return np.asarray((row - (row @ components.T) @ components) ** 2)


def largest(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,): the largest absolute value where it is, and nothing elsewhere."""
    sizes = np.abs(row)
    return np.where(np.arange(len(row)) == sizes.argmax(), sizes, 0.0)


class Explainer:
    """Explains windows by one bundle; forests are got ready once, where they are first asked."""

    def __init__(self, bundle: EquipmentAnomalyDetector) -> None:
        self._bundle = bundle
        self._card = bundle.scorecard

    @cached_property
    def _classifier(self) -> Forest:
        return Forest(self._bundle.classifier_)

    @cached_property
    def _isolation(self) -> Forest:
        return Forest(self._bundle.isolation_)

    def __call__(self, row: NDArray[np.float64], machine: str, action: str | None) -> list[Contributions]:
        """What has something to say about `row` (len(FEATURES),) of `machine`: the classifier where it knows the
        `action`, the detector's most surprising channel and every other that is surprising."""
        x, machines = row[None, :], np.array([machine])
        parts = []
        if action is not None and self._card.classifier is not None and action in self._card.classes:
            parts.append(self._classified(x, action))
        raw = self._card.channels(x, machines)
        surprises = {name: float(self._card.tails[name](value)[0]) for name, value in raw.items()}
        for channel, surprise in surprises.items():
            if surprise >= TELLING_SURPRISE or surprise == max(surprises.values()):
                parts.append(self._detected(self._card.scaled(x, machines)[0], channel, surprise))
        return parts

    def _classified(self, x: NDArray[np.float64], action: str) -> Contributions:
        classes = self._card.classes
        values, base = self._classifier(classifier_inputs(x)[0], classes.index(action))
        probabilities = self._card.probabilities(x)[0]
        fault = 1.0 - probabilities[classes.index(CONTINUE)]
        surprise = float(self._card.tails["supervised"](np.array([fault]))[0])
        return Contributions(
            "classifier", CLASSIFIED, values, base, float(probabilities[classes.index(action)]), surprise
        )

    def _detected(self, scaled: NDArray[np.float64], channel: str, surprise: float) -> Contributions:
        base = 0.0
        if channel == "isolation":
            values, base = self._isolation(scaled)
            output = float(self._card.isolation.mean(scaled[None, :])[0, 0])
        elif channel == "t2":
            short = len(MEASUREMENTS)
            centred = scaled[:short] - self._card.centre
            values = np.zeros(len(scaled))
            values[:short] = quadratic(centred, self._card.precision)
            output = float(centred @ self._card.precision @ centred)
        else:
            values, output = largest(scaled), float(np.abs(scaled).max())
        return Contributions(channel, DETECTED, values, base, output, surprise)
