"""Reverts: a contract's custom error in words that say what to do (docs/protocol.md, section 5)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from shale.chain.abi import CONTRACTS, artifact
from shale.chain.codec import decode, kind_of
from shale.errors import Refused

_STATES = {
    "WrongState": ("unknown", "created", "accepted", "open", "ended", "cancelled"),
    "WrongLeaseState": ("unknown", "open, and not in the tree", "in the tree", "closed"),
}
"""What the second argument of these means."""

WORDS: dict[str, tuple[str, str]] = {
    "AlreadyRegistered": ("this operator is registered already", "update its record"),
    "NotRegistered": ("this operator is not registered", "register it first"),
    "EndpointLength": ("an endpoint of {0} bytes can't be registered", "give 1 to 256 bytes"),
    "ZeroPayout": ("the payout address is zero", "give an address that you hold"),
    "NotMinerController": ("{1} does not control the miner f0{0}", "register from its owner or worker"),
    "NotAuthorized": ("{1} is not authorized for the miner f0{0}", "have its owner or worker authorize it first"),
    "NotBound": ("{0} is bound to no miner", "there is nothing to check"),
    "MinerDidNotAnswer": ("the chain gave no answer on who controls the miner f0{0}", "try again later"),
    "WrongState": ("the lease is {state} on chain", "look at its state: it has gone on without this step"),
    "NotClient": ("{0} is not the lease's client", "send it from the client's wallet"),
    "NotProvider": ("{0} is not the lease's provider", "send it from the provider's wallet"),
    "NotParty": ("{0} is no party of the lease", "only its client and provider may do this"),
    "BadSignature": ("a signature is not by {0}", "sign it again with the right key"),
    "DeadlinePassed": ("the deadline {0} has passed", "start over with a new order, and check the clock"),
    "NonceUsed": ("the order's nonce {1} is used", "sign a new order"),
    "OrderMismatch": ("acceptance, confirmation or review belong to another order", "sign them for this one"),
    "AcceptanceMismatch": ("the confirmation is for another acceptance", "confirm the one at hand"),
    "WrongCollateral": ("the collateral must be {0} attoFIL, not {1}", "confirm price x seconds"),
    "WrongValue": ("{0} attoFIL must come with it, not {1}", "send price x seconds, or nothing as the client"),
    "BadDuration": ("a lease can't last {0} seconds", "give 1 second to 10 years"),
    "BadReason": ("{0} is not an end reason", "give 1 to 9"),
    "BadStars": ("{0} is not a number of stars", "give 1 to 5"),
    "CommentTooLong": ("a comment of {0} bytes is too long", "keep it within 280 bytes"),
    "NotClosed": ("the lease is not settled yet", "review it once the provider has redeemed it"),
    "AlreadyReviewed": ("the lease is reviewed already", "a lease takes one review"),
    "ZeroAddress": ("an address is zero", "give a real one"),
    "NotMarket": ("only the market may lock collateral", "open the lease through the market"),
    "InsufficientBalance": (
        "the ledger balance is {0} attoFIL, {1} are needed",
        "deposit the rest (shale wallet deposit), or take less",
    ),
    "LeaseExists": ("the lease is open already", "sign a new order for another one"),
    "UnknownLease": ("the ledger knows no such lease", "check its id and the network"),
    "LeaseClosed": ("the lease is closed in the ledger", "leave it out of the batch"),
    "LeaseOverdue": ("the lease is overdue since {1}", "close it: nothing else can be done with it"),
    "WrongLeaseState": ("the lease is {state} in the ledger", "plan the batch again on the chain's events"),
    "DepositTooLarge": ("a deposit of {0} attoFIL is too large", "keep it below 2^96"),
    "TermTooLong": ("a lease can't last {0} seconds", "keep it within 10 years in all"),
    "BatchSize": ("there is no circuit for batches of {0}", "give 1, 8, 64 or 256"),
    "BadWindow": ("the tree has no window {0} of this size", "plan the batch again"),
    "StaleRoot": ("the ledger's root has moved", "rebuild the batch on the present one"),
    "NotAWord": ("a value is no element of the field", "prove the batch again"),
    "BadOperations": ("the batch's operations are malformed at byte {0}", "plan the batch again"),
    "WrongPayKey": ("a payment key is not the one that its lease was opened with", "plan the batch again"),
    "AboveDeposit": ("a voucher of {1} attoFIL is above its lease's deposit", "leave it out of the batch"),
    "OverdueMustClose": ("a lease of the batch is overdue", "close it in the batch"),
    "ShardOverdrawn": ("the batch pays {2} attoFIL, its leases hold {1}", "plan the batch again"),
    "NotProviderLease": ("a lease of the batch is another provider's", "plan the batch again"),
    "ProviderOnly": ("only the provider may claim without closing", "send it from the operator's wallet"),
    "NotAllowedYet": ("only the provider may do this before {1}", "wait until then"),
    "MustClose": ("a client has demanded that its lease be closed", "close it in the next batch"),
    "AlreadyDemanded": ("the lease's close is demanded already", "prove it on the root of then (shale exit)"),
    "NothingOwed": ("the ledger owes nothing", "settle first"),
    "UnsafeVerifyingKey": ("development keys are not for mainnet", "deploy there with ceremony keys"),
    "FailedCall": ("the receiver of the money did not take it", "use an address that can be paid"),
    "PublicInputNotInField": ("a value of the proof is no element of the field", "prove the batch again"),
    "ProofInvalid": ("the proof does not hold", "prove the batch again with the deployment's keys"),
}
"""For each custom error what happened and what to do; `{0}` is its first argument."""


def refusal(data: object) -> Refused:
    """The Refused that a revert's data stands for; data that nobody knows is shown, cut short."""
    raw = _bytes_of(data)
    if raw[:4] == bytes.fromhex("08c379a0"):  # Error(string)
        (text,) = _decoded(["string"], raw[4:]) or ("an unreadable reason",)
        return Refused(f"the contract refused ({_line(text)})")
    name, types = _errors().get(raw[:4], ("", ()))
    arguments = _decoded(list(types), raw[4:])
    if name in WORDS and arguments is not None:
        message, hint = WORDS[name]
        states = _STATES.get(name, ())
        state = states[arguments[1]] if states and arguments[1] < len(states) else ""
        return Refused(message.format(*arguments, state=state), hint)
    shown = name or ("0x" + raw[:36].hex() if raw else "no reason given")
    return Refused(f"the contract refused ({shown})", "check that client, provider and contracts are of one version")


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    return {
        entry.selector: (entry.name, tuple(kind.name for kind in entry.kinds))
        for contract in CONTRACTS
        for entry in artifact(contract).errors.values()
    }


def _bytes_of(data: object) -> bytes:
    """Revert data as the nodes give it: hex, or within a text (Lotus: ``vm error=[0x…]``)."""
    match = re.search(r"0x((?:[0-9a-fA-F]{2})*)", str(data)[:100_000])
    return bytes.fromhex(match[1]) if match else b""


def _decoded(types: list[str], data: bytes) -> tuple[Any, ...] | None:
    try:
        return decode([kind_of(name) for name in types], data)
    except ValueError:
        return None


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:200])
