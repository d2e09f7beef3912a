"""Desk: takes orders: checks them against offer, stock, price and money, and answers with a signed acceptance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from shale.chain.chain import Chain, OrderStage
from shale.clock import Clock
from shale.containers.engine import Engine
from shale.errors import Closed, InputRefused, Refused
from shale.market.accounts import Account
from shale.market.lease import LeaseState
from shale.market.order import Acceptance, Confirmation, Order, amount_of, hash_of, order_from_json, whole
from shale.market.resources import Resources
from shale.market.signing import SigningDomain
from shale.payments.batch import MAX_LEAVES
from shale.proofs.prover import Prover
from shale.provider.config import ProviderConfig
from shale.provider.identity import SshKey, new_ssh_key
from shale.provider.lease_keys import LeaseKeys
from shale.provider.ledger_books import LedgerBooks
from shale.provider.shelf import Shelf
from shale.provider.signatures import Signatures
from shale.provider.store import Held, Store
from shale.units import Address, AttoFil, LeaseId, checked_address, lease_id_of

HOLD_SECONDS = 120
"""How long an accepted order holds its stock while its confirmation is awaited."""
ACCEPTANCE_SECONDS = 900
"""How long the chain takes our acceptance: the confirmation's wait, the start, and then some slow blocks."""
LATE_SECONDS = 900
"""How long after its acceptance's deadline a published order that the chain has is still begun; later nobody waits."""
_MAX_DEADLINE = 3600
_MAX_PENDING = 64
_MAX_PENDING_OF_ONE = 8
"""Each holds stock for a while and costs its client nothing: one client must not hold it all."""
_MAX_PUBLISHED = 16
"""Of all pending ones: these hold their stock for longer, and must not crowd the signed ones out."""
_LEAST = Resources(cpu_millis=10, memory_bytes=16 << 20)
"""Less makes no container; and to container engines a limit of zero means none at all."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The desk's yes."""

    acceptance: Acceptance
    signature: str


