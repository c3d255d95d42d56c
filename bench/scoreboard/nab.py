"""NAB's machine temperature, or any series of its form: windows found, false alarms a week, lead before the failure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from bench.scoreboard import estimators
from bench.scoreboard.estimators import Estimator
from bench.scoreboard.files import NAB_PROBATION, NAB_PROBATION_OF, Series, nab_paths, read_series
from bench.scoreboard.product import SHOWN, product, reason, shortened
from ml.episodes import episodes, machine_weeks
from warehouse.settings import HOME

MAP = HOME / "maps" / "nab_machine_temperature.yml"
# The baselines of the sets on raw channels; T² of one channel is its squared deviation.
ESTIMATORS: dict[str, Estimator] = {
    "Isolation Forest": estimators.isolation_forest,
    "T² + Q": estimators.t2_and_q,
    "ours, row by row": estimators.rows,
    "ours, levels": estimators.levels,
}


# What NAB's own repository has for this file (github.com/numenta/NAB, results/*/*_standard_scores.csv): readings raised
# in and outside its windows, and those outside that were not.
PUBLISHED = {
    "machine_temperature_system_failure.csv": (
        ("Numenta HTM", 10, 7, 19_670), ("ARTime", 9, 10, 19_667), ("Skyline", 0, 0, 19_677),
        ("windowed Gaussian", 0, 0, 19_677),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What was raised of one series by one detector: window ends (n,), their scores and whether each was raised."""

    series: Series
    path: str
    detector: str
    ends: pd.DatetimeIndex
    raised: NDArray[np.bool_]
    scores: NDArray[np.float64] | None = None


def check(data: Path) -> None:
    """Raise ScoreboardError for the first file that can't be judged."""
    for path in nab_paths(data):
        read_series(path)


def run(data: Path, folder: Path) -> dict[str, Any]:
    """Every series under `data`/nab; the product's path in `folder`, a warehouse a series."""
    seen: list[Seen] = []
    failed = []
    for path in nab_paths(data):
        series = read_series(path)
        seen += raw(series)
        try:
            seen.append(_product(series, folder / path.stem))
        except (CalledProcessError, RuntimeError) as error:  # it must not cost the figures of the raw channel
            failed.append(f"Product path, {path.name}: {reason(error)}.")
    return result(seen) | ({"failed": " ".join(failed)} if failed else {})


def raw(series: Series) -> list[Seen]:
    """Each estimator, trained on the probation, on the channel as it stands."""
    border = series.probation
    values = estimators.filled(series.values[:, None])
    ends = pd.DatetimeIndex(series.times.iloc[border:])
    return [
        Seen(series, "raw channel", name, ends, estimator(values[:border], values[border:]))
        for name, estimator in ESTIMATORS.items()
    ]


def _product(series: Series, folder: Path) -> Seen:
    """Backfill the machine, train as of the end of the probation, score the time after it."""
    folder.mkdir(parents=True)
    days = int((series.times.max() - series.times.min()).days) + 2
    variables = {"gold_days": days}
    with product(folder) as one:
        mapping = one.settings.var / "map.yml"
        mapping.write_text(yaml.safe_dump(yaml.safe_load(MAP.read_text()) | {"equipment": {"template": "NAB-{stem}"}}))
        last = _zulu(series.times.max() + pd.Timedelta(minutes=1))
        border = _zulu(series.judged_from)
        one.run("ingest", "backfill", str(series.path), "--map", str(mapping))
        one.run("warehouse", "transform", "--moment", last, "--vars", json.dumps(variables))
        one.run("ml", "train", "--bootstrap", "--moment", border)
        one.run("ml", "score", "--from", border, "--to", last)
        scores = one.scores()
    values = scores.anomaly_score.to_numpy(float)
    ends = pd.DatetimeIndex(scores.window_end)
    return Seen(series, "product path", f"score ≥ {SHOWN}", ends, values >= SHOWN, values)


def _zulu(moment: pd.Timestamp) -> str:
    return f"{moment.isoformat()}Z"


def figures(seen: Seen) -> dict[str, Any]:
    """One row: only windows that end after the probation are judged."""
    ends, raised = seen.ends, seen.raised
    windows = judged_windows(seen.series)
    inside = np.zeros(len(ends), dtype=bool)
    for start, end in seen.series.windows:
        inside |= np.asarray((ends >= start) & (ends <= end))
    within = [np.asarray((ends >= start) & (ends <= end)) for start, end in windows]
    machine = np.full(len(ends), "machine", dtype=object)
    micros = ends.to_numpy().astype("datetime64[us]").astype(np.int64)
    found = episodes(machine, micros, raised)
    # An alarm that is standing when a window opens is of that window.
    true = sum(bool(inside[(micros >= start) & (micros <= end) & raised].any())
               for start, end in zip(found.start, found.end, strict=True))  # fmt: skip
    normal = int((~inside).sum())
    step = float(np.median(np.diff(np.unique(micros)))) / 60e6 if len(ends) > 1 else 1.0
    weeks = machine_weeks(machine[~inside], step)
    return {
        "path": seen.path,
        "detector": seen.detector,
        "file": seen.series.path.name,
        "windows": len(windows),
        "found": sum(bool((one & raised).any()) for one in within),
        "false alarms/week": (len(found) - true) / weeks if weeks else None,
        "raised in windows": int((raised & inside).sum()),
        "raised outside": int((raised & ~inside).sum()),
        "FAR %": 100 * float((raised & ~inside).sum()) / normal if normal else None,
        "lead h, last window": lead_hours(seen, windows[-1]) if windows else None,
    }


