"""A client's world in memory: a chain, a prover, and a provider's HTTP door that keeps the protocol (or breaks it)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from shale.chain.chain import Deployment, Opening, ProviderRecord
from shale.chain.memory import MemoryChain, MemoryWorld
from shale.client.api import ProviderApi, end_from_json, end_to_json
from shale.client.discovery import Found
from shale.client.keys import new_ssh_key
from shale.client.leasing import Leasing
from shale.client.plan import Wish, choose
from shale.client.rental import Rental
from shale.client.store import Store
from shale.clock import ManualClock
from shale.market.offer import Dataset, Entry, Offer, SignedOffer, Tariff, canonical, offer_to_json
from shale.market.order import Acceptance, Confirmation, Order, order_from_json
from shale.market.resources import Resources
from shale.market.signing import SigningDomain, text_hash
from shale.paths import Home
from shale.proofs.memory import MemoryProver
from shale.units import Address, AttoFil, Cid, OrderHash, checked_address

FIL = AttoFil(10**18)
ROOT = Cid("bafybeigfpimyrrtb7aaei57vsuqcy7vyeygahidhopqey3pzdphn6o6jqy")
PIECE = Cid("baga6ea4seaqmbyfu7hfsg7tqgvwcytynjib6zow3wyffwhdsto74ildovhnucby")
READY = {"ready": {"host": "172.19.0.2", "port": 22, "user": "root"}}
ENDPOINT = "http://fjord.example:8420"


@dataclass
class Door:
    """A provider behind httpx. Tests change what it says by the fields below."""

    account: LocalAccount
    signing: SigningDomain
    clock: ManualClock
    offer: Offer
    start: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"step": "container", "state": "started", "detail": "", "seconds": 0.0},
            {"step": "container", "state": "done", "detail": "up", "seconds": 0.4},
            READY,
        ]
    )
    twist: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
    keys: dict[Address, Address] = field(default_factory=dict)
    """Of the clients that are contracts."""
    on_accepted: Callable[[Order, Acceptance], Any] = lambda *_: None
    on_confirmed: Callable[[], Any] = lambda: None
    calls: list[str] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)
    remote: dict[str, Any] = field(default_factory=lambda: {"state": "running", "paid": "0", "seconds": 0})
    silent: bool = False
    refusal: dict[str, str] = field(default_factory=dict)
    holding: asyncio.Event | None = None
    order: Order | None = None

    @property
    def operator(self) -> Address:
        return checked_address(self.account.address)

    def signed(self) -> SignedOffer:
        now = self.clock.now()
        return self.signing.sign_offer(canonical(offer_to_json(self.offer)), now, now + 3600, self.account)

    def record(self) -> ProviderRecord:
        host_key = "0x" + text_hash(self.offer.host_key).hex()
        return ProviderRecord(self.operator, 0, ENDPOINT, host_key, "0x" + "0" * 64, self.operator, True)

    def found(self) -> Found:
        return Found(self.record(), self.signed(), None)

    def open(self, endpoint: str) -> ProviderApi:
        return ProviderApi(endpoint, httpx.MockTransport(self.answer))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path}")
        if self.silent:
            raise httpx.ConnectError("refused", request=request)
        if self.refusal:
            return reply(409, {"error": self.refusal})
        body = json.loads(request.content) if request.content else {}
        match request.method, request.url.path.split("/")[2:]:
            case "GET", ["offer"]:
                signed = self.signed()
                raw = {
                    "contents": signed.contents.decode(),
                    "issued_at": signed.issued_at,
                    "expires_at": signed.expires_at,
                    "signature": signed.signature,
                }
                return reply(200, self.twist(raw))
            case "POST", ["orders"]:
                return reply(200, self.twist(self.accept(body)))
            case "POST", ["leases"]:
                self.on_confirmed()
                return httpx.Response(200, content=self.stream())
            case "POST", ["leases", _, "end"]:
                end = end_from_json(body)
                self.ends.append(end)
                final = replace(end, reason=end.reason, at=self.clock.now())
                raw = end_to_json(final) | {"signature": self.signing.sign(final, self.account)}
                return reply(200, self.twist(raw))
            case "POST", ["leases", _, "topup"]:
                return reply(200, {"max_seconds": 1})
            case "GET", ["leases", _]:
                return reply(200, {"end_reason": "none"} | self.remote)
        return reply(404, {"error": {"code": "refused", "message": "no such thing", "hint": ""}})

    def accept(self, body: dict[str, Any]) -> dict[str, Any]:
        order = order_from_json(body["order"])
        if body["signature"] is not None:
            self.signing.check(order, body["signature"], self.keys.get(order.client, order.client))
        self.order = order
        acceptance = Acceptance(self.signing.order_hash(order), new_ssh_key().public, self.clock.now() + 120)
        self.on_accepted(order, acceptance)
        return {
            "acceptance": {"order": acceptance.order, "deadline": acceptance.deadline},
            "host_key": acceptance.host_key,
            "signature": self.signing.sign(acceptance, self.account),
        }

    async def stream(self) -> AsyncIterator[bytes]:
        for line in self.start:
            if "ready" in line and self.holding is not None:
                await self.holding.wait()
            yield json.dumps(line).encode() + b"\n"


@dataclass
class Bench:
    """The client's parts around one provider."""

    home: Home
    world: MemoryWorld
    chain: MemoryChain
    account: LocalAccount
    signing: SigningDomain
    clock: ManualClock
    store: Store
    door: Door
    adopted: list[str]

    @property
    def me(self) -> Address:
        return checked_address(self.account.address)

    def leasing(self) -> Leasing:
        async def adopt(home: Home, name: str) -> None:
            self.adopted.append(name)

        return Leasing(
            self.home, "memory", self.chain, MemoryProver(), self.account, self.signing, self.store, self.clock,
            adopt, self.door.open,
        )  # fmt: skip

    async def lease(self, name: str = "one", leasing: Leasing | None = None) -> Rental:
        """Lease an hour of one CPU with the dataset at /data."""
        plan = choose([self.door.found()], [], Wish(Resources(1000, 2**30), 3600, ROOT, "/data"))
        return await (leasing or self.leasing()).lease(plan, name, None, lambda *_: None)

    async def anchor(self, rental: Rental) -> None:
        """What the provider does after the start: the three signatures go to the chain."""
        confirmation = Confirmation(
            OrderHash(rental.order_hash),
            self.signing.struct_hash(rental.acceptance),
            rental.collateral,
            rental.order.deadline,
        )
        opening = Opening(rental.order, "", rental.acceptance, "", confirmation, "")
        await self.world.open_leases([opening], self.world.moment())


