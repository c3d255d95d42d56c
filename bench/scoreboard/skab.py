"""SKAB: detectors on the raw channels by its own protocol, and the product's path by the minute."""

from __future__ import annotations

from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.figures import AT_LEAST, AT_MOST
from bench.scoreboard import estimators, skab_path
from bench.scoreboard.aims import aim
from bench.scoreboard.counts import Counts, pooled
from bench.scoreboard.estimators import Estimator
from bench.scoreboard.files import SKAB_TRAINING_ROWS, Experiment, read_experiment, skab_paths
from bench.scoreboard.product import SHOWN, reason

OURS = "ours, levels"
ESTIMATORS: dict[str, Estimator] = {
    "flag everything": estimators.flag_everything,
    "Isolation Forest": estimators.isolation_forest,
    "T² + Q": estimators.t2_and_q,
    "ours, row by row": estimators.rows,
    OURS: estimators.levels,
}
# SKAB's leaderboard of outlier detection (github.com/waico/SKAB): 34 files of valve1, valve2 and other.
PUBLISHED = (
    ("Conv-AE", 0.78, 13.6, 28.0),
    ("T² + Q", 0.76, 26.6, 24.9),
    ("Isolation Forest", 0.29, 2.6, 82.9),
)
_RECOVERY_ROWS = 60
Flags = dict[str, list[NDArray[np.bool_]]]


def check(data: Path) -> None:
    """Raise ScoreboardError for the first file that can't be judged."""
    for path in skab_paths(data):
        read_experiment(path)


def run(data: Path, folder: Path) -> dict[str, Any]:
    """Every experiment under `data`/skab; the product's path in `folder`."""
    experiments = [read_experiment(path) for path in skab_paths(data)]
    flags = flagged(experiments)
    try:
        return result(experiments, flags, skab_path.run(experiments, folder))
    except (CalledProcessError, RuntimeError) as error:  # it must not cost the figures of the raw channels
        return result(experiments, flags, []) | {"failed": f"Product path: {reason(error)}."}


def flagged(experiments: list[Experiment]) -> Flags:
    """What each estimator flags of each file's judged rows; labels are not given to them."""
    found: Flags = {}
    for name, estimator in ESTIMATORS.items():
        found[name] = []
        for one in experiments:
            values = estimators.filled(one.values)
            found[name].append(estimator(values[:SKAB_TRAINING_ROWS], values[SKAB_TRAINING_ROWS:]))
    return found


def raw_rows(experiments: list[Experiment], flags: Flags) -> list[dict[str, Any]]:
    """A row an estimator, pooled over all files by the second."""
    rows = []
    for name, files in flags.items():
        counts = [Counts.of(flag, _judged(one)) for one, flag in zip(experiments, files, strict=True)]
        total = pooled(counts)
        rows.append(
            {"path": "raw channels, by the second", "detector": name, "files": len(counts)}
            | total.figures() | {"judged": total.anomalous + total.normal}
        )  # fmt: skip
    return rows


def _judged(one: Experiment) -> NDArray[np.bool_]:
    return one.anomaly[SKAB_TRAINING_ROWS:]


def result(experiments: list[Experiment], flags: Flags, windows: list[skab_path.Judged]) -> dict[str, Any]:
    """The set as the report takes it."""
    rows = raw_rows(experiments, flags)
    counts = [Counts.of(one.scores >= SHOWN, one.inside) for one in windows]
    total = pooled(counts)
    everything = pooled([Counts.of(np.ones(len(one.inside), bool), one.inside) for one in windows])
    if windows:
        judged = total.anomalous + total.normal
        minutes = {"path": "product path, by the minute", "files": len(windows), "judged": judged}
        rows.append(minutes | {"detector": f"score ≥ {SHOWN}"} | total.figures())
        rows.append(minutes | {"detector": "flag everything"} | everything.figures())
    own = next(row for row in rows if row["detector"] == OURS)
    folders = sorted({one.name.partition("/")[0] for one in experiments})
    return {
        "title": f"SKAB: {len(experiments)} files of {', '.join(folders)}",
        "protocol": (
            f"SKAB's own: the first {SKAB_TRAINING_ROWS} rows of a file train, every later row is judged by its"
            " column `anomaly`; F1, false (FAR) and missed (MAR) alarm rates are pooled over all files. On the product"
            f" path a minute is judged that begins after row {SKAB_TRAINING_ROWS}, and is anomalous if most of its rows"
            f" are. {skab_path.PROTOCOL}"
        ),
        "guards": (
            "Estimators are given channels only; limits come from a file's training rows alone, all at SKAB's own"
            f" false-alarm rate of {estimators.FALSE_ALARM_RATE:.1%}. Not blind: the level detector was drawn from"
            " plots of valve1, and some forty variants of it were tried with valve1's labels in view (F1 0.70 to 0.86)."
            " Figures on valve1 are development figures, files of other folders are not. The level detector isn't part"
            " of the product's path, whose detector is the one that judges row by row. The product's path lands copies"
            " of the files without their labels, which are used once the last score is stored."
        ),
        "rows": rows,
        "published": [
            {"path": "published, by the second", "detector": name, "files": 34, "F1": f1, "FAR %": far, "MAR %": mar}
            for name, f1, far, mar in PUBLISHED
        ],
        "published_note": (
            "Published figures are of SKAB's leaderboard, over the 34 files of valve1, valve2 and other;"
            f" these are over {len(experiments)} files of {', '.join(folders)}, so they stand beside each other and are"
            " not the same test."
        ),
        "tables": {"By file": _by_file(experiments, flags, windows)},
        "aims": [
            aim(f"F1, {OURS}, raw channels", own["F1"], AT_LEAST, 0.80),
            aim(f"FAR %, {OURS}, raw channels", own["FAR %"], AT_MOST, 15),
        ],
        "findings": _findings(experiments, flags, windows),
    }


