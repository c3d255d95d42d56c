"""The sets' files, read and checked before anything runs: what is wrong is said once, with its place."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.scoreboard.errors import ScoreboardError

SKAB_CHANNELS = (
    "Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage",
    "Volume Flow RateRMS",
)  # fmt: skip
SKAB_LABELS = ("anomaly", "changepoint")
# SKAB's protocol: the first rows of an experiment are known to be good, the rest is judged.
SKAB_TRAINING_ROWS = 400
# NAB's: a detector may learn from the first part of a time line and isn't judged by it; of a long one, from that part
# of 5,000 readings (`getProbationPeriod` in its source).
NAB_PROBATION = 0.15
NAB_PROBATION_OF = 5000
AZURE_TABLES = {
    "telemetry_3h.parquet": ("machineID", "datetime", "volt", "rotate", "pressure", "vibration"),
    "errors.csv": ("datetime", "machineID", "errorID"),
    "failures.csv": ("datetime", "machineID", "failure"),
    "maint.csv": ("datetime", "machineID", "comp"),
    "machines.csv": ("machineID", "model", "age"),
}
_FREE = "anomaly-free"
_NUMBER, _LABEL = "a finite number", "0 or 1"


@dataclass(frozen=True)
class Experiment:
    """One SKAB file. `values` are (n, 8) in the order of SKAB_CHANNELS, `anomaly` (n,)."""

    name: str
    path: Path
    times: pd.Series
    values: NDArray[np.float64]
    anomaly: NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """One NAB file: `times` (n,) as they stand, `values` (n,), labelled windows with both ends in them."""

    path: Path
    times: pd.Series
    values: NDArray[np.float64]
    windows: tuple[tuple[pd.Timestamp, pd.Timestamp], ...]

    @property
    def probation(self) -> int:
        """How many readings, from the first, aren't judged."""
        return int(min(len(self.times), NAB_PROBATION_OF) * NAB_PROBATION)

    @property
    def judged_from(self) -> pd.Timestamp:
        return pd.Timestamp(self.times.iloc[self.probation])


def skab_paths(data: Path) -> list[Path]:
    """Every experiment with labels, by folder and number; the anomaly-free one has nothing to find."""
    found = [path for path in (data / "skab").glob("*/*.csv") if path.parent.name != _FREE]
    return sorted(found, key=lambda p: (p.parent.name, not p.stem.isdigit(), int(p.stem) if p.stem.isdigit() else 0, p))


def read_experiment(path: Path) -> Experiment:
    """Raises ScoreboardError with the file and the place."""
    wanted = ("datetime", *SKAB_CHANNELS, *SKAB_LABELS)
    table = _read(path, ";", wanted)
    if len(table) <= SKAB_TRAINING_ROWS:
        raise ScoreboardError(
            f"{path}: {len(table)} rows; the first {SKAB_TRAINING_ROWS} train, so there must be more to judge"
        )
    labels = np.column_stack([_numbers(path, table, name, _LABEL) for name in SKAB_LABELS])
    for column, name in enumerate(SKAB_LABELS):
        wrong = np.flatnonzero(~np.isin(labels[:, column], (0.0, 1.0)))
        if len(wrong):
            raise ScoreboardError(_place(path, wrong[0], name, table[name].iloc[wrong[0]], _LABEL))
    values = np.column_stack(
        [_numbers(path, table, name, f"{_NUMBER} or nothing", empty=True) for name in SKAB_CHANNELS]
    )
    times = _times(path, table, "datetime")
    return Experiment(f"{path.parent.name}/{path.name}", path, times, values, labels[:, 0] == 1.0)


def azure_paths(data: Path) -> list[Path]:
    """The files of Azure PdM; none where one of them is missing."""
    found = [data / "azure_pdm" / name for name in AZURE_TABLES]
    return found if all(path.is_file() for path in found) else []


