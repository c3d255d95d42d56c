"""The spool: what was synced is read, in order, until it is trimmed; a crash costs only what was not synced."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.landing.spool import Spool, SpoolFullError, SpoolTakenError

LIMIT = 1 << 20


async def test_what_is_not_synced_is_not_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"a")
    assert spool.read(100) == []
    await spool.sync()
    assert spool.read(100) == [b"a"]
    assert spool.read(100) == []
    spool.close()


async def test_a_restart_repeats_what_was_not_trimmed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    for payload in (b"one", b"two"):
        spool.append(payload)
        await spool.sync()
    assert spool.read(1) == [b"one"]
    spool.trim()
    spool.close()
    again = Spool(tmp_path, LIMIT)
    # The position in a segment is not kept: a record may come twice, the landing takes it once.
    assert again.read(1000) == [b"one", b"two"]
    again.trim()
    again.close()
    assert list(tmp_path.glob("*.seg")) == []


async def test_a_failed_landing_reads_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"one")
    await spool.sync()
    assert spool.read(1000) == [b"one"]
    spool.rewind()
    assert spool.read(1000) == [b"one"]
    spool.close()


async def test_a_torn_tail_is_cut_and_a_damaged_record_keeps_its_place(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    for payload in (b"first", b"second", b"third"):
        spool.append(payload)
    await spool.sync()
    spool.close()
    (path,) = tmp_path.glob("*.seg")
    content = bytearray(path.read_bytes())
    content[8 + 5 + 8] ^= 1
    path.write_bytes(bytes(content) + b"\x09\x00\x00\x00torn")
    again = Spool(tmp_path, LIMIT)
    assert again.read(1000) == [b"first", b"", b"third"]
    assert again.damaged == 2
    again.close()


async def test_a_full_spool_refuses_and_recovers(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 3 << 18)
    payload = b"x" * (1 << 18)
    spool.append(payload)
    spool.append(payload)
    with pytest.raises(SpoolFullError):
        spool.append(payload)
    await spool.sync()
    assert len(spool.read(1 << 20)) == 2
    spool.trim()
    spool.append(payload)
    await spool.sync()
    assert spool.read(1 << 20) == [payload]
    spool.close()


async def test_what_the_disk_failed_to_keep_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"kept")
    await spool.sync()
    synced: list[str] = []
    failures = [OSError(5, "Input/output error")]

    def fail_once(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink().name)
        if failures:
            raise failures.pop()

    monkeypatch.setattr("os.fdatasync", fail_once)
    spool.append(b"lost by the kernel")
    with pytest.raises(OSError, match="Input/output"):
        await spool.sync()
    assert spool.read(1 << 20) == [b"kept"]
    spool.append(b"after it")
    await spool.sync()
    # A sync of the same file again would have claimed what is not so.
    assert len(set(synced)) == len(synced) == 2
    assert (tmp_path / synced[0]).read_bytes().endswith(b"kept")
    assert spool.read(1 << 20) == [b"lost by the kernel", b"after it"]
    spool.close()
    again = Spool(tmp_path, LIMIT)
    assert (again.read(1 << 20), again.damaged) == ([b"kept", b"lost by the kernel", b"after it"], 0)
    again.close()


async def test_segments_are_closed_and_deleted_as_they_land(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64 << 20)
    written = [bytes([n]) * (1 << 20) for n in range(20)]
    for payload in written:
        spool.append(payload)
        await spool.sync()
    assert len(list(tmp_path.glob("*.seg"))) == 3
    read: list[bytes] = []
    while payloads := spool.read(3 << 20):
        read += payloads
        spool.trim()
    assert read == written
    assert spool.pending_bytes == 0
    assert len(list(tmp_path.glob("*.seg"))) == 1
    spool.close()


async def test_a_folder_has_one_worker(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    with pytest.raises(SpoolTakenError, match="another worker"):
        Spool(tmp_path, LIMIT)
    spool.close()
    Spool(tmp_path, LIMIT).close()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.binary(max_size=3000), st.sampled_from("sSrtwn")), max_size=40),
    st.integers(1, 5000),
)
async def test_any_history_reads_each_record_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bytes, str]], most: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, 64 << 20)
    written: list[bytes] = []
    landed: list[bytes] = []
    unlanded: list[bytes] = []
    for payload, step in steps:
        spool.append(payload)
        written.append(payload)
        if step in "sS":
            await spool.sync()
        elif step == "r":
            unlanded += spool.read(most)
        elif step == "t":
            unlanded += spool.read(most)
            spool.trim()
            landed, unlanded = landed + unlanded, []
        elif step == "w":
            spool.rewind()
            unlanded = []
        else:
            await spool.sync()
            spool.close()
            spool = Spool(folder, 64 << 20)
            # A restart repeats whole segments; forget what is repeated.
            repeated = spool.read(1 << 30)
            spool.rewind()
            unlanded, landed = [], written[: len(written) - len(repeated)]
            assert written[len(landed) :] == repeated
    await spool.sync()
    unlanded += spool.read(1 << 30)
    assert landed + unlanded == written
    spool.close()
