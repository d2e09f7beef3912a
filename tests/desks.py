"""A desk in memory, and a client that stands before it: the ground of the provider's unit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from shale.chain.chain import Deployment
from shale.chain.memory import MemoryChain, MemoryWorld
from shale.client.keys import new_ssh_key
from shale.clock import ManualClock
from shale.containers.memory import MemoryEngine
from shale.errors import ShaleError
from shale.market.offer import Dataset, Entry, Piece
from shale.market.order import Acceptance, Confirmation, Order, order_to_json
from shale.market.resources import Resources
from shale.proofs.memory import MemoryProver
from shale.provider.config import ProviderConfig
from shale.provider.desk import Accepted, Desk
from shale.provider.identity import SshKey
from shale.provider.lease_keys import LeaseKeys
from shale.provider.shelf import Item, Place, Shelf
from shale.provider.signatures import Signatures
from shale.provider.store import Held, Store, sqlite_url
from shale.units import AttoFil, Cid, Price, checked_address

FIL = AttoFil(10**18)
ROOT = Cid("bafybeigfpimyrrtb7aaei57vsuqcy7vyeygahidhopqey3pzdphn6o6jqy")
PIECE = Cid("baga6ea4seaqmbyfu7hfsg7tqgvwcytynjib6zow3wyffwhdsto74ildovhnucby")
TOTAL = Resources(4000, 8 << 30, 1 << 40)
CONFIG = ProviderConfig(name="Fjord", max_hours=24, max_leases=3)
ONE = Resources(1000, 1 << 30)
FIL_PRICE = Price(AttoFil(10**13))


@dataclass
class Counter:
    """A desk, and a client that stands before it."""

    desk: Desk
    world: MemoryWorld
    client: LocalAccount
    operator: LocalAccount
    clock: ManualClock
    good: Order
    nonces: list[int] = field(default_factory=list)

    def order(self, **changes: Any) -> Order:
        self.nonces.append(len(self.nonces) + 1)
        return replace(self.good, nonce=self.nonces[-1], **changes)

    async def hand_in(self, order: Order, signer: LocalAccount | None = None, mount: str = "/data") -> Accepted:
        signature = self.desk.signing.sign(order, signer or self.client)
        return await self.desk.accept({"order": order_to_json(order), "mount": mount, "signature": signature})

    def confirmation(self, order: Order, accepted: Acceptance, **changes: Any) -> Confirmation:
        struct = self.desk.signing.struct_hash(accepted)
        return replace(Confirmation(accepted.order, struct, order.collateral, order.deadline), **changes)

    async def confirm(self, confirmation: Confirmation, signer: LocalAccount | None = None) -> tuple[Held, SshKey]:
        raw = {
            "acceptance": confirmation.acceptance,
            "collateral": str(confirmation.collateral.value),
            "deadline": confirmation.deadline,
        }
        signature = self.desk.signing.sign(confirmation, signer or self.client)
        return await self.desk.confirm({"order_hash": confirmation.order, "confirmation": raw, "signature": signature})

    async def lease(self, order: Order) -> Held:
        """From the order to the confirmation, whose money is in the ledger."""
        accepted = await self.hand_in(order)
        held, _ = await self.confirm(self.confirmation(order, accepted.acceptance))
        return held

    async def refuses(self, order: Order, *words: str, **how: Any) -> ShaleError:
        """The error; nothing may be left: no row, no held stock, no moved money."""
        wallets, balances = dict(self.world.wallets), dict(self.world.balances)
        before, free = await self.desk.store.leases(), await self.desk.free()
        with pytest.raises(ShaleError) as caught:
            await self.hand_in(order, **how)
        error = caught.value
        assert all(word in str(error) for word in words), str(error)
        assert "\n" not in str(error)
        assert error.hint
        assert await self.desk.store.leases() == before
        assert await self.desk.free() == free
        assert (dict(self.world.wallets), dict(self.world.balances)) == (wallets, balances)
        return error


@asynccontextmanager
async def open_counter(tmp_path: Path) -> AsyncIterator[Counter]:
    """A desk whose provider has one dataset, and a client with 10 FIL in the wallet and 1 in the ledger."""
    clock, prover = ManualClock(), MemoryProver()
    places = [checked_address("0x" + f"{n:040x}") for n in range(1, 5)]
    world = MemoryWorld(prover, clock, Deployment(31415926, *places[:3], (places[3],) * 4, block=0))
    client, operator = Account.create(), Account.create()
    world.wallets[checked_address(client.address)] = FIL * 10
    world.balances[checked_address(client.address)] = FIL
    store = await Store.open(sqlite_url(tmp_path / "provider.db"))
    shelf, piece = Shelf(store), tmp_path / "digits.car"
    piece.write_bytes(b"")
    listing = Dataset("digits", ROOT, PIECE, 9, 1, (Entry("a", 1, 9),), pieces=(Piece(PIECE, 128),))
    await shelf.add(Item(listing, (Place(str(piece)),)), 1)
    chain = MemoryChain(world, checked_address(operator.address))
    engine = MemoryEngine()
    signatures, keys = Signatures(chain, world.signing), LeaseKeys(tmp_path / "keys")
    desk = Desk(
        CONFIG, TOTAL, store, shelf, engine, chain, prover, clock, operator, world.signing, signatures, keys
    )  # fmt: skip
    good = Order(
        client=checked_address(client.address),
        provider=checked_address(operator.address),
        offer="0x" + "0" * 64,
        resources=ONE,
        image="shale/base:latest",
        dataset=ROOT,
        price=CONFIG.tariff.quote(ONE),
        max_seconds=3600,
        tick_seconds=CONFIG.tick_seconds,
        ssh_key=new_ssh_key().public,
        gateway_key=new_ssh_key().public,
        pay_key=(await prover.keygen()).public,
        nonce=1,
        deadline=clock.now() + 600,
    )
    yield Counter(desk, world, client, operator, clock, good)
    await store.close()
