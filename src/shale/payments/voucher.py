"""Voucher: the client's signature over all that it has paid so far, and the rules by which one follows another."""

from __future__ import annotations

from dataclasses import dataclass

from shale.errors import VoucherRefused
from shale.units import AttoFil, LeaseId, Price


@dataclass(frozen=True, slots=True)
class Voucher:
    """Cumulative amount and seconds of one lease; `signature` is 64 bytes of EdDSA as 0x-hex."""

    lease: LeaseId
    amount: AttoFil
    seconds: int
    signature: str


def check_successor(
    voucher: Voucher, *, lease: LeaseId, price: Price, paid: AttoFil, seconds: int, collateral: AttoFil
) -> bool:
    """Check a voucher, apart from its signature, against the highest one stored (`paid`, `seconds`).

    Returns False for the stored one said again (harmless: acknowledge it once more), True for a new one.
    Raises VoucherRefused with reason `other_lease`, `lower`, `price` or `collateral`.
    """
    if voucher.lease != lease:
        raise VoucherRefused("other_lease", "the voucher is for another lease: sign one for this lease")
    if voucher.amount < paid or voucher.seconds < seconds:
        raise VoucherRefused(
            "lower", f"the voucher pays {voucher.amount}, but {paid} is already paid: sign a higher one"
        )
    if voucher.seconds * price.per_second.value != voucher.amount.value:
        raise VoucherRefused(
            "price", f"the voucher's amount is not its seconds at {price}: sign amount = seconds x price"
        )
    if voucher.amount > collateral:
        raise VoucherRefused(
            "collateral", f"the voucher exceeds the collateral of {collateral}: end or extend the lease"
        )
    return (voucher.amount, voucher.seconds) != (paid, seconds)
