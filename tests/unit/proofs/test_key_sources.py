"""Servers of keys that can't be had on this machine's own sockets: https, and answers that no server of ours gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from shale.errors import InputRefused, Refused
from shale.proofs.key_sources import Body, Server, source_of

NAME = "window-1.pk"


class Stream(httpx.AsyncByteStream):
    """A body of which no header tells."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


async def opened(url: str, answer: Callable[[httpx.Request], httpx.Response], offset: int = 0) -> tuple[Body, bytes]:
    async with Server(url, httpx.MockTransport(answer)).open(NAME, offset) as body:
        return body, b"".join([chunk async for chunk in body.chunks])


def to(location: str) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "a.example":
            return httpx.Response(302, headers={"Location": location})
        return httpx.Response(200, stream=Stream(b"key of " + str(request.url).encode()))

    return answer


async def test_a_redirect_from_http_to_https_is_followed() -> None:
    _, content = await opened("http://a.example/keys", to("https://b.example/other"))
    assert content == b"key of https://b.example/other"


@pytest.mark.parametrize(
    ("location", "why"),
    [("http://b.example/x", "from https to http"), ("file:///etc/shadow", "to what is no http URL")],
)
async def test_a_redirect_that_leaves_https_is_refused(location: str, why: str) -> None:
    with pytest.raises(Refused, match=f"https://a.example/keys: it redirects {why}"):
        await opened("https://a.example/keys", to(location))


async def test_a_redirect_leaves_https_at_no_later_hop_either() -> None:
    hops = {"a.example": "https://b.example/", "b.example": "http://c.example/"}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(307, headers={"Location": hops[request.url.host]})

    with pytest.raises(Refused, match="from https to http"):
        await opened("http://a.example/keys", answer)


async def test_the_query_goes_with_each_file_and_is_never_shown() -> None:
    source = Server("https://a.example/keys/?token=secret#part")
    assert source.place == "https://a.example/keys"
    _, content = await opened("http://b.example/keys/?token=secret#part", to(""))
    assert content == f"key of http://b.example/keys/{NAME}?token=secret".encode()


@pytest.mark.parametrize(
    ("status", "headers", "why"),
    [
        (206, {"Content-Range": "bytes 0-9/20"}, "another range .* 'bytes 0-9/20'"),
        (206, {"Content-Range": "bytes 10-"}, "another range"),
        (206, {}, "another range .* ''"),
        (200, {"Content-Encoding": "zstd"}, "encoded as 'zstd'"),
        (301, {}, "status 301"),
    ],
)
async def test_an_answer_that_was_not_asked_for_is_refused(status: int, headers: dict[str, str], why: str) -> None:
    with pytest.raises(Refused, match=why):
        await opened(
            "http://a.example",
            lambda request: httpx.Response(status, headers=headers, stream=Stream(b"0123456789")),
            10,
        )


async def test_a_server_that_does_not_say_how_long_the_file_is_may_go_on() -> None:
    headers = {"Content-Range": "bytes 10-19/*"}
    body, content = await opened(
        "http://a.example", lambda request: httpx.Response(206, headers=headers, stream=Stream(b"0123456789")), 10
    )
    assert (body.start, body.total, content) == (10, None, b"0123456789")


@pytest.mark.parametrize(
    "url", ["http://", "https:///keys", "http://x:0/", "http://[x/", "http://a\u2028b/", "http://x:y/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InputRefused, match="no http URL"):
        source_of(url)


def test_a_password_in_a_url_and_other_schemes_are_refused_without_repeating_them() -> None:
    with pytest.raises(InputRefused, match="visible to every process") as refused:
        source_of("https://ada:secret@a.example/keys")
    assert "secret" not in str(refused.value)
    with pytest.raises(InputRefused, match="ftp URLs are not read"):
        source_of("ftp://a.example/keys")
