"""How far out in the tail of normal operation a value lies, as surprise: minus log10 of the share beyond it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CEILING = 8.0


class Tail:
    """The upper tail of a sample: empirical as far as the sample carries, exponential beyond.

    `knots` are values, `surprise` is −log10 P(normal > knot); both (k,), rising. `scale` is the mean excess over
    the last knots, the exponential's only parameter. Surprise 4 is the 99.99th percentile.
    """

    def __init__(self, knots: NDArray[np.float64], surprise: NDArray[np.float64], scale: float) -> None:
        self.knots = knots
        self.surprise = surprise
        self.scale = scale

    @classmethod
    def fit(cls, values: NDArray[np.float64]) -> Tail:
        """Fit on `values` (n,) of normal operation; n below about 50 leaves the tail to the exponential."""
        ordered = np.sort(np.asarray(values, float))
        # Fewer than five values beyond a quantile say little about where it is.
        reach = max(0.5, np.log10(max(len(ordered), 10) / 5))
        grid = np.linspace(0.0, reach, max(2, round(reach * 20)))
        knots = np.quantile(ordered, 1 - 10.0**-grid)
        beyond = ordered[ordered >= np.quantile(ordered, 1 - 10.0 ** -max(0.3, reach - 1))]
        scale = float(np.mean(beyond - beyond[0])) if len(beyond) > 1 else 0.0
        scale = max(scale, 0.02 * float(np.std(ordered)), 1e-6)
        knots = np.maximum.accumulate(knots) + np.arange(len(knots)) * 1e-12
        return cls(knots, grid, scale)

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Surprise of `values` (n,), from 0 to CEILING, never falling as values rise."""
        inside = np.interp(values, self.knots, self.surprise)
        beyond = self.surprise[-1] + np.maximum(values - self.knots[-1], 0.0) / (self.scale * np.log(10))
        return np.minimum(np.where(values > self.knots[-1], beyond, inside), CEILING)

    def arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """As arrays for an `.npz`, keyed by `name`."""
        return {f"{name}.knots": self.knots, f"{name}.surprise": self.surprise, f"{name}.scale": np.array(self.scale)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]], name: str) -> Tail:
        """The inverse of `arrays`."""
        return cls(arrays[f"{name}.knots"], arrays[f"{name}.surprise"], float(arrays[f"{name}.scale"]))
