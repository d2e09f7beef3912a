"""The root in a CAR's header, honest and hostile."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shale.datasets.car import read_root
from shale.errors import Refused

ROOT = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
ROOT_BYTES = base64.b32decode(ROOT[1:].upper() + "=" * (-len(ROOT[1:]) % 8))
V0_BYTES = b"\x12\x20" + bytes(range(32))


def header(*roots: bytes) -> bytes:
    links = b"".join(b"\xd8\x2a\x58" + bytes([len(root) + 1]) + b"\0" + root for root in roots)
    body = b"\xa2\x65roots" + bytes([0x80 + len(roots)]) + links + b"\x67version\x01"
    size = len(body)
    return (bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])) + body


def car(folder: Path, data: bytes) -> Path:
    path = folder / "a.car"
    path.write_bytes(data)
    return path


def test_the_root_is_read(tmp_path: Path) -> None:
    assert read_root(car(tmp_path, header(ROOT_BYTES) + b"blocks")) == ROOT


def test_the_root_within_a_carv2_is_read(tmp_path: Path) -> None:
    start = 11 + 40
    numbers = b"".join(number.to_bytes(8, "little") for number in (start + 5, 100, 0))
    data = bytes.fromhex("0aa16776657273696f6e02") + bytes(16) + numbers + b"12345" + header(ROOT_BYTES)
    assert read_root(car(tmp_path, data)) == ROOT


def test_a_root_of_version_0_is_written_in_base58(tmp_path: Path) -> None:
    assert read_root(car(tmp_path, header(V0_BYTES))).startswith("Qm")


def test_several_roots_or_none_are_refused(tmp_path: Path) -> None:
    for roots in ((), (ROOT_BYTES, V0_BYTES)):
        with pytest.raises(Refused, match=f"names {len(roots)} roots"):
            read_root(car(tmp_path, header(*roots)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        b"\xff\xff\xff\x7f",
        b"PK\x03\x04 a zip",
        header(ROOT_BYTES)[:-3],
        header(b"\x02" + ROOT_BYTES[1:]),
        bytes.fromhex("0aa16776657273696f6e02") + b"\xff" * 40,
    ],
)
def test_what_is_no_car_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Refused, match="is not a CAR"):
        read_root(car(tmp_path, data))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file"):
        read_root(tmp_path / "none.car")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_damaged_header_never_does_worse_than_refuse(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(header(ROOT_BYTES))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Refused):
        assert read_root(car(tmp_path, bytes(raw))).isalnum()
