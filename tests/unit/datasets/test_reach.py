"""Servers that take a request and say nothing: given up within a bounded time, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers import hanging, served

from shale.datasets import reach as module
from shale.datasets.reach import reach, server_of, servers_of
from shale.errors import Unavailable


@pytest.mark.parametrize(
    ("source", "server"),
    [
        ("/d/a.car", ""),
        ("sector:/d/s-t01000-7?offset=0&size=16GiB", ""),
        ("http://h:80/piece/baga?token=secret", "http://h:80"),
        ("aggregate:https://user:password@h/piece/baga?k=v#1", "https://h"),
    ],
)
def test_the_server_of_a_source_is_shown_without_its_secrets(source: str, server: str) -> None:
    assert server_of(source) == server


def test_a_server_is_named_once() -> None:
    assert servers_of(["http://h/1", "/d/a.car", "http://h/2", "http://g/1"]) == "http://h, http://g"


async def test_a_silent_server_is_given_up_after_some_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    told: list[int] = []
    async with hanging() as url:
        with pytest.raises(Unavailable, match=r"http://127.0.0.1:\d+ takes requests but doesn't answer") as caught:
            await reach([url + "?token=secret", url], lambda server, number: told.append(number))
    assert told == [1, 2, 3], "one try for a server, however many pieces come from it"
    assert "secret" not in str(caught.value)


async def test_a_server_that_answers_or_refuses_at_once_is_for_its_reader_to_judge(tmp_path: Path) -> None:
    piece = tmp_path / "piece"
    piece.write_bytes(b"x" * 4096)
    with served(piece) as one, served(piece, ranges=False) as two:
        await reach([one, two, "http://127.0.0.1:1/piece/x", str(piece)])