def reply(status: int, value: object) -> httpx.Response:
    """An answer that comes in as a stream, as from a socket."""

    async def body() -> AsyncIterator[bytes]:
        yield value if isinstance(value, bytes) else json.dumps(value).encode()

    return httpx.Response(status, content=body())


def new_offer(operator: Address, **changes: Any) -> Offer:
    offer = Offer(
        provider=operator,
        miner="",
        name="Fjord",
        endpoint=ENDPOINT,
        gateway_host="fjord.example",
        gateway_port=8422,
        gateway_user="shale-gateway",
        host_key=new_ssh_key().public,
        total=Resources(4000, 8 * 2**30, 2**40),
        free=Resources(2000, 4 * 2**30, 2**40),
        cpu_model="a CPU",
        gpus=(),
        tariff=Tariff(AttoFil(1_000_000), AttoFil(250_000), AttoFil(10**9)),
        tick_seconds=5,
        max_seconds=86400,
        images=("shale/base:latest", "other:1"),
        datasets=(Dataset("digits", ROOT, PIECE, 1000, 62, (Entry("train/", 60, 900), Entry("README", 1, 3))),),
    )
    return replace(offer, **changes)


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    clock, prover = ManualClock(), MemoryProver()
    places = [checked_address("0x" + f"{n:040x}") for n in range(1, 5)]
    world = MemoryWorld(prover, clock, Deployment(31415926, *places[:3], (places[3],) * 4, block=0))
    account, operator = Account.create(), Account.create()
    world.wallets[checked_address(account.address)] = FIL * 10
    home = Home(tmp_path / "home")
    store = Store(home)
    door = Door(operator, world.signing, clock, new_offer(checked_address(operator.address)))
    chain = MemoryChain(world, checked_address(account.address))
    yield Bench(home, world, chain, account, world.signing, clock, store, door, [])
    store.close()
