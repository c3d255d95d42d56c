"""Limits of plant.yml: what is left open, and what is wrong said in one line."""

from pathlib import Path
from typing import Any

import pytest

from ingest.alerting.alarm import rules_of
from ingest.errors import PlantFileError
from ingest.limits import Limits
from ingest.plant import Tag, load_plant
from tests.unit.ingest.test_ingest_plant import GOOD

TEMPERATURE = "temperature: {high: {warning: 80, critical: 85, emergency: 90}}"


def load(tmp_path: Path, limits: str) -> Any:
    path = tmp_path / "plant.yml"
    path.write_text(GOOD.replace(TEMPERATURE, limits))
    return load_plant(path)


@pytest.mark.parametrize(
    ("limits", "place", "allowed"),
    [
        ("temperature: {hihg: {warning: 80}}", "limits.temperature.hihg", "allowed here: high, low, rising, falling"),
        ("temperature: {high: {alarm: 80}}", "limits.temperature.high.alarm", "here: warning, critical, emergency"),
        ("temperature: {low: {warning: 5, critical: 9}}", "limits.temperature", "low limits must fall from warning"),
        ("temperature: {rising: {warning: 9, critical: 5}}", "limits.temperature", "rising limits must rise from"),
        ("temperature: {falling: {warning: -5}}", "limits.temperature", "amounts a minute and must be above 0"),
        ("temperature: {on_delay_s: -1}", "limits.temperature.on_delay_s", "greater than or equal to 0. Got: -1"),
        ("temperature: {off_delay_s: 9999}", "limits.temperature.off_delay_s", "less than or equal to 3600"),
        ("temperature: {hysteresis: much}", "limits.temperature.hysteresis", "must be a number. Got: 'much'"),
        ("temperature: {hysteresis: -1}", "limits.temperature.hysteresis", "greater than or equal to 0"),
        ("temperature: {off_delay_s: yes}", "limits.temperature.off_delay_s", "must be a number. Got: True"),
        ("temperature: {rate_window_s: 0}", "limits.temperature.rate_window_s", "greater than or equal to 1"),
        ("temperature: {deduplication_s: soon}", "limits.temperature.deduplication_s", "must be a number. Got: 'soon'"),
        ("temperature: {high: {warning: 5}, low: {warning: 9}}", "limits.temperature", "must be above the mildest low"),
        (
            "temperature: {high: {warning: 9}, low: {warning: 5}, hysteresis: 4}",
            "limits.temperature",
            "hysteresis must be smaller than the 4 between",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_allowed(tmp_path: Path, limits: str, place: str, allowed: str) -> None:
    with pytest.raises(PlantFileError) as caught:
        load(tmp_path, limits)
    message = str(caught.value)
    assert f"plant.yml: {place}: " in message
    assert allowed in message
    assert "\n" not in message


def test_what_the_file_leaves_open_has_the_usual_limits(tmp_path: Path) -> None:
    plant = load(tmp_path, "pressure: {high: {warning: 9}}")
    found = [plant.limits_of(tag).high for tag in plant.equipment["PUMP-001"].tags]
    assert [(high.warning, high.critical, high.emergency) for high in found] == [(80, 85, 90), (3.5, 4, 5)]


@pytest.mark.parametrize(("measurement", "unit"), [("temperature", "°F"), ("vibration", "g"), ("pressure", "bar")])
def test_usual_limits_are_of_their_unit_only(tmp_path: Path, measurement: str, unit: str) -> None:
    tag = Tag(node="i=1", measurement=measurement, unit=unit)
    assert load(tmp_path, "speed: {}").limits_of(tag) is None


def test_empty_limits_are_none_at_all(tmp_path: Path) -> None:
    plant = load(tmp_path, "temperature: {}")
    assert list(plant.limits_of(plant.equipment["PUMP-001"].tags[0]).each()) == []


def test_margins_and_delays_are_those_of_the_file_and_an_emergency_never_waits() -> None:
    limits = Limits.model_validate(
        {"high": {"warning": 80, "emergency": 90}, "rising": {"critical": 5}, "hysteresis": 3, "on_delay_s": 7}
    )
    high, rising = rules_of(limits)
    assert [(level.back, level.on_delay_us) for level in high.levels] == [(77, 7_000_000), (87, 0)]
    assert [level.back for level in rising.levels] == [pytest.approx(4.9)]  # 2 % of a rate, whatever the unit's is
    (low,) = rules_of(Limits.model_validate({"low": {"warning": 50}}))
    assert (low.levels[0].at, low.levels[0].back) == (-50, -51)
