"""Complaints: what Lotus, Forest, anvil and their gateways say when they say no, in our terms."""

from __future__ import annotations

from enum import Enum, auto

from shale.chain.reverts import refusal
from shale.chain.rpc import NodeError
from shale.errors import ConfigError, ShaleError, Unavailable
from shale.units import Address


class Sent(Enum):
    """What became of a transaction that a node was given."""

    TAKEN = auto()
    """The node has it, now or before."""
    NONCE_USED = auto()
    """A transaction with its nonce is in a block: this one, or another."""
    NONCE_WAITS = auto()
    """Another transaction with its nonce waits, and this one doesn't pay enough to replace it."""
    TOO_MANY = auto()
    """The node takes no more of this wallet before some are in a block, or it lacks one before this."""
    NO_FUNDS = auto()
    FEE_TOO_LOW = auto()
    REFUSED = auto()
    """The transaction itself is not as it must be: no node of this chain will ever take it."""
    UNKNOWN = auto()
    """Words that we don't know, a gateway's perhaps: the node may have it or not."""


_SIGNS = (
    (Sent.NONCE_WAITS, ("underpriced", "toolowpremium", "increase gaspremium", "too low gaspremium")),
    (Sent.NONCE_USED, ("nonce too low", "sequence too low", "nonce is too low", "invalid nonce")),
    (
        Sent.TAKEN,
        ("already known", "already imported", "already in mpool", "already in mempool", "nonce already exists"),
    ),
    (Sent.TOO_MANY, ("too many pending", "nonce gap", "nonce too high")),
    (Sent.NO_FUNDS, ("insufficient funds", "not enough funds")),
    (Sent.FEE_TOO_LOW, ("less than block base fee", "fee cap too low", "gasfeecap", "fee cap is too low")),
    (
        Sent.REFUSED,
        (
            "message too big",
            "oversized data",
            "max initcode size",
            "intrinsic gas",
            "gas limit",
            "invalid sender",
            "invalid signature",
            "invalid chain id",
            "not supported",
            "rlp:",
            "reverted",
        ),
    ),
)
"""In the order in which they are looked for: Lotus says `already in mpool` of a fee that is too low, too."""


def sending(error: NodeError) -> Sent:
    """What a node's answer to eth_sendRawTransaction means."""
    text = error.message.lower()
    return next((kind for kind, signs in _SIGNS if any(sign in text for sign in signs)), Sent.UNKNOWN)


def is_revert(error: NodeError) -> bool:
    """Whether a contract said no, rather than the node."""
    text = error.message.lower()
    return bool(error.data) or ("0x" in text and ("revert" in text or "vm error" in text))


def says_no(error: NodeError) -> bool:
    """Whether a call came to an end in the contract that it was for: it reverted, or took all of its gas."""
    text = error.message.lower()
    return bool(error.data) or any(sign in text for sign in ("revert", "vm error", "out of gas", "outofgas"))


def is_null_round(error: NodeError) -> bool:
    """Whether the block asked for is an epoch of Filecoin without one."""
    return "null round" in error.message.lower()


def is_pruned(error: NodeError) -> bool:
    """Whether the node doesn't keep what is that long ago."""
    text = error.message.lower()
    return any(sign in text for sign in ("lookback", "pruned", "pruning", "history", "missing trie node"))


def complaint(error: NodeError, place: str, sender: Address | None) -> ShaleError:
    """The error in words that say what to do."""
    if is_revert(error):
        return refusal(error.data or error.message)
    if sending(error) is Sent.NO_FUNDS:
        return ConfigError(
            f"the wallet {sender} can't pay for the transaction and its gas", "fund it (shale wallet balance)"
        )
    if is_pruned(error):
        return Unavailable(
            f"the node at {place} doesn't keep what is that long ago ({line(error.message)})",
            "use an archive node (shale network add)",
        )
    return Unavailable(f"the node at {place} says no ({line(error.message)})", "try again, or use another node")


def line(text: str) -> str:
    """A node's text as one short line."""
    return "".join(char if char.isprintable() else " " for char in text[:200])
