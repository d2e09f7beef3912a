"""Lotus: what a node answers is checked field by field, and bounded; the desk endpoint answers in its shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shale.chain import lotus as lotus_module
from shale.chain.lotus import (
    Lotus,
    claims_from_json,
    head_from_json,
    miner_from_json,
    miner_number,
    sector_from_json,
)
from shale.chain.lotus_desk import GENESIS, LotusDesk, serve
from shale.clock import ManualClock
from shale.errors import ConfigError, InputRefused, Unavailable

PIECE = "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"
CLAIM: dict[str, Any] = {
    "Provider": 1234, "Client": 1000, "Data": {"/": PIECE}, "Size": 34359738368,
    "TermMin": 518400, "TermMax": 1555200, "TermStart": 4000000, "Sector": 9,
}  # fmt: skip


@asynccontextmanager
async def node(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Lotus]:
    """A node that answers every request by what is given."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    found = Lotus(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rpc/v1")
    try:
        yield found
    finally:
        await found.close()
        server.close()
        await server.wait_closed()


def says(body: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return answer


def result(value: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode()


@asynccontextmanager
async def desk(path: Path, claims: object) -> AsyncIterator[Lotus]:
    path.write_text(json.dumps(claims))
    told: asyncio.Queue[str] = asyncio.Queue()
    clock = ManualClock()
    task = asyncio.create_task(serve(LotusDesk(path, clock), 0, told.put_nowait))
    found = Lotus(await told.get())
    try:
        yield found
    finally:
        await found.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_desk_serves_a_files_claims_in_lotus_shapes(tmp_path: Path) -> None:
    other = CLAIM | {"Provider": 1, "Sector": 3}
    async with desk(tmp_path / "claims.json", {"5432": CLAIM, "5433": other}) as lotus:
        (claim,) = await lotus.claims(1234)
        assert (claim.id, claim.data, claim.size, claim.sector) == (5432, PIECE, 34359738368, 9)
        assert claim.term_end == 5555200
        sector = await lotus.sector(1234, 9)
        assert sector is not None
        assert (sector.activation, sector.expiration) == (4000000, 5555200)
        assert await lotus.sector(1234, 3) is None
        assert (await lotus.miner(1234)).sector_size == 32 << 30
        with pytest.raises(Unavailable, match="refuses StateMinerInfo"):
            await lotus.miner(77)
        head = await lotus.head()
        assert head.height == (ManualClock().now() - GENESIS) // 30
        assert abs(head.time_of(head.height) - ManualClock().now()) < 30


async def test_a_claim_that_is_added_to_the_desks_file_counts_at_once(tmp_path: Path) -> None:
    async with desk(tmp_path / "claims.json", {}) as lotus:
        assert await lotus.claims(1234) == ()
        (tmp_path / "claims.json").write_text(json.dumps({"1": CLAIM}))
        assert len(await lotus.claims(1234)) == 1
        (tmp_path / "claims.json").write_text("[")
        with pytest.raises(Unavailable, match=r"claims\.json is no file of claims"):
            await lotus.claims(1234)


def test_the_desk_refuses_a_file_that_holds_no_claims(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    with pytest.raises(ConfigError, match="can't be read"):
        LotusDesk(path, ManualClock())
    path.write_text(json.dumps({"1": CLAIM | {"Size": 100}}))
    with pytest.raises(ConfigError, match=r"claim '1': Size 100 is no padded size"):
        LotusDesk(path, ManualClock())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"Data": PIECE}, "Data"),
        ({"Data": {"/": "bafy"}}, "Data"),
        ({"Size": 3 << 30}, "Size"),
        ({"Size": True}, "Size"),
        ({"TermMax": "1555200"}, "TermMax"),
        ({"TermStart": -1}, "TermStart"),
        ({"Sector": 2**63}, "Sector"),
        ({"Provider": None}, "Provider"),
    ],
)
async def test_a_lying_claim_is_an_error_that_names_its_field(change: dict[str, Any], word: str) -> None:
    async with node(says(result({"5432": CLAIM | change}))) as lotus:
        with pytest.raises(Unavailable, match=word) as caught:
            await lotus.claims(1234)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, result(None), result([]), result({"x": CLAIM})])
async def test_what_is_no_lotus_node_is_one_line(body: bytes) -> None:
    async with node(says(body)) as lotus:
        with pytest.raises(Unavailable) as caught:
            await lotus.claims(1234)
    assert "\n" not in str(caught.value)


async def test_a_huge_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lotus_module, "MAX_CLAIMS_BYTES", 1 << 20)

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    async with node(endless) as lotus:
        with pytest.raises(Unavailable, match="answers too much"):
            await lotus.claims(1234)


async def test_a_slow_answer_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lotus_module, "CALL_SECONDS", 0.05)

    async def forever(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{")
        await writer.drain()
        while True:  # until the client has hung up
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0)

    async with node(forever) as lotus:
        with pytest.raises(Unavailable, match="took over"):
            await lotus.head()


async def test_a_nodes_own_error_is_one_printable_line() -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "actor\n\x1b[2Jnot found"}}).encode()
    async with node(says(body)) as lotus:
        with pytest.raises(Unavailable) as caught:
            await lotus.miner(1234)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("text", ["1234", "f1abc", "f0", "f0-1", "f01234x", "f0" + "9" * 19, "f０1"])
def test_what_is_no_miner_id_is_refused(text: str) -> None:
    with pytest.raises(InputRefused):
        miner_number(text)


def test_a_miner_id_of_any_network() -> None:
    assert miner_number("f01234") == miner_number("t01234") == 1234


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(CLAIM, json_values))


@given(st.dictionaries(st.sampled_from(["1", "x", "", "99999999999999999999"]), fields | json_values))
def test_claims_are_read_or_refused_whatever_a_node_sends(raw: Any) -> None:
    try:
        claims = claims_from_json(raw)
    except ValueError:
        return
    assert all(claim.size >= 128 and claim.term_end >= claim.term_start for claim in claims)


@given(json_values)
def test_the_other_answers_are_read_or_refused_whatever_a_node_sends(raw: Any) -> None:
    for read in (claims_from_json, head_from_json, sector_from_json, miner_from_json):
        try:
            read(raw)
        except ValueError:
            continue
