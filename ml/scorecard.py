"""From feature rows to one score, an action, a confidence and a time to failure: the only place where that is done.

Everything is numpy over fitted arrays; `ml.bundle` fits them with scikit-learn and scores by this very code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.calibration import Bands, Tail, own_surprise, pooled_tails
from ml.channels import Channels
from ml.features import DEVIATIONS, FEATURES, FLAT, MEASUREMENTS
from ml.horizons import LIKELY, Horizons
from ml.trees import Trees

CONTINUE = "continue_operation"
NO_PRECEDENT = "preventive_inspection"
SHUTDOWN = "emergency_shutdown"
# What history says before a failure that no reading shows yet: errors, age and upkeep call for work, not for a look.
AHEAD = "schedule_maintenance"
SUPERVISED_WEIGHT = 0.7
PRECEDENT_SURPRISE = 3.0
NO_PRECEDENT_CONFIDENCE = 0.5
# How much rarer than its sample's rarest row the detector alone is believed to be: that much is critical, and still
# short of what is shown without a second window.
TRUSTED_DECADES = 2.0
# Between two causes about as likely, the machine comes before the sensor: a bearing missed costs more than a look.
LEAST_URGENT_WEIGHT = 0.6
# A known fault that is critical and almost surely fails within the hour leaves no time for any other action.
SHUTDOWN_SCORE = 0.9
SHUTDOWN_WITHIN_AN_HOUR = 0.9
# P(failure within 24 h), and the score that it makes whatever the readings look like: likelier than not is to be seen.
AHEAD_LIKELIHOOD = (0.25, LIKELY, 0.9, 1.0)
AHEAD_SCORE = (0.0, 0.7, 0.9, 0.97)

# What the detector watches, by name: what is in units of a machine's own spread, and flat minutes.
WATCHED = (*DEVIATIONS, *FLAT)
_DETECTED = np.array([FEATURES.index(name) for name in WATCHED])
_FLAT = np.array([i for i, name in enumerate(FEATURES) if name.endswith("_flat_minutes")])
_SHORT = np.array([FEATURES.index(f"{m}_deviation_5m") for m in MEASUREMENTS])
_DEVIATIONS = np.array([FEATURES.index(name) for name in DEVIATIONS])
# What the detector and the classifier see, in order.
DETECTED = tuple(FEATURES[i] for i in _DETECTED)
CLASSIFIED = tuple(FEATURES[i] for i in (*_SHORT, *_FLAT))
FLAT_CAP = 10.0
# Spreads within which the classifier sees nothing. A measurement is two off for an hour of most days, and every fault
# that grows begins there: it would learn that noise is one.
CLASSIFIED_BEYOND = 3.0
_CLIP = 50.0


# Leading shares at which the confidence in them is kept.
CONFIDENCE_GRID = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Scores:
    """One entry a window, in the order given."""

    anomaly: NDArray[np.float64]  # 0–1, calibrated on normal operation
    unsupervised: NDArray[np.float64]  # the detector's surprise, 0–8
    supervised: NDArray[np.float64]  # probability that a known fault shows
    action: NDArray[Any]  # action codes
    confidence: NDArray[np.float64]  # 0–1; 0 where no measurement has a baseline, so that nothing can look unusual
    precedent: NDArray[np.bool_]  # False: nothing like it was ever labelled, or came before a failure
    hours_to_failure: NDArray[np.float64]  # the median; NaN where nothing points to a failure
    ttf_low: NDArray[np.float64]  # its 10 % and 90 % quantiles
    ttf_high: NDArray[np.float64]
    failure_24h: NDArray[np.float64]  # P(failure within); NaN where the model doesn't look that far
    failure_72h: NDArray[np.float64]
    failure_7d: NDArray[np.float64]


def fill(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """`x` (n, features) with a missing deviation at its normal (0) and flat minutes capped, since live a sensor has
    been stuck for minutes, in history for hours."""
    filled = np.nan_to_num(np.clip(x, -_CLIP, _CLIP), nan=0.0)
    filled[:, _FLAT] = np.minimum(np.nan_to_num(x[:, _FLAT], nan=0.0), FLAT_CAP)
    return filled


def detected(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The features of `x` (n, features) that the detector watches, filled."""
    return fill(x)[:, _DETECTED]


