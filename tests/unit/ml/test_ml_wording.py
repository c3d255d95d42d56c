"""The sentences that operators read."""

from __future__ import annotations

from ml.recommending.circumstances import Circumstances, Part, Seen
from ml.recommending.wording import held_back, text

ROW = {
    "action_code": "schedule_maintenance", "temperature_deviation_5m": 6.0, "temperature_mean_5m": 72.0,
    "vibration_deviation_5m": 3.0, "vibration_mean_5m": 1.25, "vibration_slope_60m": 0.4, "temperature_slope_60m": -3.0,
    "vibration_deviation_60m": 2.5,
}  # fmt: skip
UNITS = {"temperature": "°C", "vibration": "g"}
SEEN = {
    "temperature": Seen(72.0, 60.0, 2.0, "°C", "", 18),
    "vibration": Seen(1.25, 0.5, 0.25, "g", "drive end", 1500, at_least=True),
}


def test_everything_that_is_known_is_said() -> None:
    parts = (Part("bearing", "replaced", 210.4, 1), Part("belt", "serviced", 0.2, 0, 14), Part("seal", stock=2))
    row = ROW | {"estimated_ttf": 5.24, "ttf_low": 2.9, "ttf_high": 9.0, "over_gap": True}
    assert text(row, UNITS, True, Circumstances(SEEN, parts)) == (
        "Temperature 72 °C, 12 °C above its normal at this load for 18 min; vibration (drive end) 1.2 g, 0.75 g above"
        " its normal at this load for at least 25 h, rising 0.4 g/h. Schedule a bearing or belt inspection within 24 h."
        " Bearing replaced 210 days ago; 1 in stock. Belt serviced today; none in stock (14 days to get one)."
        " Seal: 2 in stock. Failure expected in about 5.2 h (2.9 to 9 h). Readings are missing in this window."
    )


def test_without_baselines_it_is_told_in_spreads() -> None:
    assert text(ROW, UNITS, False) == (
        "Temperature 72 °C, 6.0 σ above its normal at this load; vibration 1.2 g, 3.0 σ above its normal at this load,"
        " rising 0.4 g/h. No precedent. Schedule a bearing or belt inspection within 24 h."
    )


def test_where_it_moves_is_told_over_the_time_that_it_has_been_out() -> None:
    """An hour's slope of a fault that is five minutes old is that of the hour before it."""
    row = ROW | {f"vibration_slope_{w}m": slope for w, slope in ((5, 30.6), (15, 7.2), (60, 0.41))}
    for minutes, told in ((5, "rising 0.51 g/min"), (40, "rising 0.12 g/min"), (90, "rising 0.41 g/h")):
        seen = {"vibration": Seen(1.25, 0.5, 0.15, "g", "", minutes)}
        assert f"g above its normal at this load for {minutes} min, {told}." in text(
            row, UNITS, True, Circumstances(seen)
        )
    held_back = row | {"temperature_deviation_5m": 0.0, "vibration_deviation_60m": 0.4}
    assert ", rising 0.51 g/min." in text(held_back | {"vibration_deviation_15m": 1.0}, UNITS, True)
    assert ", rising 0.12 g/min." in text(held_back | {"vibration_deviation_15m": 2.1}, UNITS, True)


def test_noise_is_no_movement() -> None:
    """Over an hour a spread's noise alone makes a slope of nearly half a spread."""
    seen = {"vibration": Seen(1.25, 0.5, 0.25, "g", "", 90)}
    for slope, moves in ((0.15, False), (0.22, False), (0.23, True)):
        told = text(ROW | {"vibration_slope_60m": slope}, UNITS, True, Circumstances(seen))
        assert ("rising" in told) is moves, told


