"""What the recorded readings' report says of scores and labels."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.recorded import KNOWN_GOOD_ROWS, label, report, summary, write_past
from ingest.files.mapping import load_mapping

MAPS = Path(__file__).resolve().parents[3] / "maps"
START = pd.Timestamp("2026-03-02 10:00:30")


def test_a_summary_tells_inside_from_outside() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.7, 0.9])
    found = summary(scores, np.array([False, False, True, False, True]))
    assert (found["windows"], found["windows_inside"]) == (5, 2)
    assert found["median_inside"] == pytest.approx(0.6)
    assert found["median_outside"] == pytest.approx(0.2)
    assert (found["shown_inside"], found["shown_outside"]) == (0.5, pytest.approx(1 / 3))
    assert found["roc_auc"] == pytest.approx(5 / 6)  # of the six pairs only (0.3, 0.7) is the wrong way round


def test_scores_that_are_all_the_same_are_a_coin() -> None:
    assert summary(np.ones(4), np.array([True, False, True, False]))["roc_auc"] == 0.5


@pytest.mark.parametrize("inside", [[True, True], [False, False], []])
def test_one_kind_of_window_alone_has_no_area(inside: list[bool]) -> None:
    assert summary(np.zeros(len(inside)), np.array(inside, dtype=bool))["roc_auc"] is None


def test_a_minute_is_inside_when_most_of_its_rows_are() -> None:
    labels = pd.Series(0.0, index=[START + pd.Timedelta(seconds=second) for second in range(180)])
    labels.iloc[60:150] = 1.0  # 10:01:30 to 10:03:00
    ends = pd.date_range("2026-03-02 10:01", periods=6, freq="min")
    judged, inside = label(ends, labels, START)
    # 10:00 begins before what is judged, 10:01 is half anomalous, nothing was recorded from 10:04 on.
    assert judged == [pd.Timestamp(f"2026-03-02 10:0{minute}") for minute in (2, 3, 4)]
    assert inside.tolist() == [False, True, False]


def test_the_past_is_the_known_good_rows_without_labels(tmp_path: Path) -> None:
    columns = [*load_mapping(MAPS / "skab.yml").columns]
    rows = KNOWN_GOOD_ROWS + 5
    recorded = pd.DataFrame(1.0, index=range(rows), columns=columns)
    recorded.insert(0, "datetime", [str(START + pd.Timedelta(seconds=2 * row)) for row in range(rows)])
    recorded.assign(anomaly=1.0, changepoint=0.0).to_csv(tmp_path / "3.csv", sep=";", index=False)
    past = tmp_path / "past"
    past.mkdir()
    days = [datetime(2026, 5, 1, 9, tzinfo=UTC) + timedelta(days=day) for day in (0, 1)]
    (written,) = write_past([tmp_path / "3.csv"], past, days)
    found = pd.read_csv(written, sep=";", parse_dates=["datetime"])
    assert [*found.columns] == ["datetime", *columns]
    assert len(found) == 2 * KNOWN_GOOD_ROWS
    assert found.datetime.iloc[[0, 1, KNOWN_GOOD_ROWS]].tolist() == [
        pd.Timestamp("2026-05-01 09:00:00"),
        pd.Timestamp("2026-05-01 09:00:02"),
        pd.Timestamp("2026-05-02 09:00:00"),
    ]


def test_the_report_has_a_row_a_file_and_says_what_is_missing() -> None:
    both = summary(np.array([0.1, 0.9]), np.array([False, True]))
    none = summary(np.array([0.2]), np.array([False]))
    window = {"from": "2014-01-27 14:20:00", "to": "2014-01-29 13:30:00", "highest": 0.4, "first_shown": None}
    page = report(
        {
            "skab": [
                {"file": f"valve1/{n}.csv", "readings": 900, "landed": 899} | kind for n, kind in ((0, both), (1, none))
            ],
            "nab": [{"file": "m.csv", "judged": "the whole time line", "labelled": [window]} | both],
        }
    )
    assert "| valve1/0.csv | 2 (1) | 0.90 | 0.10 | 1.00 | 0.00 | 1.00 |" in page
    assert "| valve1/1.csv | 1 (0) | – | 0.20 | – | 0.00 | – |" in page
    assert "ROC AUC over the files: median 1.00, 1.00 to 1.00." in page
    assert "Readings in the files: 1,800; landed by the replay: 1,798." in page
    assert "| m.csv, the whole time line | 2 (1) |" in page
    assert "| 2014-01-27 14:20 to 2014-01-29 13:30 | 0.40 | never |" in page


def test_the_maps_land_no_label_and_claim_no_unit_that_nobody_stated() -> None:
    skab, nab = load_mapping(MAPS / "skab.yml"), load_mapping(MAPS / "nab_machine_temperature.yml")
    assert skab.ignored == ["anomaly", "changepoint"]
    assert not {"anomaly", "changepoint"} & set(skab.columns)
    assert nab.columns["value"].unit == ""
