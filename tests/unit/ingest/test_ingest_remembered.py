"""Tag ids that outlive a start without Postgres, and are never those of another plant file."""

from pathlib import Path

from ingest.remembered import recall, remember
from tests.integration.ingest.test_ingest_tags import PUMP, plant, with_tag

IDS = {("main", "nsu=urn:x;s=T"): 1, ("main", "nsu=urn:x;s=V[2]"): 7}


def test_ids_are_those_of_the_same_plant_file(tmp_path: Path) -> None:
    described = plant(PUMP=PUMP)
    assert recall(tmp_path, described) is None
    remember(tmp_path / "spool", described, IDS)
    assert recall(tmp_path / "spool", plant(PUMP=PUMP)) == IDS
    assert recall(tmp_path / "spool", plant(PUMP=with_tag(0, unit="K"))) is None


def test_a_file_that_is_torn_is_none(tmp_path: Path) -> None:
    described = plant(PUMP=PUMP)
    remember(tmp_path, described, IDS)
    written = (tmp_path / "tags.json").read_text()
    for broken in ("", written[:40], "[]", '{"plant": 1}', written.replace("[", "{", 1)):
        (tmp_path / "tags.json").write_text(broken)
        assert recall(tmp_path, described) is None
