"""What a source is like without reading it: files, places in files, servers."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.servers import answering, served

from shale.datasets import served as module
from shale.datasets import stamp as stamps
from shale.datasets.reach import reach
from shale.datasets.served import trusted
from shale.datasets.stamp import MOST_LATE, innermost, is_same, local_file, stamp
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


@dataclass
class Hang:
    """Files whose name begins with hung answer once it is over."""

    over: threading.Event = field(default_factory=threading.Event)
    asked: list[Path] = field(default_factory=list)


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    hang, ask = Hang(), stamps._file

    def slow(path: Path) -> str:
        hang.asked.append(path)
        if path.name.startswith("hung"):
            hang.over.wait()
        return ask(path)

    monkeypatch.setattr(stamps, "_file", slow)
    monkeypatch.setattr(stamps, "LOOK_SECONDS", 0.05)
    yield hang
    hang.over.set()


async def test_files_that_hang_hold_up_no_file_of_another_folder(tmp_path: Path, hang: Hang) -> None:
    slow, sound = tmp_path / "slow", tmp_path / "sound.car"
    slow.mkdir()
    sound.write_bytes(b"one")
    files = [slow / f"hung-{number}" for number in range(20)]
    for file in files:
        file.write_bytes(b"two")
    for _ in range(2):
        answers = await asyncio.gather(*(stamp(str(file)) for file in files), return_exceptions=True)
        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert await stamp(str(sound))


async def test_a_file_that_hangs_is_not_asked_again_until_it_answers(tmp_path: Path, hang: Hang) -> None:
    hung, neighbour = tmp_path / "hung.car", tmp_path / "sound.car"
    for file in (hung, neighbour):
        file.write_bytes(b"one")
    for _ in range(5):
        with pytest.raises(Unavailable, match=f"{hung} does not answer within"):
            await stamp(str(hung))
    assert hang.asked == [hung]
    assert await stamp(str(neighbour))
    (look,) = stamps._late[tmp_path].values()
    hang.over.set()
    await asyncio.wrap_future(look)
    assert await stamp(str(hung))
    assert tmp_path not in stamps._late


async def test_a_folder_of_files_that_hang_costs_few_threads(tmp_path: Path, hang: Hang) -> None:
    for number in range(20):
        with pytest.raises(Unavailable):
            await stamp(str(tmp_path / f"hung-{number}"))
    assert len(hang.asked) == MOST_LATE


async def test_a_server_that_does_not_answer_is_named_without_its_query() -> None:
    with pytest.raises(Unavailable) as caught:
        await stamp("http://127.0.0.1:1/piece/baga?token=secret")
    assert "127.0.0.1:1/piece/baga" in caught.value.message
    assert "secret" not in str(caught.value)


@pytest.fixture
def piece(tmp_path: Path) -> Path:
    path = tmp_path / "piece.car"
    path.write_bytes(bytes(4096))
    return path


@pytest.mark.parametrize(
    "server", [{}, {"redirects": 1}, {"redirects": 5}, {"head": 404}, {"head": 200}, {"head": 403, "redirects": 2}]
)
async def test_the_stamp_of_a_server_needs_only_what_reading_needs(piece: Path, server: dict[str, Any]) -> None:
    with served(piece, **server) as url:
        assert await stamp(url) == "4096 "


async def test_the_stamp_of_a_server_without_a_tag_has_the_time_and_one_that_older_books_knew_is_the_same() -> None:
    said = {"Content-Range": "bytes 0-0/4096", "Content-Length": "1", "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    async with answering(lambda head: (206, said)) as url:
        seen = await stamp(url)
    assert seen == "4096 Wed, 21 Oct 2015 07:28:00 GMT"
    assert is_same("4096 ", seen)
    assert not is_same("4096 Wed, 21 Oct 2015 07:28:01 GMT", seen)
    assert not is_same("409 ", seen)


async def test_certificates_are_read_once_however_many_pieces_are_looked_at(
    piece: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ssl.SSLContext] = []
    create = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *what: Any, **more: Any) -> None:
        made.append(context)
        create(context, *what, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    trusted.cache_clear()
    with served(piece) as url:
        for _ in range(3):
            await stamp(url)
            await reach([url])
    assert len(made) <= 1


async def test_the_reason_why_a_server_is_refused_is_the_true_one(piece: Path) -> None:
    with served(piece, ranges=False, head=200) as url, pytest.raises(Refused, match="the server ignores Range"):
        await stamp(url)
    with served(piece, redirects=6) as url, pytest.raises(Refused, match="more than 5 redirects"):
        await stamp(url)


OK_RANGE = {"Content-Range": "bytes 0-0/77", "Content-Length": "1"}


@pytest.mark.parametrize(
    ("status", "headers", "error", "why"),
    [
        (404, {}, Refused, "the server has no such piece (404)"),
        (410, {}, Refused, "the server has no such piece (410)"),
        (401, {}, Refused, "the server refuses it (401)"),
        (503, {}, Unavailable, "the server fails (503)"),
        (429, {}, Unavailable, "the server fails (429)"),
        (501, {}, Refused, "the server answers 501, not 206"),
        (302, {}, Refused, "the server answers 302, not 206"),
        (302, {"Location": "file:///etc/passwd"}, Refused, "the server redirects to what is no HTTP URL"),
        (206, {"Content-Length": "1"}, Refused, "the server's Content-Range '' doesn't say how long the piece is"),
        (206, OK_RANGE | {"Content-Range": "bytes 0-0/*"}, Refused, "doesn't say how long the piece is"),
        (
            206,
            OK_RANGE | {"Content-Range": "bytes 5-5/77"},
            Refused,
            "the server sends another range than was asked for",
        ),
        (206, OK_RANGE | {"Content-Range": f"bytes 0-0/{1 << 40}"}, Refused, "pieces have at most"),
        (206, OK_RANGE | {"Content-Encoding": "gzip"}, Refused, "the server sent it encoded as 'gzip'"),
    ],
)
async def test_each_answer_that_no_piece_can_be_read_from_is_told_as_it_is(
    status: int, headers: dict[str, str], error: type[Exception], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    async with answering(lambda asked: (status, headers)) as url:
        with pytest.raises(error) as caught:
            await stamp(f"{url}?token=secret")
    assert why in str(caught.value)
    assert url in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_server_that_fails_in_passing_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    answers: list[tuple[int, dict[str, str]]] = [(503, {}), (429, {}), (206, OK_RANGE | {"ETag": '"one"'})]
    async with answering(lambda asked: answers.pop(0)) as url:
        assert await stamp(url) == '77 "one"'


async def test_an_empty_piece_has_no_bytes() -> None:
    async with answering(lambda asked: (416, {"Content-Range": "bytes */0"})) as url:
        assert await stamp(url) == "0 "


async def test_of_a_server_one_byte_is_asked_for_as_it_is() -> None:
    heads: list[str] = []

    def answer(asked: str) -> tuple[int, dict[str, str]]:
        heads.append(asked.lower())
        return 206, OK_RANGE

    async with answering(answer) as url:
        await stamp(url)
    (head,) = heads
    assert head.startswith("get ")
    assert "range: bytes=0-0\r\n" in head
    assert "accept-encoding: identity\r\n" in head


def test_no_redirect_leads_from_https_to_http() -> None:
    with pytest.raises(Refused, match="redirected from https to http"):
        module._checked_hop(httpx.Request("GET", "https://a.example/x"), httpx.Request("GET", "http://b.example/x"), 1)


async def test_a_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(Refused, match="take it out") as caught:
        await stamp("http://me:geheim@127.0.0.1:1/piece/baga")
    assert "geheim" not in str(caught.value)


async def test_what_only_begins_as_a_url_is_refused() -> None:
    await reach(["http://[x/piece/baga"])
    with pytest.raises(Refused, match="not an HTTP URL"):
        await stamp("http://[x/piece/baga")
