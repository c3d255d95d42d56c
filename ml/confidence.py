"""How often the action classifier's choice is the right one, by how clearly it leads: learnt on faults it hasn't seen.

The minutes before one failure are one event. Out of bag a forest meets their neighbours and is right nearly always; so
each event is judged by forests that were grown without it, and only an action that a single event ever taught is judged
out of bag, for want of anything better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import reliability
from ml.scorecard import CONFIDENCE_GRID, CONTINUE, leading

# Rows that count of each event: they say much the same, and a long event is no better evidence.
ROWS_AN_EVENT = 10
MIN_EVENTS = 3


def groups(equipment: NDArray[Any], event: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """A number (n,) for what belongs together: the rows before one event, else those of a machine."""
    keys = equipment.astype(np.str_)
    if event is not None:
        keys = np.where(event >= 0, np.char.add("event ", event.astype(np.str_)), keys)
    return np.asarray(np.unique(keys, return_inverse=True)[1], np.int64)


def curve(
    grow: Callable[[int], Any],
    forest: Any,
    inputs: NDArray[np.float64],
    action: NDArray[Any],
    group: NDArray[np.int64],
    weight: NDArray[np.float64] | None,
    seed: int,
) -> NDArray[np.float64]:
    """P(the leading action is right) over CONFIDENCE_GRID, the leading share; the identity with too few events.

    `forest` was fitted on `inputs` (n, k) with out-of-bag shares; `grow(seed)` makes a smaller one of its kind.
    """
    fault = action != CONTINUE
    random = np.random.default_rng(seed)
    if len(np.unique(group[fault])) < MIN_EVENTS:
        return CONFIDENCE_GRID
    classes = [str(name) for name in forest.classes_]
    shares = np.nan_to_num(forest.oob_decision_function_)
    several = {name for name in classes if len(np.unique(group[action == name])) > 1}
    fold = random.permutation(int(group.max()) + 1)[group] % reliability.FOLDS
    for number in range(reliability.FOLDS):
        held = fault & (fold == number) & np.isin(action, list(several))
        other = ~(fault & (fold == number))
        if not held.any() or len(np.unique(action[other])) < 2:
            continue
        grown = grow(seed + 1 + number).fit(inputs[other], action[other], None if weight is None else weight[other])
        shares[held] = 0.0
        columns = [classes.index(str(name)) for name in grown.classes_]
        shares[np.ix_(held, columns)] = grown.predict_proba(inputs[held])
    rows = _some(np.flatnonzero(fault & (shares.sum(axis=1) > 0)), group, random)
    chosen, share = leading(shares[rows], classes)
    right = chosen == action[rows]
    return reliability.curve(share, np.asarray(right, bool), np.ones(len(rows)), CONFIDENCE_GRID, group[rows])


def _some(rows: NDArray[np.int64], group: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """At most ROWS_AN_EVENT of each group's `rows`, drawn evenly."""
    drawn = random.permutation(rows)
    order = drawn[np.argsort(group[drawn], kind="stable")]
    start = np.searchsorted(group[order], group[order], "left")
    return np.asarray(np.sort(order[np.arange(len(order)) - start < ROWS_AN_EVENT]))
