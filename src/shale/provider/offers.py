"""Offers: what this provider publishes at the moment, signed anew when it changes or grows old."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from shale.clock import Clock
from shale.market.accounts import Account
from shale.market.offer import MAX_ENTRIES, MAX_OFFER_BYTES, Offer, SignedOffer, canonical, offer_to_json
from shale.market.resources import Resources
from shale.market.signing import SigningDomain
from shale.provider.config import ProviderConfig
from shale.provider.inventory import Machine
from shale.provider.shelf import Shelf
from shale.units import Cid, checked_address

log = logging.getLogger("shale.provider")

OFFER_SECONDS = 3600


class Offers:
    """Makes the current offer."""

    def __init__(
        self,
        config: ProviderConfig,
        machine: Machine,
        shelf: Shelf,
        clock: Clock,
        account: Account,
        signing: SigningDomain,
        gateway_user: str,
        host_key: str,
        miner: str,
    ) -> None:
        self._config = config
        self._machine = machine
        self._shelf = shelf
        self._clock = clock
        self._account = account
        self._signing = signing
        self._gateway_user = gateway_user
        self._host_key = host_key
        self._miner = miner
        self._current: SignedOffer | None = None
        self._left_out = 0

    async def current(self, free: Resources) -> SignedOffer:
        """The signed offer with this much free."""
        contents, left_out = fitted(await self._whole(free))
        if left_out != self._left_out:
            # Once, and not at each request for the offer.
            log.warning("the offer is too large: %d of its datasets are left out", left_out)
            self._left_out = left_out
        now = self._clock.now()
        if self._current is None or self._current.contents != contents or now > self._current.expires_at - 1800:
            self._current = self._signing.sign_offer(contents, now, now + OFFER_SECONDS, self._account)
        return self._current

    async def left_out(self, free: Resources) -> frozenset[Cid]:
        """The datasets that would be in this offer if it had room for them."""
        whole = await self._whole(free)
        kept = len(whole.datasets) - fitted(whole)[1]
        return frozenset(dataset.root for dataset in whole.datasets[kept:])

    async def _whole(self, free: Resources) -> Offer:
        return Offer(
            provider=checked_address(self._account.address),
            miner=self._miner,
            name=self._config.name,
            endpoint=self._config.endpoint,
            gateway_host=self._config.public_host,
            gateway_port=self._config.gateway_port,
            gateway_user=self._gateway_user,
            host_key=self._host_key,
            total=self._machine.resources,
            free=free,
            cpu_model=self._machine.cpu_model,
            gpus=self._machine.gpus,
            tariff=self._config.tariff,
            tick_seconds=self._config.tick_seconds,
            max_seconds=self._config.max_hours * 3600,
            images=self._config.images,
            datasets=tuple(item.listing for item in await self._shelf.readable()),
        )


def fitted(offer: Offer) -> tuple[bytes, int]:
    """The offer's contents, and how many of its datasets, the last ones, they leave out.

    Where it lists more than an offer may hold, entries go first, then the last datasets.
    """
    entries, all_of_them = MAX_ENTRIES, len(offer.datasets)
    while len(contents := canonical(offer_to_json(offer))) > MAX_OFFER_BYTES and offer.datasets:
        if entries:
            entries //= 2
            datasets = tuple(replace(dataset, entries=dataset.entries[:entries]) for dataset in offer.datasets)
        else:
            datasets = offer.datasets[: len(offer.datasets) * 3 // 4]
        offer = replace(offer, datasets=datasets)
    return contents, all_of_them - len(offer.datasets)


def signed_offer_to_json(signed: SignedOffer) -> dict[str, Any]:
    """As the API gives it: the contents are a text, so that its bytes are those that were signed."""
    return {
        "contents": signed.contents.decode(),
        "issued_at": signed.issued_at,
        "expires_at": signed.expires_at,
        "signature": signed.signature,
    }
