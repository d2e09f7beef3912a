"""What goes into a batch, and what it comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shale.market.order import PayKey
from shale.payments.batch import Claimable, Leaf, plan_batch
from shale.payments.voucher import Voucher
from shale.units import ZERO, AttoFil, LeaseId

KEY = PayKey("0x" + "00" * 32, "0x" + "01" * 32)


def lease_id(number: int) -> LeaseId:
    return LeaseId(f"0x{number:062x}")


def claimable(
    number: int, *, queued: int | None = None, paid: int = 0, ended: bool = False, leaf_paid: int | None = None
) -> Claimable:
    lease = lease_id(number)
    leaf = None if leaf_paid is None else Leaf(number, lease, KEY, AttoFil(1000), AttoFil(leaf_paid), leaf_paid)
    voucher = Voucher(lease, AttoFil(paid), paid, "0x00") if paid else None
    return Claimable(lease, KEY, AttoFil(1000), ended, voucher, queued, leaf)


def test_an_ended_lease_is_inserted_claimed_and_closed_in_one() -> None:
    [operation] = plan_batch([claimable(1, queued=0, paid=30, ended=True)], [], 8)
    assert (operation.insert, operation.close, operation.earned, operation.refund) == (
        True,
        True,
        AttoFil(30),
        AttoFil(970),
    )
    assert operation.after() is None


def test_deposits_are_inserted_in_the_order_of_the_queue() -> None:
    items = [claimable(1, queued=5), claimable(2, queued=3), claimable(3, queued=4)]
    assert [op.leaf.lease for op in plan_batch(items, [], 8)] == [lease_id(2), lease_id(3), lease_id(1)]


def test_a_running_lease_whose_voucher_has_not_grown_is_left_alone() -> None:
    assert plan_batch([claimable(1, paid=30, leaf_paid=30)], [], 8) == []


def test_a_running_lease_is_claimed_without_closing() -> None:
    [operation] = plan_batch([claimable(1, paid=50, leaf_paid=30)], [], 8)
    assert (operation.insert, operation.close, operation.earned, operation.refund) == (
        False,
        False,
        AttoFil(20),
        ZERO,
    )


def test_an_ended_lease_without_a_new_voucher_is_closed() -> None:
    [operation] = plan_batch([claimable(1, paid=30, leaf_paid=30, ended=True)], [], 8)
    assert (operation.voucher, operation.close, operation.refund) == (None, True, AttoFil(970))


def test_new_leaves_take_free_indices() -> None:
    taken = Leaf(0, lease_id(9), KEY, AttoFil(1))
    [operation] = plan_batch([claimable(1, queued=0)], [taken], 8)
    assert operation.leaf.index == 1


def test_a_demanded_close_comes_before_all_else() -> None:
    items = [claimable(n, paid=50, leaf_paid=30) for n in range(1, 12)]
    operations = plan_batch(items, [], 8, demanded=lease_id(11))
    assert (operations[0].leaf.lease, operations[0].close, len(operations)) == (lease_id(11), True, 8)
    assert not any(operation.close for operation in operations[1:])


def test_a_demanded_lease_in_the_queue_is_inserted_and_closed_in_the_same_batch() -> None:
    items = [claimable(n, queued=n, paid=5) for n in range(8)]
    operations = plan_batch(items, [], 8, demanded=lease_id(7))
    assert [operation.close for operation in operations] == [False] * 7 + [True]


def test_before_a_demanded_lease_deep_in_the_queue_there_are_bare_insertions_only() -> None:
    items = [claimable(n, queued=n, paid=5, ended=True) for n in range(12)]
    items.append(claimable(90, paid=50, leaf_paid=30, ended=True))
    operations = plan_batch(items, [], 8, demanded=lease_id(9))
    assert [operation.leaf.lease for operation in operations] == [lease_id(n) for n in range(8)]
    assert all(op.insert and not op.close and op.voucher is None for op in operations)


@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans()), max_size=20))
def test_a_batch_pays_out_no_more_than_was_locked(leases: list[tuple[int, bool]]) -> None:
    items = [claimable(n, queued=n, paid=paid, ended=ended) for n, (paid, ended) in enumerate(leases)]
    operations = plan_batch(items, [], 8)
    assert len(operations) == min(8, len(leases))
    for operation in operations:
        assert operation.earned + operation.refund <= operation.leaf.deposit
        if operation.close:
            assert operation.earned + operation.refund == operation.leaf.deposit
