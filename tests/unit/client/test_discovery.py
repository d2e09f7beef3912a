"""Discovery: who can be used, and one line for each who can't; no provider can spoil the list for others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from eth_account import Account

from shale.client.api import ProviderApi
from shale.client.discovery import Found, Unusable, discover, worth_asking
from shale.client.keys import new_ssh_key
from shale.errors import InputRefused
from shale.units import Address, checked_address


async def look(bench: Any, **options: Any) -> tuple[list[Found], list[Unusable]]:
    return await discover(bench.chain, bench.signing, bench.clock.now(), door=bench.door.open, **options)


def register(bench: Any, **changes: Any) -> None:
    record = replace(bench.door.record(), **changes)
    bench.world.state.registry.register(
        record.operator, 0, record.endpoint, record.host_key, "0x" + "0" * 64, record.payout
    )


async def why(bench: Any) -> str:
    found, unusable = await look(bench)
    assert found == []
    return unusable[0].why


async def test_a_registered_provider_with_a_signed_offer_is_found(bench: Any) -> None:
    register(bench)
    found, unusable = await look(bench)
    assert [item.signed.offer for item in found] == [bench.door.offer]
    assert unusable == []


async def test_an_offer_with_a_forged_signature_is_left_out(bench: Any) -> None:
    register(bench)
    bench.door.twist = lambda raw: raw | {"contents": raw["contents"].replace("Fjord", "Fjard")}
    assert "is signed by" in await why(bench)


async def test_another_operators_offer_is_left_out(bench: Any) -> None:
    register(bench, operator=checked_address(Account.create().address))
    assert "another operator" in await why(bench)


async def test_a_gateway_key_that_the_registry_does_not_know_is_left_out(bench: Any) -> None:
    register(bench)
    bench.door.offer = replace(bench.door.offer, host_key=new_ssh_key().public)
    assert "another host key" in await why(bench)


async def test_an_expired_offer_is_left_out(bench: Any) -> None:
    register(bench)
    signed = bench.door.signed()
    bench.door.signed = lambda: signed
    await bench.clock.advance(3601)
    assert "expired" in await why(bench)


async def test_a_silent_provider_does_not_hide_the_others(bench: Any) -> None:
    register(bench)
    bench.world.state.registry.register(
        checked_address(Account.create().address),
        0,
        "http://silent.example",
        "0x" + "0" * 64,
        "0x" + "0" * 64,
        bench.me,
    )

    async def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("too slow")

    def door(endpoint: str) -> ProviderApi:
        return ProviderApi(endpoint, httpx.MockTransport(answer)) if "silent" in endpoint else bench.door.open(endpoint)

    found, unusable = await discover(bench.chain, bench.signing, bench.clock.now(), door=door)
    assert len(found) == 1
    assert "does not answer in time" in unusable[0].why


@pytest.mark.parametrize("endpoint", ["ftp://x", "http://", "http://u:p@h/", "http://h/?a", "http://h:x", "http://h i"])
async def test_an_endpoint_that_is_no_plain_url_is_left_out(bench: Any, endpoint: str) -> None:
    register(bench, endpoint=endpoint)
    assert "not a URL" in await why(bench)
    assert bench.door.calls == []


async def test_one_provider_alone_can_be_asked(bench: Any) -> None:
    register(bench)
    found, _ = await look(bench, only=bench.door.operator)
    assert len(found) == 1
    with pytest.raises(InputRefused, match="not an active provider"):
        await look(bench, only=Address(bench.me))


def test_who_fills_the_registry_hides_neither_the_old_nor_the_new_nor_miners(bench: Any) -> None:
    some = bench.door.record()
    flood = [replace(some, endpoint=f"http://{n}.example") for n in range(50)]
    old, new = replace(some, endpoint="http://old.example"), replace(some, endpoint="http://new.example")
    miner = replace(some, endpoint="http://miner.example", miner=1234)
    asked = worth_asking([old, *flood[:25], miner, *flood[25:], new], most=3)
    assert asked == [miner, old, new]
    everybody = [old, *flood, miner, new]
    assert sorted(worth_asking(everybody), key=repr) == sorted(everybody, key=repr)
    assert worth_asking([miner] * 4, most=3) == [miner] * 3