def check_azure(data: Path, names: Collection[str] = tuple(AZURE_TABLES)) -> None:
    """Raise ScoreboardError with the file and the place for the first of the files that can't be judged."""
    for name in names:
        path, wanted = data / "azure_pdm" / name, AZURE_TABLES[name]
        if path.suffix == ".csv":
            table = _read(path, ",", wanted)
            _numbers(path, table, "machineID")
            if "datetime" in wanted:
                _times(path, table, "datetime")
            continue
        try:
            columns = pq.read_schema(path).names
        except (OSError, pa.ArrowInvalid) as error:
            raise ScoreboardError(f"{path}: not a Parquet file: {error}") from error
        if set(columns) != set(wanted):
            raise ScoreboardError(f"{path}: columns must be {', '.join(wanted)}. {_difference(columns, wanted)}")


def nab_paths(data: Path) -> list[Path]:
    return sorted((data / "nab").glob("*.csv"))


def read_series(path: Path) -> Series:
    """Raises ScoreboardError with the file and the place, of `windows.json` beside it too."""
    table = _read(path, ",", ("timestamp", "value"))
    if len(table) < 100:
        raise ScoreboardError(f"{path}: {len(table)} rows; at least 100 are needed, for {NAB_PROBATION:.0%} train")
    return Series(
        path, _times(path, table, "timestamp"), _numbers(path, table, "value"), _windows(path.parent, path.name)
    )


def _windows(folder: Path, name: str) -> tuple[tuple[pd.Timestamp, pd.Timestamp], ...]:
    path = folder / "windows.json"
    try:
        labelled = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ScoreboardError(f"{path}: must be JSON, file name to list of [start, end]. {error}") from error
    # NAB's own file names them with their folder before it.
    found = (
        [windows for key, windows in labelled.items() if Path(key).name == name] if isinstance(labelled, dict) else []
    )
    if not found:
        raise ScoreboardError(f"{path}: says nothing of {name}; a file without anomalies has an empty list")
    try:
        pairs = tuple((pd.Timestamp(start), pd.Timestamp(end)) for start, end in found[0])
    except (TypeError, ValueError) as error:
        raise ScoreboardError(f"{path}: {name}: each window must be [start, end] as timestamps. {error}") from error
    for start, end in pairs:
        if end < start:
            raise ScoreboardError(f"{path}: {name}: window {start} to {end} ends before it starts")
    return pairs


def _read(path: Path, separator: str, wanted: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:  # pandas' errors of form, and of encoding, are ValueErrors
        raise ScoreboardError(f"{path}: not a table with separator {separator!r}: {error}") from error
    if list(table.columns) != list(wanted) and set(table.columns) != set(wanted):
        raise ScoreboardError(
            f"{path}: line 1: columns must be {', '.join(wanted)}. {_difference(table.columns, wanted)}"
        )
    return table


def _difference(columns: Collection[str], wanted: Collection[str]) -> str:
    missing = [name for name in wanted if name not in columns]
    unknown = [name for name in columns if name not in wanted]
    return "; ".join(
        f"{what}: {', '.join(names)}" for what, names in (("Missing", missing), ("Unknown", unknown)) if names
    )


def _numbers(
    path: Path, table: pd.DataFrame, name: str, allowed: str = _NUMBER, empty: bool = False
) -> NDArray[np.float64]:
    text = table[name].str.strip()
    values = pd.to_numeric(text, errors="coerce").to_numpy(float)
    good = np.isfinite(values) | ((text == "").to_numpy() if empty else False)
    wrong = np.flatnonzero(~good)
    if len(wrong):
        raise ScoreboardError(_place(path, wrong[0], name, table[name].iloc[wrong[0]], allowed))
    return values


def _times(path: Path, table: pd.DataFrame, name: str) -> pd.Series:
    times = pd.to_datetime(table[name], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    wrong = np.flatnonzero(times.isna().to_numpy())
    if len(wrong):
        raise ScoreboardError(_place(path, wrong[0], name, table[name].iloc[wrong[0]], "like 2020-03-09 10:14:33"))
    return times


def _place(path: Path, row: int, column: str, given: str, allowed: str) -> str:
    return f"{path}: line {row + 2}, column {column}: must be {allowed}. Got: {given!r}"
