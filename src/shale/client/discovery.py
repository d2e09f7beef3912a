"""Discovery: who is in the registry, what each offers now, and what is wrong with those that can't be used."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shale.chain.chain import Chain, ProviderRecord
from shale.client.api import ProviderApi
from shale.errors import InputRefused, ShaleError
from shale.market.offer import SignedOffer
from shale.market.review import Standing
from shale.market.signing import SigningDomain, text_hash
from shale.units import Address

MAX_AT_ONCE = 32
MAX_PROVIDERS = 2000
"""Anyone can fill the registry; more than this is not asked (see `worth_asking`)."""

Door = Callable[[str], ProviderApi]
"""How a provider's endpoint is opened."""


@dataclass(frozen=True, slots=True)
class Found:
    """A provider that can be used: its offer is signed by its operator and fresh."""

    record: ProviderRecord
    signed: SignedOffer
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A provider that can't be used now, and why, in one line."""

    record: ProviderRecord
    why: str


async def discover(
    chain: Chain, signing: SigningDomain, now: int, *, only: Address | None = None, door: Door = ProviderApi
) -> tuple[list[Found], list[Unusable]]:
    """Ask all active providers (or one) at once for their offers. One that fails is listed, never fatal.

    Raises InputRefused when `only` is not in the registry.
    """
    if only is None:
        records = worth_asking(await chain.providers())
    else:
        record = await chain.provider(only)
        if record is None or not record.active:
            raise InputRefused(f"{only} is not an active provider", "see shale ls")
        records = [record]
    gate = asyncio.Semaphore(MAX_AT_ONCE)

    async def ask(record: ProviderRecord) -> Found | Unusable:
        async with gate:
            try:
                signed = await fetch_offer(record, signing, now, door)
            except ShaleError as error:
                return Unusable(record, error.message)
            return Found(record, signed, await _standing(chain, record.operator))

    answers = await asyncio.gather(*(ask(record) for record in records))
    found = [answer for answer in answers if isinstance(answer, Found)]
    return found, [answer for answer in answers if isinstance(answer, Unusable)]


def worth_asking(records: Sequence[ProviderRecord], most: int = MAX_PROVIDERS) -> list[ProviderRecord]:
    """Those to ask, of records in the order of their registration: who acts for a miner first, which costs more to
    pretend; of the others the oldest and the newest in turns, so that who fills the registry hides neither.
    """
    bound = [record for record in records if record.miner]
    others = deque(record for record in records if not record.miner)
    while others and len(bound) < most:
        bound.append(others.popleft())
        if others:
            bound.append(others.pop())
    return bound[:most]


async def fetch_offer(
    record: ProviderRecord, signing: SigningDomain, now: int, door: Door = ProviderApi
) -> SignedOffer:
    """The provider's offer, checked against its signature and what the registry says of it."""
    async with door(record.endpoint) as api:
        signed = await api.offer()
    if signed.offer.provider != record.operator:
        raise InputRefused(f"the offer is of {signed.offer.provider}, the registry names another operator")
    if "0x" + text_hash(signed.offer.host_key).hex() != record.host_key:
        raise InputRefused("the offer's gateway has another host key than the registry says")
    signing.check_offer(signed, now)
    return signed


async def _standing(chain: Chain, provider: Address) -> Standing | None:
    try:
        return await chain.standing(provider)
    except ShaleError:
        return None
