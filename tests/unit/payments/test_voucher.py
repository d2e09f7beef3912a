"""Which voucher may follow which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shale.errors import VoucherRefused
from shale.payments.voucher import Voucher, check_successor
from shale.units import AttoFil, LeaseId, Price

LEASE = LeaseId("0x" + "11" * 31)
OTHER = LeaseId("0x" + "22" * 31)
PRICE = Price(AttoFil(7))


def voucher(seconds: int, amount: int | None = None, lease: LeaseId = LEASE) -> Voucher:
    return Voucher(lease, AttoFil(7 * seconds if amount is None else amount), seconds, "0x00")


def check(candidate: Voucher, paid_seconds: int = 20) -> bool:
    return check_successor(
        candidate,
        lease=LEASE,
        price=PRICE,
        paid=AttoFil(7 * paid_seconds),
        seconds=paid_seconds,
        collateral=AttoFil(700),
    )


def test_a_higher_voucher_counts() -> None:
    assert check(voucher(30)) is True


def test_a_replayed_voucher_changes_nothing() -> None:
    assert check(voucher(20)) is False


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (voucher(10), "lower"),
        (voucher(30, lease=OTHER), "other_lease"),
        (voucher(30, amount=211), "price"),
        (voucher(40, amount=210), "price"),
        (voucher(110), "collateral"),
    ],
)
def test_a_voucher_that_breaks_a_rule_is_refused(candidate: Voucher, reason: str) -> None:
    with pytest.raises(VoucherRefused) as refused:
        check(candidate)
    assert refused.value.reason == reason


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**90)), max_size=30))
def test_what_is_accepted_never_falls_and_never_exceeds_the_collateral(tries: list[tuple[int, int]]) -> None:
    paid, seconds = AttoFil(0), 0
    for some_seconds, some_amount in tries:
        candidate = voucher(some_seconds, some_amount if some_amount % 2 else None)
        try:
            check_successor(candidate, lease=LEASE, price=PRICE, paid=paid, seconds=seconds, collateral=AttoFil(10**12))
        except VoucherRefused:
            continue
        assert paid <= candidate.amount <= AttoFil(10**12)
        assert candidate.seconds >= seconds
        paid, seconds = candidate.amount, candidate.seconds
    assert paid.value == seconds * 7
