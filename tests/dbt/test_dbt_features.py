"""What a feature means: the same at one value a minute and ten a second, and by the plant's calendar on odd days."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest

from tests.dbt import site as plant
from tests.dbt.site import DRIVE_END, MINUTE, OTHER_END, POWER, TEMPERATURE, Reading, Site

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"
# The plant day after the clocks went forward: 2026-03-29 has 23 hours in Oslo, 23:00 UTC to 22:00 UTC.
FORWARD = datetime(2026, 3, 28, 23, tzinfo=UTC)
AFTER = datetime(2026, 3, 29, 22, tzinfo=UTC)
BACK = datetime(2026, 10, 24, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPEED = 11
# What A measures: each measurement with its tags, vibration at two positions.
OF_A = {"temperature": [TEMPERATURE], "vibration": [DRIVE_END, OTHER_END], "power": [POWER], "speed": [SPEED]}
SINCE_A = AFTER + 3 * HOUR

# One thing measured by two machines: a swing of 40 minutes, a drift, and a sensor's noise.
SIGNAL = (
    "60 + 5 * sin(2 * pi() * s / 2400) + s / 3600.0"
    " + 0.2 * (abs(hashint4(s::integer * 10 + tick)::bigint) %% 1000 / 500.0 - 1)"
)
SPREADS = {"temperature": 5 / 2**0.5, "vibration": 0.05 * 5 / 2**0.5}
LAND = f"""
INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at)
SELECT tag.id, at, ({SIGNAL}) * tag.scale, 0, s * 10 + tick, 'live', at + interval '1 second'
FROM unnest(%(tags)s::integer[], %(scales)s::float8[]) AS tag (id, scale)
CROSS JOIN generate_series(0, %(seconds)s - 1, %(every)s) AS s
CROSS JOIN generate_series(0, %(ticks)s - 1) AS tick
CROSS JOIN LATERAL (
    SELECT %(start)s::timestamptz + s * interval '1 second' + tick * interval '100 milliseconds'
) AS taken (at)
"""


def land(admin: psycopg.Connection, tags: list[int], start: datetime, minutes: int, every: int, ticks: int) -> None:
    admin.execute(
        LAND,  # type: ignore[arg-type]
        {
            "tags": tags, "scales": [1.0 if tag % 2 else 0.05 for tag in tags], "start": start,
            "seconds": minutes * 60, "every": every, "ticks": ticks,
        },
    )  # fmt: skip


def readings_of_a() -> list[Reading]:
    """75 minutes with a gap, bad values and minutes that tags missed; speed is a tenth of the power."""
    found = [
        reading
        for reading in plant.day(SINCE_A, 75, seed=9)
        if reading[0] in (TEMPERATURE, DRIVE_END, OTHER_END, POWER)
    ]
    speed = [
        (SPEED, at, None if value is None else value / 10, None, status, digest)
        for tag, at, value, _, status, digest in found
        if tag == POWER
    ]
    return found + speed


@pytest.fixture(scope="module")
def built(site: Site) -> Site:
    """SLOW and FAST measure one thing, once a minute and ten times a second; Oslo's days of 23 and 25 hours."""
    site.admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES"
        " ('SLOW', 'P', 'SLOW', 'pump'), ('FAST', 'P', 'FAST', 'pump')"
    )
    site.admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, role, data_type) VALUES"
        " ('s', 'm1', 'SLOW', 'temperature', 'measurement', 'double'),"
        " ('s', 'm2', 'SLOW', 'vibration', 'measurement', 'double'),"
        " ('s', 'm3', 'FAST', 'temperature', 'measurement', 'double'),"
        " ('s', 'm4', 'FAST', 'vibration', 'measurement', 'double'),"
        " ('s', 'm5', 'A', 'speed', 'measurement', 'double')"
    )
    site.admin.execute("SELECT raw.ensure_partitions('2026-03-27Z', '2026-03-31Z')")
    site.admin.execute("SELECT raw.ensure_partitions('2026-10-23Z', '2026-10-27Z')")
    # A baseline for both from one stretch of the day before; then the hour at both rates.
    land(site.admin, [7, 8, 9, 10], AFTER - 8 * HOUR, 180, 60, 1)
    land(site.admin, [7, 8], AFTER + HOUR, 60, 60, 1)
    land(site.admin, [9, 10], AFTER + HOUR, 60, 1, 10)
    plant.land(site.admin, readings_of_a())
    # B every minute around midnight and the change of the clocks, in spring and in autumn.
    land(site.admin, [6], FORWARD - HOUR, 5 * 60, 60, 1)
    land(site.admin, [6], BACK - HOUR, 5 * 60, 60, 1)
    for name, since, until in (
        ("night", FORWARD - HOUR, FORWARD + 6 * HOUR),
        ("long night", BACK - HOUR, BACK + 8 * HOUR),
    ):
        site.admin.execute(
            "INSERT INTO raw.mes_shifts (shift_id, shift, starts_at, ends_at, available_at)"
            " VALUES (%s, %s, %s, %s, %s)",
            (name, name, since, until, since),
        )
    site.transform(BACK + 10 * HOUR, "+tag:minute", variables={"silver_days": 300, "gold_days": 300})
    return site


