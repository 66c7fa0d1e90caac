import zlib

import numpy as np
import pytest

from sciml.stream.checksum import PAGE, checksum


@pytest.mark.parametrize("nbytes", [1, PAGE - 1, PAGE, PAGE + 5, 9 * PAGE, 9 * PAGE + 4095])
def test_every_changed_bit_is_found_wherever_the_buffer_lies(nbytes):
    rng = np.random.default_rng(nbytes)
    data = rng.integers(0, 256, nbytes).astype(np.uint8)
    sound = checksum(data)
    shifted = np.zeros(nbytes + 3, np.uint8)[3:]
    shifted[:] = data
    assert sound == checksum(data.tobytes()) == checksum(shifted) == checksum(memoryview(shifted))
    for at in {0, nbytes - 1, *rng.integers(0, nbytes, 100).tolist()}:
        data[at] ^= 1 << rng.integers(8)
        assert checksum(data) != sound
        data[at] = shifted[at]
    assert checksum(data) == sound


def test_pages_exchanged_or_missing_are_found():
    data = np.random.default_rng(1).integers(0, 256, (4, PAGE)).astype(np.uint8)
    sound = checksum(data.ravel())
    assert checksum(data[[1, 0, 2, 3]].ravel()) != sound
    assert checksum(data[[0, 1, 2, 2]].ravel()) != sound
    data[2] = 0
    assert checksum(data.ravel()) != sound


def test_it_continues_and_small_ones_are_plain_crc():
    assert checksum(b"abc", 7) == zlib.crc32(b"abc", 7)
    large = bytes(range(256)) * 32
    assert checksum(large, 7) != checksum(large)
    assert checksum(np.zeros(2000)) == checksum(bytes(16_000))
