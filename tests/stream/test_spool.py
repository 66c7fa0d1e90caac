import errno

import numpy as np
import pytest

from sciml.errors import InputError
from sciml.stream.spool import ALIGNMENT, Spool


def payload(i, size=1000):
    return np.random.default_rng(i).integers(0, 255, size, dtype=np.uint8)


def fill(directory, n, **options):
    spool = Spool(directory, **options)
    spool.scan()
    orders = [spool.append({"i": i}, payload(i)) for i in range(n)]
    return spool, orders


def reopened(directory):
    spool = Spool(directory)
    return spool, spool.scan()


def test_records_come_back_in_order(tmp_path):
    spool, orders = fill(tmp_path, 100, segment_size=1 << 14)
    spool.close()
    spool, records = reopened(tmp_path)
    assert [r.header["i"] for r in records] == list(range(100))
    assert [r.order for r in records] == orders and spool.damaged == 0
    assert (spool.read(orders[57])[1] == payload(57)).all()
    assert spool.append({"i": 100}) > orders[-1]
    spool.close()


def test_records_that_share_a_write_come_back_each_for_itself(tmp_path):
    # Odd sizes, nothing at all, more than fits into one write, into a segment, into one call.
    sizes = [1, 0, 63, 4096, 5000, (1 << 20) + 3, 17, 3 << 20, *[100] * 600, 64]
    spool = Spool(tmp_path, segment_size=2 << 20)
    spool.scan()
    orders = spool.append_all([({"i": i}, payload(i, size)) for i, size in enumerate(sizes)])
    again = spool.append({"i": len(sizes)}, payload(len(sizes), 10))
    assert again == orders[-1] + 1
    spool.close()
    spool, records = reopened(tmp_path)
    assert [r.order for r in records] == [*orders, again] and spool.damaged == 0
    for i, size in enumerate(sizes):
        header, found = spool.read(orders[i])
        assert header == {"i": i} and np.array_equal(found, payload(i, size))
    spool.close()


def test_no_close_is_needed(tmp_path):
    # What a killed process leaves: open files, a segment that is allocated beyond its records.
    spool, _ = fill(tmp_path / "a", 10)
    for path in (tmp_path / "a").glob("*.segment"):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    other, records = reopened(tmp_path / "b")
    assert len(records) == 10
    other.close()
    spool.close()


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_torn_tail_is_dropped(tmp_path, keep):
    spool, _ = fill(tmp_path, 10)
    size = spool.bytes // 10
    spool.close()
    (path,) = tmp_path.glob("*.segment")
    data = bytearray(path.read_bytes())
    data[int(9 * size + keep * size) :] = bytes(len(data) - int(9 * size + keep * size))
    path.write_bytes(data)
    spool, records = reopened(tmp_path)
    assert [r.header["i"] for r in records] == list(range(9)) and spool.damaged == 1
    spool.close()


@pytest.mark.parametrize("where", [0, 12, 16, 32, 44, 500])
def test_corrupted_record_is_dropped_and_the_rest_is_found(tmp_path, where):
    # where: magic, header length, payload length, segment, header, payload
    spool, _ = fill(tmp_path, 10)
    size = spool.bytes // 10
    spool.close()
    (path,) = tmp_path.glob("*.segment")
    data = bytearray(path.read_bytes())
    assert size % ALIGNMENT == 0
    data[4 * size + where] ^= 0xFF
    path.write_bytes(data)
    spool, records = reopened(tmp_path)
    assert [r.header["i"] for r in records] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert spool.damaged == 1
    spool.close()


def test_compaction_frees_disk_and_keeps_survivors(tmp_path):
    spool, orders = fill(tmp_path, 200, segment_size=1 << 14)
    before, files = spool.bytes, len(list(tmp_path.glob("*.segment")))
    survivors = orders[::20]
    spool.drop(set(orders) - set(survivors))
    spool.compact()
    assert spool.bytes < before / 4 and len(list(tmp_path.glob("*.segment"))) < files / 2
    for order in survivors:
        assert (spool.read(order)[1] == payload(order - 1)).all()
    with pytest.raises(KeyError):
        spool.read(orders[1])
    spool.close()
    spool, records = reopened(tmp_path)
    # Dropped records of segments that were not rewritten yet are found again.
    assert set(survivors) <= {r.order for r in records} and len(records) < 40
    spool.close()


def test_size_is_bounded_while_records_come_and_go(tmp_path):
    spool, _ = fill(tmp_path, 0, segment_size=1 << 16)
    sizes = []
    for i in range(1000):
        order = spool.append({"i": i}, payload(0, 5000))
        spool.drop([order - 20])
        if i % 50 == 0:
            spool.compact()
            sizes.append(spool.bytes)
    assert max(sizes) < 500_000
    spool.close()


def test_files_are_used_again_and_their_old_life_stays_dead(tmp_path):
    spool, orders = fill(tmp_path, 60, segment_size=1 << 14)
    files = {p.stat().st_ino for p in tmp_path.glob("*.segment")}
    spool.drop(orders)
    spool.compact()
    again = [spool.append({"i": 100 + i}, payload(i, 700)) for i in range(8)]
    assert {p.stat().st_ino for p in tmp_path.glob("*.segment")} <= files
    left = sorted(tmp_path.glob("*.segment"))[-1].read_bytes()
    (tmp_path / "killed").mkdir()
    for path in tmp_path.glob("*.segment"):
        (tmp_path / "killed" / path.name).write_bytes(path.read_bytes())
    assert len(left) == 1 << 14
    spool.close()
    spool, records = reopened(tmp_path / "killed")
    assert [r.order for r in records if r.header["i"] >= 100] == again
    assert spool.damaged == 0
    spool.close()


def test_record_larger_than_a_segment(tmp_path):
    spool, _ = fill(tmp_path, 1, segment_size=1 << 14)
    large = payload(1, (3 << 20) + 5)
    order = spool.append({"i": 1}, large)
    assert (spool.read(order)[1] == large).all()
    spool.close()
    spool, records = reopened(tmp_path)
    assert [r.header["i"] for r in records] == [0, 1] and spool.damaged == 0
    spool.close()


def test_a_full_disk_is_an_error_that_leaves_no_record(tmp_path, monkeypatch):
    import sciml.stream.spool as module

    spool, _ = fill(tmp_path, 3)

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwritev", no_room)
    with pytest.raises(OSError, match="No space"):
        spool.append_all([({"i": 3}, payload(3))])
    monkeypatch.undo()
    spool.append({"i": 4}, payload(4))
    spool.close()
    spool, records = reopened(tmp_path)
    assert [r.header["i"] for r in records] == [0, 1, 2, 4]
    spool.close()


def test_two_trainers_cannot_share_a_spool(tmp_path):
    spool, _ = fill(tmp_path, 1)
    with pytest.raises(InputError, match="in use by another trainer"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_a_file_system_without_locks_can_hold_a_spool(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    spool, _ = fill(tmp_path, 1)
    spool.close()
