"""What a source is like without reading it: files, places in files, servers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shale.datasets.stamp import innermost, is_same, local_file, stamp
from shale.errors import Refused, Unavailable


@pytest.mark.parametrize(
    ("source", "inner"),
    [
        ("/d/a.car", "/d/a.car"),
        ("/d/what?.car", "/d/what?.car"),
        ("sector:/d/s-t01000-7", "/d/s-t01000-7"),
        ("sector:/d/s-t01000-7?offset=0&size=16GiB", "/d/s-t01000-7"),
        ("sector:/d?/s-t01000-7", "/d?/s-t01000-7"),
        ("park:/d/s-t00-12?raw=99", "/d/s-t00-12"),
        ("aggregate:sector:/d/s-t01000-7?offset=0&size=16GiB#3", "/d/s-t01000-7"),
        ("aggregate:aggregate:/d/x#1#2", "/d/x"),
        ("aggregate:http://h/piece/baga?k=v#1", "http://h/piece/baga?k=v"),
    ],
)
def test_the_innermost_path_or_url_of_a_source(source: str, inner: str) -> None:
    assert innermost(source) == inner
    assert (local_file(source) is None) == inner.startswith("http")


async def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    path.write_bytes(b"one")
    first = await stamp(f"park:{path}")
    assert first == await stamp(str(path))
    path.write_bytes(b"longer")
    assert await stamp(str(path)) != first
    size = await stamp(str(path))
    os.utime(path, ns=(1, 1))
    assert await stamp(str(path)) != size


async def test_a_replaced_file_of_the_same_size_and_time_has_another_stamp(tmp_path: Path) -> None:
    path, other = tmp_path / "a.car", tmp_path / "b.car"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    for file in (path, other):
        os.utime(file, ns=(7, 7))
    first = await stamp(str(path))
    other.replace(path)
    second = await stamp(str(path))
    assert second != first
    assert not is_same(first, second)


async def test_a_stamp_of_an_older_book_is_of_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    path.write_bytes(b"one")
    now = await stamp(str(path))
    older = now.rpartition(" ")[0]
    assert is_same("", now)
    assert is_same(older, now)
    assert not is_same(older[:-1], now)
    assert not is_same('3 "tag"', '3 "other"')


async def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.car"):
        with pytest.raises(Refused, match=str(path)):
            await stamp(f"sector:{path}?offset=0&size=1MiB")


async def test_a_server_that_does_not_answer_is_named_without_its_query() -> None:
    with pytest.raises(Unavailable) as caught:
        await stamp("http://127.0.0.1:1/piece/baga?token=secret")
    assert "127.0.0.1:1/piece/baga" in caught.value.message
    assert "secret" not in str(caught.value)