def test_a_load_that_the_machine_never_ran_at_is_not_called_a_combination() -> None:
    row = {
        "action_code": "preventive_inspection", "pressure_mean_5m": 7.3, "throughput_mean_5m": 235.0,
        "pressure_deviation_15m": 11.0, "throughput_deviation_15m": -6.5, "pressure_deviation_60m": 1.3,
    }  # fmt: skip
    assert text(row, {}, True) == (
        "What is normal for the machine at this load isn't known yet; before, pressure was 11.0 σ above its normal"
        " (mean of 15 min). Inspect at the next window."
    )
    calm = {f"{name}_deviation_{w}m": 0.3 for name in ("pressure", "throughput") for w in (5, 15, 60)}
    assert text(row | calm, {}, True).startswith("An unusual combination of readings")


def test_what_came_back_within_the_hour_is_told_as_such() -> None:
    row = {
        "action_code": "preventive_inspection", "vibration_mean_5m": 1.8, "vibration_deviation_5m": 0.2,
        "vibration_deviation_15m": 1.1, "vibration_deviation_60m": 8.23,
    }  # fmt: skip
    assert text(row, {}, True) == (
        "Vibration is within its normal at this load again; it was 8.2 σ above it (mean of 60 min)."
        " Inspect at the next window."
    )


def test_a_failure_that_is_days_ahead_is_told_in_days() -> None:
    row = ROW | {"estimated_ttf": 117.4, "ttf_low": 20.0, "ttf_high": 157.9}
    assert text(row, UNITS, True).endswith("Failure expected in about 4.9 days (0.83 to 6.6 days).")


def test_a_machine_that_has_just_started_is_held_against_its_other_starts() -> None:
    assert text(ROW | {"regime": 4}, UNITS, False) == text(ROW, UNITS, False)
    started = text(ROW | {"regime": 5}, UNITS, True, Circumstances({"vibration": SEEN["vibration"]}))
    assert started.startswith(
        "Temperature 72 °C, 6.0 σ above its normal after a start; vibration (drive end) 1.2 g, 0.75"
    )
    assert "at this load" not in started


def test_a_mean_on_the_other_side_of_its_normal_is_not_told_as_a_distance() -> None:
    other = {"temperature": Seen(59.0, 60.0, 2.0, "°C", "", 5), "vibration": SEEN["vibration"]}
    assert text(ROW, UNITS, True, Circumstances(other)).startswith("Temperature 72 °C, 6.0 σ above")


def test_a_failure_that_no_reading_shows_is_told_by_the_machines_history() -> None:
    row = {"action_code": "schedule_maintenance", "failure_24h": 0.934, "errors_24h": 5.0, "failures_90d": 1.0}
    assert text(row | {"hours_since_maintenance": 41 * 24.0}, {}, True) == (
        "No reading is far out, but earlier failures began like this: 5 errors in 24 h, 1 failure in 90 days, last"
        " maintenance 41 days ago. Schedule a bearing or belt inspection within 24 h. Failure within 24 h: 93 %."
    )
    assert text(row | {"failure_24h": 0.49}, {}, True).startswith("An unusual combination")
    assert text(ROW | {"failure_24h": 0.999}, UNITS, True).endswith("within 24 h. Failure within 24 h: 99 %.")


def test_what_is_stuck_and_what_is_only_odd_together() -> None:
    stuck = {"action_code": "preventive_inspection", "speed_flat_minutes": 12}
    assert text(stuck, {}, True).startswith("Speed has not changed at all for 12 min. Inspect at the next window.")
    for minutes, spread, told in (
        (12, 0.0, "has not changed at all for 12 min."), (60, 0.0, "has not changed at all for at least 60 min."),
        (35, 1.2, "did not change at all in 35 of the last 60 min."),
    ):  # fmt: skip
        assert f"Speed {told}" in text(stuck | {"speed_flat_minutes": minutes, "speed_std_5m": spread}, {}, True)
    assert text({"action_code": "reduce_speed"}, {}, True).startswith("An unusual combination of readings")
    assert (held_back(1), held_back(3)) == (
        "1 more recommendation is held back by the alarm budget.",
        "3 more recommendations are held back by the alarm budget.",
    )
