"""Delivery: gives an intent's bytes to a node, and looks where they have come to."""

from __future__ import annotations

import logging

from shale.chain.complaints import Sent, complaint, line, sending
from shale.chain.intents import Intent
from shale.chain.node import Landed, Node
from shale.chain.rpc import NodeError
from shale.chain.transactions import chain_of
from shale.errors import Refused, ShaleError
from shale.units import Address

log = logging.getLogger("shale.chain")


class NotTaken(Exception):
    """No node has the transaction, and none will; `told` says why."""

    def __init__(self, told: ShaleError) -> None:
        super().__init__(str(told))
        self.told = told


class Delivery:
    """One wallet's, to one node."""

    def __init__(self, node: Node, address: Address) -> None:
        self._node = node
        self._address = address

    async def push(self, intent: Intent) -> Sent:
        """Send an intent's newest form, again or for the first time: for the same bytes that is the same.

        Only words that are known to say no make it NotTaken. After any other error the node may have it: UNKNOWN, or
        Unavailable where there was no answer.
        """
        newest = intent.newest
        try:
            chain = chain_of(newest.raw)
        except ValueError:
            raise NotTaken(Refused(f"the bytes of {intent.name} are not kept", "look it up at the network")) from None
        if chain != self._node.chain_id:
            raise NotTaken(Refused(f"{intent.name} was signed for another chain", "use that chain's network"))
        try:
            await self._node.rpc.call_once("eth_sendRawTransaction", "0x" + newest.raw.hex())
        except NodeError as error:
            outcome = sending(error)
            if outcome in (Sent.NO_FUNDS, Sent.FEE_TOO_LOW, Sent.REFUSED):
                # What a second node behind a gateway refuses, the first may have taken.
                if await self._has(newest.tx):
                    return Sent.TAKEN
                raise NotTaken(complaint(error, self._node.rpc.place, self._address)) from None
            if outcome is Sent.UNKNOWN:
                said = line(error.message)
                log.warning("the node at %s says of %s: %s", self._node.rpc.place, intent.name, said)
            return outcome
        return Sent.TAKEN

    async def landed(self, intent: Intent) -> Landed | None:
        """The newest of an intent's attempts that is in a block."""
        found: list[Landed] = []
        for attempt in reversed(intent.attempts):
            landed = await self._node.receipt(attempt.tx)
            if landed is not None and landed.tx == attempt.tx:
                found.append(landed)
                if intent.attempts[0].nonce == intent.attempts[-1].nonce:
                    break  # under one nonce there is only one
        if len(found) > 1:
            log.error("%s was made twice, as the node had hidden the first: %s", intent.name, found[-1].tx)
        return found[0] if found else None

    async def known(self, intent: Intent) -> bool:
        """Whether the node has one of an intent's attempts, in a block or not."""
        for attempt in reversed(intent.attempts):
            if await self._has(attempt.tx):
                return True
        return False

    async def _has(self, tx: str) -> bool:
        return await self._node.ask("eth_getTransactionByHash", tx) is not None