def _by_file(experiments: list[Experiment], flags: Flags, windows: list[skab_path.Judged]) -> list[dict[str, Any]]:
    rows = []
    for number, one in enumerate(experiments):
        seconds = Counts.of(flags[OURS][number], _judged(one)).figures()
        minutes = windows[number] if windows else skab_path.NOTHING
        ours = Counts.of(minutes.scores >= SHOWN, minutes.inside).figures()
        rows.append(
            {"file": one.name}
            | {f"raw {name}": value for name, value in seconds.items()}
            | {f"product {name}": value for name, value in ours.items()}
            | {"minutes": len(minutes.inside), "readings": minutes.readings, "landed": minutes.landed}
        )
    return rows


def _findings(experiments: list[Experiment], flags: Flags, windows: list[skab_path.Judged]) -> list[str]:
    return [where_false(experiments, flags[OURS]), *_product_findings(windows)]


def where_false(experiments: list[Experiment], flags: list[NDArray[np.bool_]]) -> str:
    """A sentence on where false and missed seconds lie: before or after what is labelled, and in which files."""
    before = recovery = after = early = missed = 0
    by_file: dict[str, int] = {}
    for one, flag in zip(experiments, flags, strict=True):
        anomalous = _judged(one)
        false = flag & ~anomalous
        by_file[one.name] = int(false.sum())
        labelled = np.flatnonzero(anomalous)
        first, last = (labelled[0], labelled[-1]) if len(labelled) else (len(flag), len(flag))
        before += int(false[:first].sum())
        recovery += int(false[last + 1 : last + 1 + _RECOVERY_ROWS].sum())
        after += int(false[last + 1 :].sum())
        missed += int((~flag & anomalous).sum())
        early += int((~flag & anomalous)[first : first + _RECOVERY_ROWS].sum())
    total = sum(by_file.values())
    if not total:
        return "Ours: no false second."
    worst = sorted(by_file, key=lambda name: -by_file[name])[:3]
    held = sum(by_file[name] for name in worst)
    return (
        f"Ours: of {total:,} false seconds {before / total:.0%} lie before a file's first labelled second,"
        f" {after / total:.0%} after its last one ({recovery / total:.0%} within {_RECOVERY_ROWS} rows of it);"
        f" {held / total:.0%} are in {', '.join(worst)}. Of {missed:,} missed seconds"
        f" {early / max(missed, 1):.0%} are the first {_RECOVERY_ROWS} rows of a label."
    )


def _product_findings(windows: list[skab_path.Judged]) -> list[str]:
    if not windows:
        return []
    readings, landed = sum(one.readings for one in windows), sum(one.landed for one in windows)
    areas = [one.area for one in windows if one.area is not None]
    said = [f"Product path: of {readings:,} readings in the files the replay landed {landed:,}."]
    if areas:
        said.append(
            f"Product path: ROC AUC of a file's minutes, median {np.median(areas):.2f}, {min(areas):.2f} to"
            f" {max(areas):.2f}; a threshold can't mend what the order of scores lacks."
        )
    normal = np.concatenate([one.scores[~one.inside] for one in windows])
    if len(normal):
        said.append(
            f"Product path: half of the normal minutes score {np.median(normal):.2f} or more; with"
            f" {SKAB_TRAINING_ROWS} rows, some 7 minutes, of a machine known, what is normal is known narrowly."
        )
    return said
