"""Rpc: reads are asked again where a gateway is overrun, a few times; sends never; and what comes back is bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from shale.chain.rpc import ATTEMPTS, MAX_ERROR, NodeError, Rpc
from shale.errors import Unavailable

GOOD = b'{"jsonrpc":"2.0","id":1,"result":"0x7"}'


class Server:
    """Answers each request with the next of its answers: a status, headers and a body; None hangs up."""

    def __init__(self, *answers: tuple[int, str, bytes] | None) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(size)
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            status, headers, body = answer
            writer.write(f"HTTP/1.1 {status} Any\r\nConnection: close\r\n{headers}".encode())
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def node(server: Server, attempts: int = ATTEMPTS) -> AsyncIterator[tuple[Rpc, list[float]]]:
    """An Rpc to it, and how long it paused each time."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    rpc = Rpc(server.url, attempts=attempts, pause=pause)
    try:
        yield rpc, pauses
    finally:
        await rpc.close()
        listening.close()
        await listening.wait_closed()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_read_is_asked_again_until_the_gateway_is_back(status: int) -> None:
    server = Server((status, "", b"busy"), (status, "", b"{}"), None, (200, "", GOOD))
    async with node(server) as (rpc, pauses):
        assert await rpc.number("eth_blockNumber") == 7
    assert server.asked == 4
    assert pauses == sorted(pauses)
    assert all(0.1 < pause < 2 for pause in pauses)


async def test_a_gateway_is_left_alone_for_as_long_as_it_asks_but_not_for_ever() -> None:
    server = Server((429, "Retry-After: 3\r\n", b""), (429, "Retry-After: 100000\r\n", b""), (200, "", GOOD))
    async with node(server) as (rpc, pauses):
        await rpc.call("eth_blockNumber")
    assert pauses == [3.0, 10.0]
    for junk in ("soon", "-5", "nan", "Wed, 21 Oct 2026 07:28:00 GMT"):
        server = Server((503, f"Retry-After: {junk}\r\n", b""), (200, "", GOOD))
        async with node(server) as (rpc, pauses):
            await rpc.call("eth_blockNumber")
        assert 0.1 < pauses[0] < 1


async def test_a_rate_limit_in_the_answer_counts_as_one_of_the_gateway() -> None:
    for error in ({"code": 429, "message": "slow down"}, {"code": -32005, "message": "Rate limit exceeded"}):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
        server = Server((200, "", body), (200, "", GOOD))
        async with node(server) as (rpc, _):
            assert await rpc.number("eth_blockNumber") == 7
        assert server.asked == 2


async def test_a_node_that_stays_down_is_told_after_a_few_attempts() -> None:
    server = Server((503, "", b""))
    async with node(server) as (rpc, pauses):
        with pytest.raises(Unavailable, match="status 503"):
            await rpc.call("eth_blockNumber")
    assert (server.asked, len(pauses)) == (ATTEMPTS, ATTEMPTS - 1)


@pytest.mark.parametrize("answer", [(503, "", b""), (429, "Retry-After: 1\r\n", b""), None])
async def test_a_send_is_asked_once(answer: tuple[int, str, bytes] | None) -> None:
    server = Server(answer)
    async with node(server) as (rpc, pauses):
        with pytest.raises(Unavailable):
            await rpc.call_once("eth_sendRawTransaction", "0x02")
    assert (server.asked, pauses) == (1, [])


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_what_the_node_itself_says_is_not_asked_again(status: int) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x1234"}}'
    server = Server((status, "", body))
    async with node(server) as (rpc, _):
        with pytest.raises(NodeError) as caught:
            await rpc.call("eth_call")
    assert (server.asked, caught.value.data) == (1, "0x1234")


async def test_an_endless_error_is_cut() -> None:
    body = json.dumps({"error": {"message": "x" * 3_000_000, "data": "0x" + "12" * 1_000_000}}).encode()
    async with node(Server((200, "", body))) as (rpc, _):
        with pytest.raises(NodeError) as caught:
            await rpc.call("eth_call")
    assert len(caught.value.message) <= MAX_ERROR
    assert len(caught.value.data) <= MAX_ERROR


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b'{"error": 5}', b"[" * 5000, b"\xff", b"<html>"])
async def test_what_is_no_answer_is_told_in_one_line(body: bytes) -> None:
    async with node(Server((200, "", body))) as (rpc, _):
        with pytest.raises(Unavailable, match="not a chain's node"):
            await rpc.call("eth_call")


async def test_a_node_that_answers_byte_by_byte_for_ever_is_given_up() -> None:
    """It is never silent for long, so that only the time of the whole answer shows it."""
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), 0.001)
        finally:
            writer.close()
            ended.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        rpc = Rpc(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", answer_seconds=0.05)
        with pytest.raises(Unavailable, match=r"has not answered in full after 0\.05 s"):
            await rpc.call("eth_blockNumber")
        await rpc.close()
        await ended.wait()
