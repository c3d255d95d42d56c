"""What operators and gates hold the models to: one frozen object, read from `MILLWRIGHT_ML_*`."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Self

from pydantic import Field, model_validator

from ml.errors import ModelError
from warehouse.drawing import Drawing

# One false-alarm episode a machine-week, a machine-month, a machine-year.
BANDS_WEEKLY = (1.0, 12 / 52.18, 1 / 52.18)
COMMISSIONING_WINDOWS = 300


class Policy(Drawing):
    """Thresholds of publishing, training and promotion. Times carry their unit in the name."""

    min_confidence: float = Field(0.75, ge=0, le=1, description="a significant recommendation is shown from here")
    extreme_score: float = Field(0.98, ge=0, le=1, description="shown at once, without a second window")
    persistence_minutes: int = Field(3, ge=1, description="the confirming window is at most this much older")
    stale_minutes: int = Field(10, ge=1, description="older windows are scored but raise nothing")
    dedup_minutes: int = Field(5, ge=0, description="a machine gets no second recommendation within")
    quiet_minutes: int = Field(60, ge=0, description="after an answer the machine raises nothing of that severity for")
    expire_minutes: int = Field(30, ge=1, description="an open recommendation expires once the score was low for")
    alarms_per_hour: int = Field(6, ge=1, description="ISA-18.2: what an operator can respond to")
    operators: int = Field(1, ge=1, description="how many watch a plant at a time; each adds its alarms an hour")

    minor_weekly: float = Field(
        BANDS_WEEKLY[0], gt=0, description="false-alarm episodes a machine-week that a score of 0.5 stands for"
    )
    significant_weekly: float = Field(BANDS_WEEKLY[1], gt=0, description="and a score of 0.7: one a machine-month")
    critical_weekly: float = Field(BANDS_WEEKLY[2], gt=0, description="and a score of 0.9: one a machine-year")
    commissioning_windows: int = Field(
        COMMISSIONING_WINDOWS, ge=1, description="a machine with fewer normal rows is judged by all machines' spread"
    )

    drift_quiet_days: float = Field(
        30, gt=1, description="an unchanged plant is told once in so many days to have drifted"
    )

    seed: int = Field(0, description="of every draw: forests, bootstraps, searches")
    clear_days: float = Field(5.0, gt=0, description="nearer before a failure nothing counts as normal")
    held_out_share: float = Field(0.2, gt=0, lt=1, description="the last part of the time line judges")
    held_out_days: float = Field(21.0, gt=0, description="and no more of it than this")
    min_training_rows: int = Field(1000, ge=0, description="fewer refuse a retraining")
    tuning_trials: int = Field(24, ge=0, description="how many parameters a search tries; 0 for none")
    tuning_minutes: float = Field(45.0, gt=0, description="and for how long; the trial under way is finished")
    tuning_gain: float = Field(0.01, ge=0, description="average precision that better parameters must gain")

    outcome_days: float = Field(7.0, gt=0, description="what the CMMS says this long after overrules an answer")

    recall_floor: float = Field(0.3, ge=0, le=1, description="share of the fault windows that a candidate must find")
    margin: float = Field(0.02, ge=0, description="how much less of the fault windows a candidate may find")
    max_precision_loss: float = Field(0.1, ge=0, description="less precise by more is refused, chance or not")
    max_false_alarm_rate: float = Field(0.05, gt=0, description="share of the normal windows that may raise an alert")
    max_latency_ms: float = Field(2000.0, gt=0, description="for a batch of 1,000 windows")
    max_bundle_mb: float = Field(50.0, gt=0)

    shadow_hours: float = Field(24.0, ge=0, description="how long a challenger is watched before it may be promoted")
    min_shadow_windows: int = Field(1000, ge=0, description="and how many windows both must have scored by then")
    shadow_error: float = Field(0.05, gt=0, lt=1, description="chance that gate 2 is wrong, over all its daily looks")
    failure_margin: float = Field(0.2, gt=0, lt=1, description="a challenger may see this share of failures less")
    false_alarm_margin: float = Field(0.03, gt=0, lt=1, description="and more machine-days with a false alarm")
    own_share: float = Field(0.0, ge=0, le=1, description="machine-weeks whose shown scores are the challenger's")
    challenger_days: float = Field(42.0, ge=0, description="a challenger keeps its place from newer ones this long")

    @model_validator(mode="after")
    def _rarer_is_worse(self) -> Self:
        """Rates out of order would make two bands of one score."""
        for rare, often in (("significant_weekly", "minor_weekly"), ("critical_weekly", "significant_weekly")):
            rate, most = getattr(self, rare), getattr(self, often)
            if rate >= most:
                rare, often = (f"{self.model_config['env_prefix']}{name.upper()}" for name in (rare, often))
                raise ModelError(f"{rare} must be less than {often}, which is {most:g}. Got: {rate:g}")
        return self

    @model_validator(mode="after")
    def _none_is_misspelt(self) -> Self:
        """A setting that nobody reads would be thought to hold."""
        prefix = self.model_config["env_prefix"]
        known = [f"{prefix}{name.upper()}" for name in type(self).model_fields]
        for name in os.environ:
            if name.upper().startswith(prefix) and name.upper() not in known:
                near = get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
                raise ModelError(f"{name} is no setting; the nearest is {near}, docs/reference/settings.md has all")
        return self

    @property
    def bands_weekly(self) -> tuple[float, float, float]:
        """Stated false-alarm episodes a machine-week of the scores 0.5, 0.7 and 0.9."""
        return self.minor_weekly, self.significant_weekly, self.critical_weekly
