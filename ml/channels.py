"""What is unusual about a row, by four views of it: isolation, T², Q and the largest deviation. numpy alone.

An isolation forest hardly sees a fault of one or two dimensions: the largest deviation does, each input held against
its own tail and on its own side, or what a machine does at every start would hide all that it never does. T² sees
combinations that are far out in the directions that normal operation moves in, Q sees those that it never moves in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.calibration import Sides, Tail
from ml.trees import Trees

NAMES = ("isolation", "largest", "t2", "q")


@dataclass(frozen=True)
class Channels:
    """Fitted arrays over d inputs, of which k components are kept."""

    centre: NDArray[np.float64]  # (d,)
    scale: NDArray[np.float64]  # (d,)
    isolation: Trees
    isolation_norm: float
    components: NDArray[np.float64]  # (k, d)
    variances: NDArray[np.float64]  # (k,)
    sides: Sides
    tails: dict[str, Tail]

    def raw(self, x: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Raw values (n,) each of `x` (n, d), finite; higher is stranger.

        `largest` is the surprise of the most surprising input by itself. `isolation` is 2^(−depth/c) as in Liu 2008.
        `t2` is the root of Σ tᵢ²/λᵢ over the kept components, `q` the root of the squared prediction error, which is
        what they leave (Jackson & Mudholkar 1979).
        """
        scaled = (x - self.centre) / self.scale
        kept = scaled @ self.components.T
        left = scaled - kept @ self.components
        return {
            "isolation": 2.0 ** (-self.isolation.mean(scaled)[:, 0] / self.isolation_norm),
            "largest": self.sides(scaled).max(axis=1),
            "t2": np.sqrt((kept**2 / self.variances).sum(axis=1)),
            "q": np.sqrt((left**2).sum(axis=1)),
        }

    def surprises(self, x: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Each channel's surprise (n,) by its own tail, 0 to 8."""
        return {name: self.tails[name](values) for name, values in self.raw(x).items()}

    def largest(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The most surprising channel (n,), not yet corrected for there being four."""
        return np.asarray(np.max(list(self.surprises(x).values()), axis=0))

    def surprise(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Surprise (n,) of the most surprising channel, calibrated again; 0 to 8."""
        return self.tails["unsupervised"](self.largest(x))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """As arrays for an `.npz`, keyed by `name`."""
        arrays: dict[str, NDArray[Any]] = {
            f"{name}.{key}": np.asarray(getattr(self, key))
            for key in ("centre", "scale", "isolation_norm", "components", "variances")
        }
        arrays |= self.isolation.arrays(f"{name}.isolation") | self.sides.arrays(f"{name}.sides")
        for key, tail in self.tails.items():
            arrays |= tail.arrays(f"{name}.tail.{key}")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> Channels:
        """The inverse of `arrays`."""
        prefix = f"{name}.tail."
        tails = sorted({key.removeprefix(prefix).split(".")[0] for key in arrays if key.startswith(prefix)})
        return cls(
            arrays[f"{name}.centre"], arrays[f"{name}.scale"], Trees.from_arrays(arrays, f"{name}.isolation"),
            float(arrays[f"{name}.isolation_norm"]), arrays[f"{name}.components"], arrays[f"{name}.variances"],
            Sides.from_arrays(arrays, f"{name}.sides"),
            {key: Tail.from_arrays(arrays, f"{prefix}{key}") for key in tails},
        )  # fmt: skip
