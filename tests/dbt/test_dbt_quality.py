"""What dbt's singular tests find, and where a person finds it: the table of the test's name in `quality`."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from tests.dbt.site import MINUTE, START, TEMPERATURE, Site, land
from warehouse.documentation import site_server, write_site
from warehouse.errors import WarehouseError
from warehouse.transform import PROJECT, TransformResult, invoke

HOUR = START + timedelta(hours=1)
# In the middle of a minute, as a run by hand.
MOMENT = HOUR + timedelta(seconds=30)


def run_test(site: Site, name: str) -> TransformResult:
    """`dbt test` of one test, as on the command line."""
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    variables = ["--vars", json.dumps({"moment": MOMENT.isoformat()})]
    return invoke(
        site.settings, ["test", *folders, *variables, "--select", name, "--quiet", "--log-level-file", "none"]
    )


def kept(site: Site, name: str, columns: str) -> list[tuple[object, ...]]:
    return site.admin.execute(f"SELECT {columns} FROM quality.{name} ORDER BY 1").fetchall()  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def built(site: Site) -> Iterator[Site]:
    """The plant after a first build with ten minutes of readings, and rows of the enterprise systems that are wrong."""
    land(site.admin, [(TEMPERATURE, HOUR - m * MINUTE, 60.0 + m, None, 0, m) for m in range(1, 11)])
    # Of the minute that two hours before the moment cut through.
    since = HOUR - timedelta(hours=2)
    land(site.admin, [(TEMPERATURE, since + timedelta(seconds=s), 60.0, None, 0, s) for s in (10, 50)])
    site.transform(MOMENT, "tag:hourly +tag:minute")
    row = "%(at)s + interval '{} h', %(at)s + interval '{} h', %(at)s + interval '{} h', %(at)s"
    site.admin.execute(
        "INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, opened_at, started_at, completed_at,"
        " available_at) VALUES "
        f"('right', 'A', 'corrective', {row.format(0, 1, 2)}), ('early', 'A', 'corrective', {row.format(0, 2, 1)}), "
        f"('whose', 'Z', 'corrective', {row.format(0, 1, 2)})",
        {"at": START},
    )
    site.admin.execute(
        "INSERT INTO raw.mes_downtime (downtime_id, equipment_id, starts_at, ends_at, planned, reason, available_at)"
        " SELECT id, machine, %(at)s + since, %(at)s + until, false, 'jam', %(at)s FROM (VALUES"
        " ('a1', 'A', interval '0', interval '2 h'), ('a2', 'A', interval '1 h', NULL),"
        " ('b1', 'B', interval '0', interval '2 h'), ('b2', 'B', interval '2 h', NULL)) AS v"
        " (id, machine, since, until)",
        {"at": START},
    )
    yield site


def test_rows_of_a_machine_that_the_plant_does_not_have_are_listed(built: Site) -> None:
    result = run_test(built, "assert_enterprise_rows_name_known_machines")
    assert result.succeeded and len(result.warnings) == 1
    found = kept(built, "assert_enterprise_rows_name_known_machines", "model, equipment_id, row_count")
    assert found == [("stg_cmms_work_orders", "Z", 1)]


def test_maintenance_that_ended_before_it_began_is_listed(built: Site) -> None:
    assert len(run_test(built, "assert_maintenance_follows_its_course").warnings) == 1
    assert kept(built, "assert_maintenance_follows_its_course", "row_id") == [("early",)]


def test_downtime_that_is_told_twice_is_listed(built: Site) -> None:
    assert len(run_test(built, "assert_downtime_is_told_once").warnings) == 1
    assert kept(built, "assert_downtime_is_told_once", "downtime_id, other_downtime_id") == [("a1", "a2")]


def test_a_reading_that_a_roll_up_lost_fails_and_one_that_is_not_due_does_not(built: Site) -> None:
    name = "assert_roll_ups_lose_no_reading"
    land(built.admin, [(TEMPERATURE, HOUR - 3 * MINUTE + timedelta(seconds=7), 61.0, None, 0, 99)])
    assert run_test(built, name).succeeded
    built.admin.execute("DELETE FROM intermediate.int_sensor_minutes WHERE minute = %s", (HOUR - 5 * MINUTE,))
    result = run_test(built, name)
    assert not result.succeeded and name in result.failures[0]
    assert kept(built, name, "minute, reading_count, rolled_up") == [(HOUR - 5 * MINUTE, 1, None)]


def test_the_documentation_is_a_site_that_needs_no_network(built: Site) -> None:
    shutil.rmtree(built.settings.var / "docs", ignore_errors=True)  # what other tests of this process wrote
    folder = write_site(built.settings)
    pages = {page.relative_to(folder).as_posix(): page.read_text() for page in folder.rglob("*") if page.is_file()}
    assert pages.keys() == {"index.html", "dbt/index.html", "quality/index.html"}
    loaded = r"""<(?:script|link|img)[^>]+(?:src|href)=["']?https?://[\w.]+"""
    assert {name: re.findall(loaded, page) for name, page in pages.items()} == {name: [] for name in pages}
    assert "gold_ml_features" in pages["dbt/index.html"] and "No checkpoint has run yet" in pages["quality/index.html"]

    settings = built.settings.model_copy(update={"docs_port": 0})
    with site_server(settings, folder) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{site.server_port}"
        assert httpx.get(f"{address}/dbt/index.html").text == pages["dbt/index.html"]
        assert httpx.get(f"{address}/%2e%2e/passwords.json").status_code == 404
        with pytest.raises(WarehouseError, match=rf"port {site.server_port} on 127.0.0.1 is taken"):
            site_server(settings.model_copy(update={"docs_port": site.server_port}), folder)
        site.shutdown()