@dataclass(slots=True)
class Desk:
    """Orders come in one at a time past the lock, so that stock is never sold twice."""

    config: ProviderConfig
    total: Resources
    store: Store
    shelf: Shelf
    engine: Engine
    chain: Chain
    prover: Prover
    clock: Clock
    account: Account
    signing: SigningDomain
    signatures: Signatures
    keys: LeaseKeys
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a published order was taken, which is to be accepted on chain."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _host_keys: dict[LeaseId, SshKey] = field(default_factory=dict)

    async def free(self) -> Resources:
        """What no lease and no pending acceptance holds."""
        free = self.total
        for held in await self._holding():
            free = free.minus(held.order.resources)
        return free

    async def _holding(self) -> list[Held]:
        """The leases that hold stock; acceptances that were never confirmed lose it when they are late."""
        states = [state for state in LeaseState if state.holds_stock]
        return [held for held in await self.store.leases(*states) if not self._is_late(held)]

    def _is_late(self, held: Held) -> bool:
        """An acceptance that can't be confirmed here any more: after its time, or after a restart.

        Its row stays until the chain can't take it either (settlement.py): a client may still anchor it by itself.
        """
        if held.lease.state is not LeaseState.ACCEPTED:
            return False
        if held.published:
            # As long as it may be begun, and a while more for the one whose start has just been let through.
            return held.acceptance.deadline + LATE_SECONDS + HOLD_SECONDS < self.clock.now()
        if held.created_at + HOLD_SECONDS < self.clock.now():
            self._host_keys.pop(held.id, None)
        return held.id not in self._host_keys

    async def accept(self, raw: dict[str, Any]) -> Accepted:
        """Check an order and hold its stock. Raises InputRefused or Refused with what is wrong.

        One without a signature must stand on chain as its client's own transaction. It may be handed in again, and has
        the same answer.
        """
        order = order_from_json(_dict(raw.get("order")))
        mount = _mount(raw.get("mount"), bool(order.dataset))
        published = raw.get("signature") is None
        if published and (known := await self._published(order)) is not None:
            return known
        self._check_terms(order)
        if published:
            await self._check_stage(order)
        else:
            await self.signatures.check(order, raw.get("signature"), order.client)
        if not await self.prover.check_key(order.pay_key):
            raise InputRefused("the payment key is not a good point of the curve", "make a new one")
        if order.dataset:
            await self.shelf.find(order.dataset)
        await self.engine.image_digest(order.image)
        await self._check_money(order)
        if not published and await self.chain.order_nonce_used(order.client, order.nonce):
            raise InputRefused("this order's nonce was used before", "sign a new order")
        async with self._lock:
            if published and (known := await self._published(order)) is not None:
                return known
            await self._check_room(order, published)
            host_key = new_ssh_key()
            acceptance = Acceptance(
                self.signing.order_hash(order),
                host_key.public,
                min(order.deadline, self.clock.now() + ACCEPTANCE_SECONDS),
            )
            signature, lease = self.signing.sign(acceptance, self.account), lease_id_of(acceptance.order)
            by_client = "" if published else str(raw["signature"])
            if published:
                self.keys.keep(lease, host_key)  # before the row: after a restart there must be both
            await self.store.add_accepted(order, by_client, mount, acceptance, signature, self.clock.now())
            if published:
                self.news.set()
            else:
                self._host_keys[lease] = host_key
        return Accepted(acceptance, signature)

    async def _check_room(self, order: Order, published: bool) -> None:
        """That there is stock for it, a place in the ledger, and a nonce of its own."""
        holding = await self._holding()
        waiting = [held for held in holding if held.lease.state is LeaseState.ACCEPTED]
        pending = [held.order.client for held in waiting]
        if len(pending) >= _MAX_PENDING or pending.count(order.client) >= _MAX_PENDING_OF_ONE:
            raise Refused("too many orders wait for their confirmation", "try again in two minutes")
        if published and sum(held.published for held in waiting) >= _MAX_PUBLISHED:
            raise Refused("too many orders by transactions wait for their confirmation", "try again, or sign yours")
        if len(holding) >= self.config.max_leases:
            raise Refused("the provider is full", "choose another provider")
        if await LedgerBooks(self.store).count_leaves() + len(holding) >= MAX_LEAVES:
            raise Refused("this provider's ledger has no place for another lease", "choose another provider")
        every = await self.store.leases(*LeaseState)
        if any((held.order.client, held.order.nonce) == (order.client, order.nonce) for held in every):
            raise InputRefused("this order's nonce was used before", "sign a new order")
        (await self.free()).minus(order.resources)

    async def _published(self, order: Order) -> Accepted | None:
        """The answer that this published order has had. Raises Closed when it can't be confirmed any more."""
        lease = lease_id_of(self.signing.order_hash(order))
        try:
            held = await self.store.lease(lease)
        except Closed:
            return None
        late = held.acceptance.deadline + HOLD_SECONDS < self.clock.now()
        if not held.published or held.lease.state is not LeaseState.ACCEPTED or late:
            raise Closed(f"the order is {held.lease.state.value} already", "make a new order")
        return Accepted(held.acceptance, held.acceptance_signature)

    async def _check_stage(self, order: Order) -> None:
        stage = await self.chain.order_stage(lease_id_of(self.signing.order_hash(order)))
        if stage is OrderStage.NONE:
            raise InputRefused(
                "the order is neither signed nor on the chain", "sign it, or wait for its transaction: shale order ls"
            )
        if stage is not OrderStage.CREATED:
            raise Closed(f"the order is {stage.name.lower()} on the chain already", "make a new order")

    def _check_terms(self, order: Order) -> None:
        now = self.clock.now()
        if order.provider != checked_address(self.account.address):
            raise InputRefused("the order is for another provider", f"this one is {self.account.address}")
        if not now <= order.deadline <= now + _MAX_DEADLINE:
            raise InputRefused("the order's deadline has passed or is over an hour away", "check your clock")
        if order.tick_seconds != self.config.tick_seconds:
            raise Refused(f"this provider's tick is {self.config.tick_seconds} s", "read its offer again")
        if order.max_seconds < order.tick_seconds or order.max_seconds % order.tick_seconds:
            raise InputRefused(
                "the time is not a whole number of ticks", f"ask for a multiple of {order.tick_seconds} s"
            )
        if order.max_seconds > self.config.max_hours * 3600:
            raise Refused(f"this provider leases for {self.config.max_hours} h at most", "ask for less time")
        shortage = order.resources.shortage(_LEAST)
        if shortage:
            raise InputRefused("a container needs at least 0.01 CPUs and 16 MiB of memory", "ask for more")
        asked = self.config.tariff.quote(order.resources)
        if order.price < asked:
            raise Refused(f"the price {order.price} is below this provider's {asked}", "read its offer again")

    async def _check_money(self, order: Order) -> None:
        have = await self.chain.ledger_balance(order.client) + await self.chain.wallet_balance(order.client)
        if have < order.collateral:
            raise Refused(
                f"the wallet and ledger balance of {order.client} come to {have}, the collateral is {order.collateral}",
                "fund the wallet, or ask for less time",
            )

    async def confirm(self, raw: dict[str, Any]) -> tuple[Held, SshKey]:
        """Take a confirmation: the lease starts. Raises InputRefused or Refused; the stock stays held meanwhile."""
        order_hash = hash_of(raw.get("order_hash"))
        lease = LeaseId(order_hash[:-2])
        held, _ = await self._awaited(lease)
        given = _dict(raw.get("confirmation"))
        confirmation = Confirmation(
            held.lease.order, hash_of(given.get("acceptance")), amount_of(given.get("collateral")),
            whole(given.get("deadline")),
        )  # fmt: skip
        if confirmation.acceptance != self.signing.struct_hash(held.acceptance):
            raise InputRefused("the confirmation is for another acceptance", "confirm the one you were given")
        if confirmation.collateral != held.order.collateral:
            raise InputRefused(f"the collateral must be {held.order.collateral}", "confirm price x time to the attoFIL")
        if confirmation.deadline < self.clock.now() + 30:
            raise InputRefused("the confirmation's deadline is too near", "leave it at least a minute")
        # Outside the lock: a contract that answers slowly must not hold up the other orders.
        await self.signatures.check(confirmation, raw.get("signature"), held.order.client)
        async with self._lock:
            held, host_key = await self._awaited(lease)
            balance = await self.chain.ledger_balance(held.order.client)
            spoken_for = await self._spoken_for(held.order.client)
            if balance.value < spoken_for + confirmation.collateral.value:
                raise Refused(
                    f"the ledger balance is {balance}, of which {AttoFil(spoken_for)} are spoken for; "
                    f"the collateral is {confirmation.collateral}",
                    "deposit the rest with shale wallet deposit",
                )
            confirmed = await self.store.confirm(lease, confirmation, str(raw["signature"]))
            del self._host_keys[lease]
        return confirmed, host_key

    async def _awaited(self, lease: LeaseId) -> tuple[Held, SshKey]:
        """An accepted order whose confirmation may come now, and its host key. Raises Closed."""
        held = await self.store.lease(lease)
        host_key = self._host_keys.get(lease)
        if held.lease.state is not LeaseState.ACCEPTED:
            raise Closed(f"the order is {held.lease.state.value} already", "sign a new order")
        if host_key is None or self._is_late(held):
            raise Closed("the acceptance has expired", "sign a new order")
        return held, host_key

    async def _spoken_for(self, client: Address) -> int:
        """attoFIL that this client's leases, confirmed but not on chain yet, will lock from the same balance."""
        amount = 0
        for held in await self._holding():
            waits = held.order.client == client and held.confirmation is not None and not held.anchor_tx
            if waits and await self.chain.lease(held.id) is None:
                amount += held.order.collateral.value
        return amount


def _dict(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise InputRefused("the request is incomplete", "update the client")
    return raw


def _mount(raw: object, wanted: bool) -> str:
    """An absolute path for the dataset in the container; nothing that hides the system's own folders."""
    if not wanted:
        return ""
    if not isinstance(raw, str) or not raw.startswith("/") or len(raw) > 200 or not raw.isprintable():
        raise InputRefused("the mount point must be an absolute path", "write CID:/data")
    parts = raw.strip("/").split("/")
    if raw.strip("/") == "" or any(part in ("", ".", "..") for part in parts) or ":" in raw or "," in raw:
        raise InputRefused(f"{raw!r} can't be a mount point", "write CID:/data")
    if parts[0] in ("proc", "sys", "dev", ".shale", "bin", "sbin", "lib", "lib64", "usr", "etc", "boot"):
        raise InputRefused(f"{raw!r} would hide the system's own files", "write CID:/data")
    return "/" + "/".join(parts)
