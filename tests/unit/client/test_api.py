"""The provider's HTTP door: wild answers end in one line, never in a crash, a full memory or a terminal's escapes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from shale.client.api import MAX_BODY, ProviderApi, Step, end_to_json
from shale.client.rental import Shell
from shale.errors import Closed, InputRefused, Refused, ShaleError, Unavailable
from shale.market.lease import EndReason
from shale.market.order import Confirmation, End
from shale.units import AttoFil, LeaseId, OrderHash

LEASE = LeaseId("0x" + "ab" * 31)
CONFIRMATION = Confirmation(OrderHash("0x" + "ab" * 32), "0x" + "cd" * 32, AttoFil(5), 9)


def api(body: bytes | Callable[[], AsyncIterator[bytes]], status: int = 200, **headers: str) -> ProviderApi:
    async def one() -> AsyncIterator[bytes]:
        assert isinstance(body, bytes)
        yield body

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=one() if isinstance(body, bytes) else body(), headers=headers)

    return ProviderApi("http://p.example", httpx.MockTransport(answer))


async def steps(door: ProviderApi) -> list[Step | Shell]:
    async with door, door.confirm(CONFIRMATION, "0x") as items:
        return [item async for item in items]


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b"\xff\xfe", b"[" * 9000, b"<html>", b"3"])
async def test_what_is_no_answer_is_named_as_no_provider(body: bytes) -> None:
    async with api(body) as door:
        with pytest.raises(Unavailable, match="is not a Shale provider"):
            await door.lease(LEASE)


async def test_an_answer_without_an_end_is_cut_off() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 8192

    async with api(endless) as door:
        with pytest.raises(Unavailable, match="answers too much"):
            await door.lease(LEASE)
        with pytest.raises(Unavailable, match="answers too much"):
            await door.offer()
    with pytest.raises(Unavailable, match="without an end"):
        await steps(api(endless))


async def test_a_compressed_answer_is_not_unpacked() -> None:
    import gzip

    bomb = gzip.compress(b" " * (MAX_BODY * 100))
    async with api(bomb, **{"Content-Encoding": "gzip"}) as door:
        with pytest.raises(Unavailable, match="not a Shale provider"):
            await door.lease(LEASE)


async def test_a_redirection_is_not_followed() -> None:
    async with api(b"", 302, Location="http://127.0.0.1:22/") as door:
        with pytest.raises(Unavailable, match="not a Shale provider"):
            await door.offer()


@pytest.mark.parametrize(
    ("code", "kind"), [("refused", Refused), ("closed", Closed), ("unavailable", Unavailable), ("odd", Unavailable)]
)
async def test_the_providers_error_comes_through_by_its_code(code: str, kind: type[ShaleError]) -> None:
    body = b'{"error": {"code": "%s", "message": "no", "hint": "ask less"}}' % code.encode()
    async with api(body, 409) as door:
        with pytest.raises(kind, match="the provider says: no: ask less") as caught:
            await door.lease(LEASE)
    assert type(caught.value) is kind


async def test_an_errors_text_cannot_play_with_the_terminal() -> None:
    body = b'{"error": {"code": "refused", "message": "a\\u001b[2Jb\\nc", "hint": "%s"}}' % (b"x" * 9000)
    async with api(body, 409) as door:
        with pytest.raises(Refused) as caught:
            await door.lease(LEASE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


async def test_a_start_is_followed_to_its_shell() -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b'{"step": "container", "state": "done", "detail": "u\\u001bp", "sec'
        yield b'onds": 1}\n\n{"ready": {"host": "::1", "port": 22, "user": "root"}}\n{"never": "read"}\n'

    assert await steps(api(lines)) == [Step("container", "done", "u p", 1.0), Shell("::1", 22, "root")]


async def test_a_start_that_breaks_off_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="broke off"):
        await steps(api(b'{"step": "container", "state": "started"}\n'))


async def test_a_refused_confirmation_says_why() -> None:
    with pytest.raises(Closed, match="expired"):
        await steps(api(b'{"error": {"code": "closed", "message": "the acceptance has expired", "hint": ""}}', 410))


async def test_a_lease_is_read_as_the_provider_has_it() -> None:
    end = End(CONFIRMATION.order, AttoFil(12), 3, EndReason.UNPAID, 77)
    body = {"state": "ended", "paid": "12", "seconds": 3, "end": end_to_json(end) | {"signature": "0xab"}}
    async with api(json.dumps(body).encode()) as door:
        remote = await door.lease(LEASE)
    assert (remote.paid, remote.seconds, remote.end) == (AttoFil(12), 3, (end, "0xab"))
    async with api(b'{"state": "frozen", "paid": "12", "seconds": 3, "end": null}') as door:
        assert (await door.lease(LEASE)).end is None


@pytest.mark.parametrize(
    "field", ['"paid": -1', '"paid": "1e9"', '"seconds": 1.5', '"end": 7', '"end": {"order": 1}', '"end": []']
)
async def test_a_lease_with_wild_fields_is_refused(field: str) -> None:
    good: dict[str, Any] = {"paid": '"0"', "seconds": "0"}
    name, _, value = field.partition(": ")
    good[name.strip('"')] = value
    body = "{" + ", ".join(f'"{key}": {item}' for key, item in good.items()) + "}"
    async with api(body.encode()) as door:
        with pytest.raises((Unavailable, InputRefused)):
            await door.lease(LEASE)