def classifier_inputs(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the classifier sees of `x` (n, features): short windows beyond CLASSIFIED_BEYOND, flat minutes; (n, 16).

    Short windows only: a fault that grows within minutes shows there long before an hour's mean moves, and one that
    grows over days shows there as well. What lies within the normal spread, the load and which sensors a machine has
    are left out: with a handful of failures they tell those few apart, not their causes.
    """
    filled = fill(x)
    short = filled[:, _SHORT]
    return np.hstack([np.sign(short) * np.maximum(np.abs(short) - CLASSIFIED_BEYOND, 0.0), filled[:, _FLAT]])


def leading(probabilities: NDArray[np.float64], classes: Sequence[str]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The leading action (n,) of `probabilities` (n, classes), and its share (n,) of what is not normal operation."""
    names = np.array([name for name in classes if name != CONTINUE], dtype=object)
    faults = np.delete(probabilities, list(classes).index(CONTINUE), axis=1)
    best = (faults * np.where(names == NO_PRECEDENT, LEAST_URGENT_WEIGHT, 1.0)).argmax(axis=1)
    share = faults[np.arange(len(faults)), best] / np.maximum(faults.sum(axis=1), 1e-12)
    return names[best], np.clip(share, 0.0, 1.0)


def detector_scale(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spread of normal `x` (n, features), (2, detected features): above its baseline and below it, with a floor.

    The 99.95th percentile of a side as 3.3 sigma. The sides are apart: a machine that warms up is far below its
    temperature every time it starts, which says nothing of how far above it may be.
    """
    floor = np.where(np.isin(_DETECTED, _FLAT), 1.5, 0.3)
    if not len(x):
        return np.tile(floor, (2, 1))
    values = detected(x)
    sides = [np.quantile(np.maximum(side, 0.0), 0.9995, axis=0) / 3.3 for side in (values, -values)]
    return np.maximum(sides, floor)


def in_spreads(values: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Detected `values` (n, d) in units of `scale`, (2, d) or one for each row (n, 2, d)."""
    return np.asarray(values / np.where(values > 0, scale[..., 0, :], scale[..., 1, :]))


def places(machines: Sequence[str], equipment: NDArray[Any] | None, count: int) -> NDArray[np.int64]:
    """Where each of `equipment` (count,) is in `machines`; len(machines) for the others, and where it isn't known."""
    index = {name: i for i, name in enumerate(machines)}
    if equipment is None:
        return np.full(count, len(machines))
    return np.array([index.get(str(name), len(machines)) for name in equipment], dtype=np.int64)


@dataclass(frozen=True)
class Scorecard:
    """Fitted arrays. `scales` has a row a known machine and a last one for all others."""

    contract: str
    machines: tuple[str, ...]
    scales: NDArray[np.float64]  # (machines + 1, 2, detected features), above and below the baseline
    detector: Channels  # over scaled features
    own: NDArray[np.float64]  # (machines + 1, surprises): the detector's as each machine's own, see `own_tails`
    tails: dict[str, Tail]  # of the supervised and the combined evidence, where there is a classifier
    bands: Bands
    classes: tuple[str, ...]
    classifier: Trees | None
    confidence: NDArray[np.float64]  # P(the leading action is right) over CONFIDENCE_GRID
    horizons: Horizons | None

    def scaled(self, x: NDArray[np.float64], equipment: NDArray[Any] | None) -> NDArray[np.float64]:
        """Detected features in units of the machine's own normal spread."""
        return in_spreads(detected(x), self.scales[places(self.machines, equipment, len(x))])

    def channels(self, x: NDArray[np.float64], equipment: NDArray[Any] | None) -> dict[str, NDArray[np.float64]]:
        """The detector's surprises (n,) by channel; see `ml.channels`."""
        return self.detector.surprises(self.scaled(x, equipment))

    def unsupervised(self, x: NDArray[np.float64], equipment: NDArray[Any] | None) -> NDArray[np.float64]:
        """The detector's surprise (n,) by the machine's own tail, 0 to 8."""
        rows = places(self.machines, equipment, len(x))
        return own_surprise(self.own, rows, self.detector.surprise(in_spreads(detected(x), self.scales[rows])))

    def combine(self, known_fault: NDArray[np.float64], unsupervised: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated score (n,) from P(known fault) and the detector's surprise; rises with both.

        Evidence is combined 0.7 to 0.3 and then calibrated on normal operation. From the detector's own 99.99th normal
        percentile on the score is 0.9 at least, so that labels can't outvote what none of them ever described.
        """
        own = np.minimum(unsupervised, self.detector.tails["unsupervised"].surprise[-1] + TRUSTED_DECADES)
        if self.classifier is None:
            return self.bands.score(own, own)
        return self.bands.score(self.tails["combined"](self.evidence(known_fault, own)), own)

    def evidence(self, known_fault: NDArray[np.float64], surprise: NDArray[np.float64]) -> NDArray[np.float64]:
        """Both surprises (n,) as one, 0 to 8, before calibration: the weighted harmonic mean of what they say of.

        Shares of normal time are averaged harmonically (Wilson 2019): either kind of evidence is enough, which a
        weighted sum of surprises would not let it be.
        """
        known = 10.0 ** self.tails["supervised"](known_fault)
        return np.asarray(np.log10(SUPERVISED_WEIGHT * known + (1 - SUPERVISED_WEIGHT) * 10.0**surprise))

    def probabilities(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(action) (n, classes); all on `continue_operation` where there was nothing to learn from."""
        if self.classifier is None:
            return np.ones((len(x), 1))
        probabilities = self.classifier.mean(classifier_inputs(x))
        # A window in which nothing was measured shows no fault; the classifier never met one.
        unseen = np.isnan(x[:, _SHORT]).all(axis=1)
        probabilities[unseen] = np.array(self.classes) == CONTINUE
        return probabilities

    def score(self, x: NDArray[np.float64], equipment: NDArray[Any] | None = None) -> Scores:
        """Score `x` (n, len(FEATURES)), NaN for missing; `equipment` (n,) names the machines where known.

        A failure that is likely within 24 hours raises the score by itself: what history says before one, errors and
        age, is no deviation of a reading.
        """
        if len(x) == 0:
            empty = np.empty(0)
            return Scores(empty, empty, empty, np.empty(0, object), empty, np.empty(0, bool), *[empty] * 6)
        unsupervised = self.unsupervised(x, equipment)
        probabilities = self.probabilities(x)
        normal = self.classes.index(CONTINUE)
        known_fault = 1.0 - probabilities[:, normal]
        ahead = None if self.horizons is None else self.horizons.outlook(x)
        within_24h = np.zeros(len(x)) if ahead is None else np.nan_to_num(ahead.failure_24h, nan=0.0)
        shown = self.combine(known_fault, unsupervised)
        foreseen = np.interp(within_24h, AHEAD_LIKELIHOOD, AHEAD_SCORE)
        anomaly = np.maximum(shown, foreseen)
        action = np.full(len(x), CONTINUE, dtype=object)
        confidence = np.where(np.isnan(x[:, _DEVIATIONS]).all(axis=1), 0.0, 1.0 - anomaly)
        precedent = np.zeros(len(x), bool)
        raised = anomaly >= 0.5
        if len(self.classes) > 1:
            surprise = self.tails["supervised"](known_fault)
            precedent = raised & ((surprise >= PRECEDENT_SURPRISE) | (known_fault >= 0.5)) & (known_fault > 0)
            best, share = leading(probabilities, self.classes)
            action[precedent] = best[precedent]
            confidence[precedent] = np.interp(share[precedent], CONFIDENCE_GRID, self.confidence)
        coming = raised & ~precedent & ((foreseen >= shown) | (within_24h >= LIKELY))
        action[coming], confidence[coming] = AHEAD, within_24h[coming]
        unknown = raised & ~precedent & ~coming
        action[unknown] = NO_PRECEDENT
        confidence[unknown] = NO_PRECEDENT_CONFIDENCE
        hours, within = np.full((len(x), 3), np.nan), [np.full(len(x), np.nan)] * 3
        if ahead is not None:
            within = [ahead.failure_24h, ahead.failure_72h, ahead.failure_7d]
            pointing = (precedent & (action != NO_PRECEDENT)) | (ahead.any >= LIKELY)
            hours[pointing] = ahead.hours[pointing]
            now = precedent & (anomaly >= SHUTDOWN_SCORE) & (ahead.soonest >= SHUTDOWN_WITHIN_AN_HOUR)
            action[now], confidence[now] = SHUTDOWN, ahead.soonest[now]
        return Scores(
            anomaly, unsupervised, known_fault, action, confidence, precedent | coming,
            hours[:, 1], hours[:, 0], hours[:, 2], *within,
        )  # fmt: skip

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays of numbers and text, for an `.npz` that is read without pickle."""
        arrays: dict[str, NDArray[Any]] = {
            "contract": np.array(self.contract),
            "machines": np.array(self.machines, dtype=np.str_),
            "classes": np.array(self.classes, dtype=np.str_),
            "scales": self.scales,
            "own": self.own,
            "confidence": self.confidence,
            **self.bands.arrays(),
            **self.detector.arrays("detector"),
        }
        for name, tail in self.tails.items():
            arrays |= tail.arrays(f"tail.{name}")
        if self.classifier is not None:
            arrays |= self.classifier.arrays("classifier")
        if self.horizons is not None:
            arrays |= self.horizons.arrays("horizons")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Scorecard:
        """The inverse of `arrays`; a version from before machines had tails of their own has all machines'."""
        names = sorted({key.split(".")[1] for key in arrays if key.startswith("tail.")})
        return cls(
            contract=str(arrays["contract"]),
            machines=tuple(str(name) for name in arrays["machines"]),
            scales=arrays["scales"],
            detector=Channels.from_arrays(arrays, "detector"),
            own=arrays.get("own", pooled_tails(len(arrays["machines"]))),
            tails={name: Tail.from_arrays(arrays, f"tail.{name}") for name in names},
            bands=Bands.from_arrays(arrays),
            classes=tuple(str(name) for name in arrays["classes"]),
            classifier=Trees.from_arrays(arrays, "classifier") if "classifier.roots" in arrays else None,
            confidence=arrays["confidence"],
            horizons=Horizons.from_arrays(arrays, "horizons") if "horizons.edges" in arrays else None,
        )
