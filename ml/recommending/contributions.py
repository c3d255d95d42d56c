"""What each input added to what a channel of the model says about one window. Every decomposition is exact.

Forests are explained by SHAP over the paths of their own trees (Lundberg 2020), T² and Q by their complete
decomposition (Alcala & Qin 2009), the largest deviation by being one. The shap package takes 5 to 16 s of CPU and
250 MB to import, for a moment's work on arrays that are loaded anyway; a test holds both to the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml import horizons
from ml.calibration import CEILING
from ml.horizons import LIKELY
from ml.scorecard import CLASSIFIED, CONTINUE, DETECTED, Scorecard, classifier_inputs
from ml.trees import Trees

# What is one normal minute in 1,000 has something to say.
TELLING_SURPRISE = 3.0
# Hours within which a likely failure raises the score.
HORIZON = 24.0


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
    """SHAP values of a fitted forest, by the paths of its own trees and what of the training rows took them.

    Along the path to a leaf, a known input goes its own way or not (`own`, 0 or 1), an unknown one goes there with the
    share of training rows that did (`shares`). Shapley's weights are k!(m−1−k)!/m! = ∫ tᵏ(1−t)ᵐ⁻¹⁻ᵏ dt, so an input's
    part of a leaf is (own − share) ∫ Π over the others of (t own + (1−t) share) dt: a polynomial, which Gauss-Legendre
    integrates exactly.
    """

    def __init__(self, trees: Trees, inputs: int) -> None:
        self._trees = trees
        nodes = np.arange(len(trees.feature))
        inner = np.flatnonzero(trees.left != nodes)
        parent = nodes.copy()
        parent[trees.left[inner]] = parent[trees.right[inner]] = inner
        self._leaves = np.flatnonzero(trees.left == nodes)
        rows = np.arange(len(self._leaves))
        self._shares = np.ones((len(rows), inputs))  # (leaves, inputs)
        self._steps: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
        node = self._leaves
        for _ in range(trees.depth):
            up = parent[node]
            taken = np.flatnonzero(up != node)  # a root is its own parent
            at, of = node[taken], up[taken]
            self._shares[rows[taken], trees.feature[of]] *= trees.cover[at] / trees.cover[of]
            self._steps.append((taken, of, trees.left[of] == at))
            node = up
        self._values = trees.value[self._leaves] / len(trees.roots)
        self.base = np.asarray(self._shares.prod(axis=1) @ self._values)  # (outputs,)

    def __call__(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each input of `row` (inputs,) adds to each output of the forest's mean: (inputs, outputs)."""
        # Thresholds were found on float32, so they are compared with it.
        goes_left = row.astype(np.float32)[self._trees.feature] <= self._trees.threshold
        own = np.ones_like(self._shares)
        for taken, of, left in self._steps:
            own[taken, self._trees.feature[of]] *= goes_left[of] == left
        points, weights = np.polynomial.legendre.leggauss(self._trees.depth // 2 + 1)
        part = np.zeros_like(own)
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            factors = point * own + (1 - point) * self._shares
            part += weight * factors.prod(axis=1)[:, None] / factors
        return np.asarray((part * (own - self._shares)).T @ self._values)


def quadratic(row: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Complete decomposition (d,) of zᵀMz: zⱼ(Mz)ⱼ (Alcala & Qin 2009). Parts may be negative.

    T² where M is the inverse covariance, Q where it projects on what the components leave. Q's squared residuals, which
    add up as well, smear: a measurement that the components take for the most part leaves residuals with others.
    """
    return np.asarray(row * (matrix @ row))


def largest(surprises: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,): the largest of `surprises` (d,) where it is, and nothing elsewhere."""
    return np.where(np.arange(len(surprises)) == surprises.argmax(), surprises, 0.0)


class Explainer:
    """Explains windows by one model; its forests are got ready once, where they are first asked."""

    def __init__(self, card: Scorecard) -> None:
        self._card = card

    @cached_property
    def _classifier(self) -> Forest | None:
        return None if self._card.classifier is None else Forest(self._card.classifier, len(CLASSIFIED))

    @cached_property
    def _isolation(self) -> Forest:
        return Forest(self._card.detector.isolation, len(DETECTED))

    @cached_property
    def _ahead(self) -> Forest | None:
        return None if self._card.horizons is None else Forest(self._card.horizons.forest, len(horizons.INPUTS))

    def __call__(self, row: NDArray[np.float64], machine: str, action: str | None) -> list[Contributions]:
        """What has something to say about `row` (len(FEATURES),) of `machine`: the classifier where it knows the
        `action`, the detector's most surprising channel and every other that is surprising, and what makes a failure
        likely within 24 hours."""
        x = row[None, :]
        detector = self._card.detector
        inputs = self._card.scaled(x, np.array([machine]))
        surprises = {name: float(values[0]) for name, values in detector.surprises(inputs).items()}
        scaled = ((inputs - detector.centre) / detector.scale)[0]
        first = max(surprises, key=lambda channel: surprises[channel])
        parts = [
            self._detected(scaled, channel, surprise)
            for channel, surprise in surprises.items()
            if surprise >= TELLING_SURPRISE or channel == first
        ]
        if action is not None and self._classifier is not None and action in self._card.classes:
            parts.append(self._classified(self._classifier, x, action))
        return parts + self._coming(x)

    def _classified(self, forest: Forest, x: NDArray[np.float64], action: str) -> Contributions:
        classes = self._card.classes
        index = classes.index(action)
        values, base = forest(classifier_inputs(x)[0])[:, index], float(forest.base[index])
        probabilities = self._card.probabilities(x)[0]
        fault = 1.0 - probabilities[classes.index(CONTINUE)]
        surprise = float(self._card.tails["supervised"](np.array([fault]))[0])
        return Contributions("classifier", CLASSIFIED, values, base, float(probabilities[index]), surprise)

    def _coming(self, x: NDArray[np.float64]) -> list[Contributions]:
        """What the forest says before its calibration, which is one curve and so changes no order."""
        known = self._card.horizons
        if known is None or self._ahead is None or HORIZON not in known.edges:
            return []
        likely = float(known.outlook(x).failure_24h[0])
        if likely < LIKELY:
            return []
        index = int(np.flatnonzero(known.edges == HORIZON)[0])
        inputs = horizons.inputs(x)
        values, base = self._ahead(inputs[0])[:, index], float(self._ahead.base[index])
        output = float(known.forest.mean(inputs)[0, index])
        return [Contributions("ahead", horizons.INPUTS, values, base, output, CEILING * likely)]

    def _detected(self, scaled: NDArray[np.float64], channel: str, surprise: float) -> Contributions:
        detector, base = self._card.detector, 0.0
        scores = detector.components @ scaled
        if channel == "isolation":
            values, base = self._isolation(scaled)[:, 0], float(self._isolation.base[0])
            output = float(detector.isolation.mean(scaled[None, :])[0, 0])
        elif channel == "t2":
            values = quadratic(scaled, (detector.components.T / detector.variances) @ detector.components)
            output = float((scores**2 / detector.variances).sum())
        elif channel == "q":
            values = quadratic(scaled, np.eye(len(scaled)) - detector.components.T @ detector.components)
            output = float(scaled @ scaled - scores @ scores)
        else:
            surprises = detector.sides(scaled[None, :])[0]
            values, output = largest(surprises), float(surprises.max())
        return Contributions(channel, DETECTED, values, base, output, surprise)