def judged_windows(series: Series) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The labelled windows that end after the probation; an earlier one was learnt as normal."""
    return [(start, end) for start, end in series.windows if end > series.judged_from]


def lead_hours(seen: Seen, window: tuple[pd.Timestamp, pd.Timestamp]) -> float | None:
    """Hours from the first raised reading in a window to its middle, where NAB has its label; below 0 it came later."""
    start, end = window
    within = seen.ends[np.asarray((seen.ends >= start) & (seen.ends <= end)) & seen.raised]
    return float((start + (end - start) / 2 - within[0]) / pd.Timedelta(hours=1)) if len(within) else None


def result(seen: list[Seen]) -> dict[str, Any]:
    """The set as the report takes it."""
    files = list(dict.fromkeys(one.series.path.name for one in seen))
    early = {
        one.series.path.name: len(one.series.windows) - len(judged_windows(one.series)) for one in seen
    }  # fmt: skip
    lost = sum(early.values())
    return {
        "title": f"NAB: {', '.join(files)}",
        "protocol": (
            f"The first {NAB_PROBATION:.0%} of a time line, or of {NAB_PROBATION_OF:,} readings where it is longer"
            " (NAB's probation), train, all later readings are judged. A"
            " window is found if a reading in it is raised; raised readings within an hour are one alarm, false if none"
            " of them is in a window. Lead is from the first raised reading in the last window to its middle, where NAB"
            " has its label; below 0 it came after it."
        ),
        "guards": (
            f"{_in_probation(lost)}Limits come from the probation at a false-alarm rate stated beforehand"
            f" ({estimators.FALSE_ALARM_RATE:.1%} of readings), on the product path they are the shipped band, {SHOWN}."
            " `windows.json` is opened to check its form, and used once every score is made. A day is measured against"
            " the baseline that closed the day before, so later baselines have seen earlier anomalies."
            f" Of the settings, {shortened({'gold_days': 'the length of the file'})} stands in for 30."
        ),
        "rows": [figures(one) for one in seen],
        "published": [_published(file, *row) for file in files for row in PUBLISHED.get(file, ())],
        "published_note": (
            "Published rows are of NAB's repository, at the threshold that NAB itself chose for each detector on all of"
            " its 58 files, those that are judged among them; windows found aren't told there. Its detectors are made"
            " to raise one reading where something begins, ours for as long as it lasts."
        ),
        "tables": {"By window": [row for one in seen for row in _by_window(one)]},
        "findings": [*_found_by(seen), *(_finding(one) for one in seen if one.scores is not None)],
    }


def _in_probation(windows: int) -> str:
    if not windows:
        return ""
    return (
        f"{windows} labelled window{'s lie' if windows != 1 else ' lies'} in the probation: nothing tells the"
        " detectors, which learn it as normal, and it is not judged. "
    )


def _published(file: str, detector: str, inside: int, outside: int, quiet: int) -> dict[str, Any]:
    return {
        "path": "published", "detector": detector, "file": file, "raised in windows": inside,
        "raised outside": outside, "FAR %": 100 * outside / (outside + quiet),
    }  # fmt: skip


def _by_window(seen: Seen) -> list[dict[str, Any]]:
    rows = []
    for start, end in judged_windows(seen.series):
        within = np.asarray((seen.ends >= start) & (seen.ends <= end))
        first = seen.ends[within & seen.raised]
        highest = None if seen.scores is None or not within.any() else float(seen.scores[within].max())
        rows.append(
            {
                "file": seen.series.path.name, "path": seen.path, "detector": seen.detector,
                "window": f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}",
                "first raised": f"{first[0]:%Y-%m-%d %H:%M}" if len(first) else "never",
                "raised %": 100 * float(seen.raised[within].mean()) if within.any() else None, "highest": highest,
            }
        )  # fmt: skip
    return rows


def _found_by(seen: list[Seen]) -> list[str]:
    """A sentence a window that not all detectors found."""
    said = []
    for series in {one.series.path: one.series for one in seen}.values():
        own = [one for one in seen if one.series.path == series.path]
        for start, end in judged_windows(series):
            by = [
                f"{one.path}, {one.detector}"
                for one in own
                if (np.asarray((one.ends >= start) & (one.ends <= end)) & one.raised).any()
            ]
            if len(by) < len(own):
                which = f"{series.path.name}, window of {start:%Y-%m-%d %H:%M}"
                said.append(f"{which}: found by {'; '.join(by)} alone." if by else f"{which}: found by none.")
    return said


def _finding(seen: Seen) -> str:
    """How near the product's scores came, and what half of the normal ones are."""
    assert seen.scores is not None
    inside = np.zeros(len(seen.ends), dtype=bool)
    for start, end in seen.series.windows:
        inside |= np.asarray((seen.ends >= start) & (seen.ends <= end))
    ours, others = seen.scores[inside], seen.scores[~inside]
    if not len(ours) or not len(others):
        return f"Product path, {seen.series.path.name}: windows of one kind only were scored."
    from sklearn.metrics import roc_auc_score

    area = roc_auc_score(inside, seen.scores)
    return (
        f"Product path, {seen.series.path.name}: median score {np.median(ours):.2f} inside windows and"
        f" {np.median(others):.2f} outside, {(ours >= SHOWN).mean():.1%} and {(others >= SHOWN).mean():.1%} of them at"
        f" {SHOWN} or above, ROC AUC {area:.2f}: what the order of scores has, the threshold keeps or loses."
    )
