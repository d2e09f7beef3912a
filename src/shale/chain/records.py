"""Records: our values as the contracts take them, and what the contracts answer as our values, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shale.chain.abi import Entry
from shale.chain.chain import LeaseRecord, OnLedger, Opening, ProviderRecord, ReviewRecord, Shard
from shale.chain.log_store import Log
from shale.errors import InputRefused
from shale.market.lease import EndReason
from shale.market.order import PayKey, text_of
from shale.market.review import Standing, shown
from shale.market.signing import words
from shale.payments.history import BatchSettled, LeaseClosed, LeaseExited, LeaseLocked, LeaseOperated, ShardEvent
from shale.payments.words import hex_word
from shale.units import AttoFil, LeaseId, checked_lease_id

NOBODY = "0x" + "0" * 40
ENDED = 4
"""The Market's state of a lease that a party has ended (docs/protocol.md, section 5)."""


def opening_of(opening: Opening) -> tuple[Any, ...]:
    """The Market's `Opening` struct, and the arguments of its `openLease`."""
    return (
        words(opening.order),
        opening.order_signature,
        words(opening.acceptance),
        opening.acceptance_signature,
        words(opening.confirmation),
        opening.confirmation_signature,
    )


def provider_record(raw: Any) -> ProviderRecord | None:
    """A registry record; None if there is none, or if its texts are not fit to be shown."""
    if raw.operator == NOBODY:
        return None
    try:
        endpoint = text_of(raw.endpoint, 256)
    except InputRefused:
        return None
    return ProviderRecord(
        operator=raw.operator,
        miner=raw.minerId,
        endpoint=endpoint,
        host_key="0x" + raw.gatewayHostKeyHash.hex(),
        offer="0x" + raw.offerDigest.hex(),
        payout=raw.payout,
        active=raw.active,
    )


def lease_record(market: Any, ledger: Any) -> LeaseRecord | None:
    """What the Market and the Ledger know of one lease; None if no deposit was ever locked for it."""
    if ledger.client == NOBODY:
        return None
    ended = market.state == ENDED
    state = OnLedger(ledger.state)
    return LeaseRecord(
        client=ledger.client,
        provider=ledger.provider,
        deposit=AttoFil(ledger.deposit),
        state=state,
        overdue_at=ledger.overdueAt,
        ended_at=market.endedAt if ended else 0,
        end_reason=_reason(market.reason if ended else ledger.reason),
        closed=state is OnLedger.CLOSED,
        paid=AttoFil(ledger.paid),
        seconds=ledger.numSeconds,
        reviewed=market.reviewed,
        closed_at=ledger.closedAt,
        opened_at=ledger.openedAt,
    )


def shard_of(raw: Any) -> Shard:
    return Shard(hex_word(raw.root), AttoFil(raw.owed), _lease(raw.demanded) if raw.demanded else None)


def review_record(log: Log, entry: Entry, at: int) -> ReviewRecord:
    """A log of the Market's `Reviewed`, in a block of this time. Raises ValueError for one that isn't such a log."""
    raw = entry.read_log(log.topics, log.data)
    if not 1 <= raw["stars"] <= 5:
        raise ValueError("a review of no stars that there are")
    try:
        lease, paid = _lease(raw["leaseId"]), AttoFil(raw["amount"])
    except InputRefused as error:
        raise ValueError(error.message) from None
    comment = shown(raw["comment"])
    return ReviewRecord(lease, raw["client"], raw["stars"], raw["weight"], paid, comment, log.tx, at)


def standing_of(raw: Any) -> Standing:
    """What the Market's `ratingOf` says."""
    return Standing(raw.count, raw.weight, raw.weightedStars, AttoFil(min(raw.amount, 2**96 - 1)), raw.amountStars)


def shard_event(log: Log, events: Mapping[str, Entry]) -> ShardEvent:
    """What a log of the Ledger tells of a shard. Raises ValueError for one that isn't such a log."""
    name = next((name for name, entry in events.items() if entry.topic == log.topics[0]), "")
    if name not in _READERS:
        raise ValueError("an event that was not asked for")
    try:
        return _READERS[name](log, events[name].read_log(log.topics, log.data))
    except InputRefused as error:
        raise ValueError(error.message) from None


def _locked(log: Log, raw: dict[str, Any]) -> LeaseLocked:
    key = PayKey(hex_word(raw["payKeyX"]), hex_word(raw["payKeyY"]))
    return LeaseLocked(log.block, _lease(raw["leaseId"]), raw["client"], AttoFil(raw["deposit"]), key)


def _operated(log: Log, raw: dict[str, Any]) -> LeaseOperated:
    lease, amount = _lease(raw["leaseId"]), AttoFil(raw["amount"])
    return LeaseOperated(log.block, lease, raw["index"], raw["flags"], amount, raw["numSeconds"])


def _settled(log: Log, raw: dict[str, Any]) -> BatchSettled:
    roots = hex_word(raw["oldRoot"]), hex_word(raw["newRoot"])
    return BatchSettled(log.block, log.tx, *roots, raw["window"], raw["size"], AttoFil(raw["earned"]))


def _exited(log: Log, raw: dict[str, Any]) -> LeaseExited:
    return LeaseExited(log.block, _lease(raw["leaseId"]), hex_word(raw["root"]), raw["index"])


def _closed(log: Log, raw: dict[str, Any]) -> LeaseClosed:
    return LeaseClosed(
        log.block,
        _lease(raw["leaseId"]),
        raw["client"],
        AttoFil(raw["paid"]),
        AttoFil(raw["refund"]),
        raw["numSeconds"],
        _reason(raw["reason"]),
    )


_READERS: dict[str, Callable[[Log, dict[str, Any]], ShardEvent]] = {
    "Locked": _locked,
    "Operation": _operated,
    "Settled": _settled,
    "Exited": _exited,
    "Closed": _closed,
}


def _lease(number: int) -> LeaseId:
    return checked_lease_id(f"0x{number:062x}")


def _reason(raw: int) -> EndReason:
    try:
        return EndReason(raw)
    except ValueError:
        return EndReason.NONE
