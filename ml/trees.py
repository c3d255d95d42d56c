"""A fitted forest as plain arrays, walked by numpy.

scikit-learn takes some 3 s of CPU to import, more than all else a minute does. A dozen windows through two
hundred trees don't need it: the arrays are those that scikit-learn fitted, and a test holds both to the same answers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows at a time: what a step of the walk touches stays in the cache.
_CHUNK = 500
# As many as scikit-learn is given; numpy lets go of the interpreter while it takes.
_THREADS = 2


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees in one row of arrays. A leaf points at itself."""

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]  # (nodes, outputs)
    cover: NDArray[np.float64]  # (nodes,) what of the training rows came through, which SHAP weighs by
    depth: int

    @classmethod
    def of(cls, estimators: list[Any], leaf_values: list[NDArray[np.float64]]) -> Trees:
        """From fitted scikit-learn trees and what each of their nodes answers, (nodes, outputs) a tree."""
        roots, feature, threshold, left, right, cover = [], [], [], [], [], []
        offset, depth = 0, 0
        for estimator in estimators:
            tree = estimator.tree_
            own = np.arange(tree.node_count, dtype=np.int32)
            leaf = tree.children_left < 0
            roots.append(offset)
            feature.append(np.where(leaf, 0, tree.feature))
            threshold.append(tree.threshold)
            cover.append(tree.weighted_n_node_samples)
            left.append(np.where(leaf, own, tree.children_left) + offset)
            right.append(np.where(leaf, own, tree.children_right) + offset)
            offset += tree.node_count
            depth = max(depth, tree.max_depth)
        return cls(
            np.array(roots, np.int32), np.concatenate(feature).astype(np.int32), np.concatenate(threshold),
            np.concatenate(left).astype(np.int32), np.concatenate(right).astype(np.int32),
            np.concatenate(leaf_values), np.concatenate(cover), depth,
        )  # fmt: skip

    def mean(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The trees' mean answer to `x` (n, features), finite: (n, outputs)."""
        # Thresholds were found on float32, so they are compared with it.
        x32 = np.ascontiguousarray(x, np.float32)
        # What numpy takes by: anything else it would convert at each step.
        roots, feature = self.roots.astype(np.intp), self.feature.astype(np.intp)
        children = np.stack([self.left, self.right], axis=1).astype(np.intp).ravel()

        def walk(part: NDArray[np.float32]) -> NDArray[np.float64]:
            values, rows = part.ravel(), np.arange(0, part.size, x32.shape[1])[:, None]
            node = np.broadcast_to(roots, (len(part), len(roots)))
            for _ in range(self.depth):
                right = values.take(rows + feature.take(node)) > self.threshold.take(node)
                node = children.take(2 * node + right)
            return np.asarray(self.value.take(node, axis=0).mean(axis=1))

        parts = [x32[start : start + _CHUNK] for start in range(0, len(x32), _CHUNK)]
        if len(parts) < 2:
            return walk(x32)
        with ThreadPoolExecutor(_THREADS) as pool:
            return np.concatenate(list(pool.map(walk, parts)))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """As arrays for an `.npz`, keyed by `name`."""
        return {f"{name}.{key}": np.asarray(value) for key, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> Trees:
        """The inverse of `arrays`."""
        roots, feature, threshold, left, right, value, cover = (
            arrays[f"{name}.{key}"] for key in ("roots", "feature", "threshold", "left", "right", "value", "cover")
        )
        return cls(roots, feature, threshold, left, right, value, cover, int(arrays[f"{name}.depth"]))