def tolerances() -> dict[str, tuple[float, str]]:
    """The table of docs/features.md: pattern of column names → how far two rates may be apart, and in what."""
    found = re.findall(r"^\| `([^`]+)` \|.*\| ([0-9.]+) ([^|]*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {pattern.replace("*", "[a-z0-9_]+"): (float(value), unit) for pattern, value, unit in found}


def at(site: Site, machine: str, end: datetime) -> dict[str, Any]:
    (row,) = site.rows("marts.gold_ml_features", "1", f"equipment_id = '{machine}' AND window_end = '{end}'")
    return row


def test_the_rate_of_the_values_does_not_change_a_feature(built: Site) -> None:
    stated = tolerances()
    assert len(stated) > 5
    compared = set()
    for minute in range(20, 61, 5):
        slow, fast = (at(built, machine, AFTER + HOUR + minute * MINUTE) for machine in ("SLOW", "FAST"))
        for name, value in fast.items():
            pattern = next((pattern for pattern in stated if re.fullmatch(pattern, name)), None)
            if pattern is None or value is None:
                continue
            tolerance, unit = stated[pattern]
            measurement, window = name.split("_")[0], name.rpartition("_")[2]
            tolerance *= SPREADS[measurement] if "spread" in unit else 1
            tolerance *= 100 / fast[f"{measurement}_mean_{window}"] if "percent" in unit else 1
            assert slow[name] is not None, name
            assert abs(slow[name] - value) <= tolerance, (minute, name, slow[name], value, tolerance)
            compared.add(pattern)
        temperature, vibration = fast["temperature_mean_5m"], fast["vibration_mean_5m"]
        off = stated["[a-z0-9_]+_mean_[a-z0-9_]+m"][0]
        most = (temperature + off * SPREADS["temperature"]) * (vibration + off * SPREADS["vibration"])
        product = temperature * vibration
        assert abs(slow["temperature_x_vibration"] - fast["temperature_x_vibration"]) <= most - product
    assert compared == set(stated)
    # The product is held above, no set point is there, and a day's statistics are of hours that came at one rate.
    temperatures = {name.removeprefix("temperature_") for name in fast if name.startswith("temperature_")}
    told = {name for name in temperatures if any(re.fullmatch(pattern, f"temperature_{name}") for pattern in stated)}
    assert temperatures - told == {"x_vibration", "set_point", "mean_24h", "std_24h", "skewness_24h"}


def expected_of_a(end: int) -> dict[str, float]:
    """Features of A by their definitions in docs/features.md, at the window that ends `end` minutes after SINCE_A."""
    landed = pd.DataFrame(readings_of_a(), columns=["tag", "at", "value", "text", "status", "digest"])
    good = landed[(landed["status"] == 0) & np.isfinite(landed["value"].astype(float))]
    minute = (good["at"] - SINCE_A) // MINUTE
    of_tags = good.assign(minute=minute).pivot_table(index="minute", columns="tag", values="value", aggfunc="mean")
    of_tags = of_tags.reindex(range(-60, 75))
    features = {}
    for measurement, tags in OF_A.items():
        means = of_tags[tags].mean(axis=1)
        for window in (5, 15, 30, 60):
            within = range(end - window, end)
            shown, lasts = means.loc[within], 1
            features[f"{measurement}_mean_{window}m"] = shown.mean()
            features[f"{measurement}_std_{window}m"] = shown.std(ddof=0)
            features[f"{measurement}_min_{window}m"] = of_tags.loc[within, tags].min(axis=None)
            features[f"{measurement}_max_{window}m"] = of_tags.loc[within, tags].max(axis=None)
            if window > 5:
                lasts = 5
                shown = shown.groupby((np.arange(window) // 5) * 5).mean()
            told = shown.dropna()
            slope = np.polyfit(told.index, told, 1)[0] * 60 if len(told) > 1 else np.nan
            first, last = shown.iloc[0], shown.iloc[-1]
            features[f"{measurement}_slope_{window}m"] = slope
            features[f"{measurement}_rate_of_change_{window}m"] = (last - first) * 60 / (window - lasts)
            features[f"{measurement}_percentage_change_{window}m"] = (last - first) / abs(first) * 100
    features["temperature_x_vibration"] = features["temperature_mean_5m"] * features["vibration_mean_5m"]
    features["power_per_speed"] = features["power_mean_5m"] / features["speed_mean_5m"]
    return features


@pytest.mark.parametrize("end", [15, 50, 57, 75])
def test_features_are_what_their_definitions_say(built: Site, end: int) -> None:
    """Before and after the gap of the minutes 40 to 47, against the readings themselves."""
    expected = expected_of_a(end)
    row = at(built, "A", SINCE_A + end * MINUTE)
    assert {name: np.nan if row[name] is None else row[name] for name in expected} == pytest.approx(
        expected, rel=1e-9, abs=1e-9, nan_ok=True
    )


def test_the_hour_of_the_day_is_the_plants(built: Site) -> None:
    hours = {end: at(built, "B", end + MINUTE)["hour_of_day"] for end in (FORWARD + h * HOUR for h in range(4))}
    assert list(hours.values()) == [0, 1, 3, 4], "02:00 is skipped"
    hours = {end: at(built, "B", end + MINUTE)["hour_of_day"] for end in (BACK + h * HOUR for h in range(4))}
    assert list(hours.values()) == [0, 1, 2, 2], "02:00 comes twice"
    assert at(built, "B", FORWARD)["weekday"] == 6
    assert at(built, "B", FORWARD + MINUTE)["weekday"] == 7


def test_a_plant_day_has_23_or_25_hours(built: Site) -> None:
    counted = built.admin.execute(
        "SELECT version_day, minute_count FROM intermediate.int_baselines"
        " WHERE equipment_id = 'B' AND version_day IN ('2026-03-28', '2026-03-29', '2026-10-24', '2026-10-25')"
        " ORDER BY 1"
    ).fetchall()
    # An hour before midnight and four after it; 90 days later spring is forgotten.
    assert counted == [
        (date(2026, 3, 28), 60),
        (date(2026, 3, 29), 300),
        (date(2026, 10, 24), 60),
    ]


def test_a_shift_over_the_change_is_as_long_as_it_was(built: Site) -> None:
    for start, shift in ((FORWARD, "night"), (BACK, "long night")):
        shifts = built.admin.execute(
            "SELECT DISTINCT shift FROM marts.silver_enriched_sensors"
            " WHERE equipment_id = 'B' AND window_end > %s AND window_end <= %s",
            (start - HOUR, start + 4 * HOUR),
        )
        assert shifts.fetchall() == [(shift,)]
