"""Records: our values as the contracts take them, and what the contracts answer as our values, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shale.chain.chain import LeaseRecord, ProviderRecord, Shard
from shale.errors import InputRefused
from shale.market.lease import EndReason
from shale.market.order import text_of
from shale.payments.batch import Operation
from shale.payments.words import flags_of, hex_word
from shale.units import AttoFil, checked_address, checked_lease_id

NOBODY = "0x" + "0" * 40
ENDED = 4
"""The Market's state of a lease that a party has ended (docs/protocol.md, section 5)."""


def ops(operations: Sequence[Operation]) -> list[dict[str, int]]:
    """The ledger's `Op` structs of a batch."""
    return [
        {
            "leaseId": int(operation.leaf.lease, 16),
            "index": operation.leaf.index,
            "flags": flags_of(operation),
            "numSeconds": operation.seconds,
            "deposit": operation.leaf.deposit.value,
            "amount": operation.amount.value,
            "prevAmount": operation.leaf.amount.value,
            "payKeyX": int(operation.leaf.key.x, 16) if operation.insert else 0,
            "payKeyY": int(operation.leaf.key.y, 16) if operation.insert else 0,
        }
        for operation in operations
    ]


def provider_record(raw: Any) -> ProviderRecord | None:
    """A registry record; None if there is none, or if its texts are not fit to be shown."""
    if raw.operator == NOBODY:
        return None
    try:
        endpoint = text_of(raw.endpoint, 256)
    except InputRefused:
        return None
    return ProviderRecord(
        operator=checked_address(raw.operator),
        miner=int(raw.minerId),
        endpoint=endpoint,
        host_key="0x" + bytes(raw.gatewayHostKeyHash).hex(),
        offer="0x" + bytes(raw.offerDigest).hex(),
        payout=checked_address(raw.payout),
        active=bool(raw.active),
    )


def lease_record(market: Any, ledger: Any) -> LeaseRecord | None:
    """What the Market and the Ledger know of one lease; None if no collateral was ever locked for it."""
    if ledger.client == NOBODY:
        return None
    return LeaseRecord(
        client=checked_address(ledger.client),
        provider=checked_address(ledger.provider),
        collateral=AttoFil(ledger.deposit),
        queued=int(ledger.queueIndex),
        ended_at=int(market.endedAt) if market.state == ENDED else 0,
        end_reason=_reason(market.reason),
        closed=bool(ledger.closed),
        paid=AttoFil(ledger.paid),
        seconds=int(ledger.numSeconds),
        reviewed=bool(market.reviewed),
    )


def shard_of(raw: Sequence[int]) -> Shard:
    root, head, tail, owed, demanded = raw
    lease = checked_lease_id(f"0x{demanded:062x}") if demanded else None
    return Shard(hex_word(root), int(head), int(tail), AttoFil(owed), lease)


def _reason(raw: int) -> EndReason:
    try:
        return EndReason(raw)
    except ValueError:
        return EndReason.NONE
