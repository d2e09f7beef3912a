"""Offers: what a wallet's transactions may cost, what they offer for their gas, and their signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shale.chain import fees as pricing
from shale.chain.chain import TooDear
from shale.chain.intents import Intent
from shale.chain.node import Node
from shale.chain.transactions import Draft, Fees, Signed, signed
from shale.errors import ConfigError, Unavailable
from shale.market.accounts import Signer
from shale.units import Address, AttoFil, checked_address, format_fil


class Offers:
    """One wallet's, at what its node says of the market, up to `max_fee` for one transaction's gas."""

    def __init__(self, node: Node, account: Signer, max_fee: AttoFil) -> None:
        self._node = node
        self._account = account
        self._max_fee = max_fee

    @property
    def address(self) -> Address:
        return checked_address(self._account.address)

    def sign(self, draft: Draft, nonce: int, fees: Fees) -> Signed:
        return signed(self._account, self._node.chain_id, nonce, draft, fees)

    def call(self, draft: Draft) -> dict[str, Any]:
        """The transaction as a node is asked what it would do."""
        call = {"from": self.address, "data": "0x" + draft.data.hex(), "value": hex(draft.value)}
        return call if draft.to is None else call | {"to": draft.to}

    async def priced(self, draft: Draft) -> tuple[Draft, Fees, int]:
        """The draft with its gas, an offer, and the newest block.

        Raises Refused with the contract's reason where the node foresees it, TooDear, ConfigError without the money.
        """
        call = self.call(draft)
        try:
            estimate = await self._node.quantity("eth_estimateGas", call)
        except Unavailable:
            # Filecoin's node tells only of some failures what a contract said: its answer to a call tells it.
            await self._node.ask("eth_call", call, "latest")
            raise
        head = await self._node.latest()
        priced = replace(draft, gas=pricing.gas_limit(estimate, head.gas_limit))
        fees = await self._market(head.base_fee)
        if not pricing.affordable(fees, priced.gas, self._max_fee):
            raise TooDear(
                f"the transaction's gas may cost {priced.gas * fees.most / 10**18:.3f} FIL, over max_gas_fee = "
                f"{self._max_fee}",
                "wait, or raise it (chain.max_gas_fee in a provider's settings, else shale network add --max-gas-fee)",
            )
        await self.check_funds(draft.value + priced.gas * fees.most)
        return priced, fees, head.number

    async def raised(self, intent: Intent) -> tuple[Signed, Fees] | None:
        """The intent with a better offer; None where that would be too dear."""
        fees = pricing.raised(intent.newest.fees, await self._market((await self._node.latest()).base_fee))
        if not pricing.affordable(fees, intent.draft.gas, self._max_fee):
            return None
        return self.sign(intent.draft, intent.nonce, fees), fees

    async def check_funds(self, needed: int) -> None:
        """Raise ConfigError unless the wallet has so much, and something at all."""
        have = await self._node.balance(self.address)
        if have.value < needed or not have:
            more = "its gas" if needed == 0 else f"{format_fil(AttoFil(needed))} and gas"
            raise ConfigError(f"the wallet {self.address} has {format_fil(have)}, needs {more}", "fund it")

    async def _market(self, base_fee: int) -> Fees:
        return pricing.market(base_fee, await self._node.quantity("eth_maxPriorityFeePerGas"))
