"""Bench: what the published suite of chains works on: three funded wallets, agreed leases, a prover."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from shale.chain.chain import Chain, Opening, Receipt
from shale.errors import Refused, ShaleError
from shale.market.accounts import Account
from shale.market.order import Acceptance, Confirmation, Order, PayKey
from shale.market.resources import Resources
from shale.market.signing import SigningDomain
from shale.payments.batch import Leaf, Operation, Proof
from shale.payments.voucher import Voucher
from shale.units import Address, AttoFil, Cid, LeaseId, OrderHash, Price, lease_id_of

PRICE = Price(AttoFil(1_000_003))
MAX_SECONDS = 600


class PayHand(Protocol):
    """A payment key with its secret half, as a prover gives it."""

    @property
    def public(self) -> PayKey: ...


class BatchProver(Protocol):
    """What the suite needs of a Prover."""

    async def keygen(self) -> Any: ...

    async def sign(self, secret: Any, domain: str, lease: LeaseId, amount: AttoFil, seconds: int) -> Voucher: ...

    async def domain(self, chain_id: int, ledger: Address) -> str: ...

    async def root(self, leaves: Sequence[Leaf]) -> str: ...

    async def prove(
        self, domain: str, size: int, window: int, leaves: Sequence[Leaf], operations: Sequence[Operation]
    ) -> Proof: ...


@dataclass(frozen=True, slots=True)
class Lease:
    """An order, its acceptance and its confirmation with their signatures, and the key that pays."""

    hash: OrderHash
    order: Order
    order_signature: str
    acceptance: Acceptance
    acceptance_signature: str
    confirmation: Confirmation
    confirmation_signature: str
    secret: PayHand

    @property
    def id(self) -> LeaseId:
        return lease_id_of(self.hash)

    @property
    def opening(self) -> Opening:
        return Opening(
            self.order,
            self.order_signature,
            self.acceptance,
            self.acceptance_signature,
            self.confirmation,
            self.confirmation_signature,
        )

    async def open(self, chain: Chain) -> Receipt:
        return await chain.open_lease(
            self.order,
            self.order_signature,
            self.acceptance,
            self.acceptance_signature,
            self.confirmation,
            self.confirmation_signature,
        )


@dataclass(slots=True)
class Bench:
    """One chain as four see it. The three wallets hold 10 FIL or more each and have done nothing yet.

    `pass_time` lets so many seconds pass on the chain. `wallet` makes a contract of the client's: it signs with the
    client's key (ERC-1271), and has put 1 FIL into the ledger for itself.
    """

    client: Chain
    provider: Chain
    stranger: Chain
    reader: Chain
    client_account: Account
    provider_account: Account
    stranger_account: Account
    prover: BatchProver
    now: Callable[[], Awaitable[int]]
    pass_time: Callable[[int], Awaitable[None]]
    wallet: Callable[[], Awaitable[Address]] | None = None
    _nonces: count[int] = field(default_factory=lambda: count(1000))

    unknown_lease = LeaseId("0x" + "5a" * 31)

    @property
    def client_address(self) -> Address:
        return Address(self.client_account.address)

    @property
    def provider_address(self) -> Address:
        return Address(self.provider_account.address)

    @property
    def signing(self) -> SigningDomain:
        return SigningDomain(self.client.deployment.chain_id, self.client.deployment.market)

    def fresh_address(self) -> Address:
        """An address that holds nothing."""
        return Address(Account.create().address)

    async def agree(
        self,
        nonce: int | None = None,
        image: str = "shale/base",
        lasting: int = 600,
        max_seconds: int = MAX_SECONDS,
        client: Address | None = None,
    ) -> Lease:
        """A lease of `PRICE` that client and provider have signed, good for `lasting` seconds more.

        `client` is a contract that the client's key signs for; without it the client is the key's own account.
        """
        secret = await self.prover.keygen()
        deadline = await self.now() + lasting
        order = Order(
            client=client or self.client_address,
            provider=self.provider_address,
            offer="0x" + "cd" * 32,
            resources=Resources(1000, 2**30, 0, 0),
            image=image,
            dataset=Cid(""),
            price=PRICE,
            max_seconds=max_seconds,
            tick_seconds=10,
            ssh_key="ssh-ed25519 AAAA",
            gateway_key="ssh-ed25519 BBBB",
            pay_key=secret.public,
            nonce=next(self._nonces) if nonce is None else nonce,
            deadline=deadline,
        )
        signing = self.signing
        digest = signing.order_hash(order)
        acceptance = Acceptance(digest, "ssh-ed25519 CCCC", deadline)
        confirmation = Confirmation(digest, signing.struct_hash(acceptance), order.collateral, deadline)
        return Lease(
            digest,
            order,
            signing.sign(order, self.client_account),
            acceptance,
            signing.sign(acceptance, self.provider_account),
            confirmation,
            signing.sign(confirmation, self.client_account),
            secret,
        )

    async def opened(self) -> Lease:
        """A lease whose collateral is deposited and locked."""
        lease = await self.agree()
        await self.client.deposit(lease.order.collateral)
        await lease.open(self.provider)
        return lease

    async def voucher(self, lease: Lease, seconds: int) -> Voucher:
        """The client's voucher for so many seconds in all."""
        amount = lease.order.price.over(seconds)
        return await self.prover.sign(lease.secret, await self._domain(), lease.id, amount, seconds)

    async def prove(
        self, leaves: Sequence[Leaf], operations: Sequence[Operation], size: int = 8, window: int = 0
    ) -> Proof:
        return await self.prover.prove(await self._domain(), size, window, leaves, operations)

    async def settle(
        self, leaves: Sequence[Leaf], operations: Sequence[Operation], size: int = 8, window: int = 0
    ) -> Receipt:
        """Prove a batch and post it as the provider."""
        proof = await self.prove(leaves, operations, size, window)
        return await self.provider.settle(self.provider_address, operations, proof)

    async def _domain(self) -> str:
        places = self.client.deployment
        return await self.prover.domain(places.chain_id, places.ledger)


async def is_refused(call: Awaitable[object], *words: str) -> None:
    await fails(Refused, call, *words)


async def fails(kind: type[ShaleError], call: Awaitable[object], *words: str) -> None:
    """The call must raise this kind of error; its message or hint must hold these words."""
    said: str | None = None
    try:
        await call
    except kind as error:
        said = str(error)
    assert said is not None, "it went through"
    assert not [word for word in words if word not in said], said
