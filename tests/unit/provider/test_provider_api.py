"""The provider's public door: what it says of a lease, and to whom it says no."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from tests.desks import FIL, Counter
from tests.settlements import opening_of

from shale.chain.memory import MemoryChain
from shale.client.api import ProviderApi
from shale.errors import Closed, Unavailable
from shale.market.lease import EndReason
from shale.provider.api import PublicApi
from shale.provider.lifecycle import Lifecycle
from shale.provider.offers import Offers
from shale.provider.search import Search
from shale.provider.topups import TopUps
from shale.units import LeaseId, checked_address

ENDPOINT = "http://fjord.example:8420"


@pytest_asyncio.fixture
async def api(counter: Counter) -> AsyncIterator[ProviderApi]:
    """The door of the desk, as a client opens it."""
    nobody: Any = None
    search = Search(counter.desk.store, counter.desk.shelf)
    topups = TopUps(counter.desk.store, counter.desk.chain, 3600)
    lifecycle, offers = cast("Lifecycle", nobody), cast("Offers", nobody)
    app = PublicApi(counter.desk, lifecycle, offers, search, topups, nobody, CollectorRegistry()).app()
    async with ProviderApi(ENDPOINT, httpx.ASGITransport(app)) as api:
        yield api


async def test_an_end_is_told_with_the_providers_signature(counter: Counter, api: ProviderApi) -> None:
    held = await counter.lease(counter.order())
    assert (await api.lease(held.id)).end is None
    await counter.desk.store.end(held.id, EndReason.START_FAILED, counter.clock.now())
    answer = (await api.lease(held.id)).end
    assert answer is not None
    end, signature = answer
    counter.desk.signing.check(end, signature, checked_address(counter.operator.address))
    assert (end.order, end.reason, end.amount.value) == (held.lease.order, EndReason.START_FAILED, 0)


async def test_when_too_many_search_it_says_when_to_come_again(counter: Counter) -> None:
    nobody: Any = None

    class Full:
        async def find(self, words: str, address: str) -> None:
            assert address == "192.0.2.9"
            raise Unavailable("too many requests are under way", "try again in some seconds")

    full: Any = Full()
    app = PublicApi(counter.desk, nobody, nobody, full, nobody, nobody, CollectorRegistry()).app()
    transport = httpx.ASGITransport(app, client=("192.0.2.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url=ENDPOINT) as client:
        answer = await client.get("/v1/datasets")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["error"]["code"] == "unavailable"


async def test_of_a_lease_that_it_does_not_know_it_says_so(api: ProviderApi) -> None:
    with pytest.raises(Closed, match="no such lease"):
        await api.lease(LeaseId("0x" + "11" * 31))


async def test_a_top_up_is_looked_for_on_chain_when_a_client_says_so(counter: Counter, api: ProviderApi) -> None:
    counter.world.balances[checked_address(counter.client.address)] = FIL * 2
    held = await counter.lease(counter.order())
    await counter.desk.chain.open_leases([opening_of(held)])
    await counter.desk.store.running(held.id, counter.clock.now())
    chain = MemoryChain(counter.world, checked_address(counter.client.address))
    await chain.top_up(held.order, 60)
    assert await api.topped_up(held.id) == held.max_seconds + 60
    await chain.top_up(held.order, 60)
    assert await api.topped_up(held.id) == held.max_seconds + 60, "it asks the chain once in two seconds at most"
    await counter.clock.advance(2)
    assert await api.topped_up(held.id) == held.max_seconds + 120


async def test_a_hint_without_a_top_up_changes_nothing(counter: Counter, api: ProviderApi) -> None:
    held = await counter.lease(counter.order())
    await counter.desk.store.running(held.id, counter.clock.now())
    assert await api.topped_up(held.id) == held.max_seconds
    assert (await counter.desk.store.lease(held.id)).extra_seconds == 0
