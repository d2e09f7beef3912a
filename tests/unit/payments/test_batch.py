"""What goes into a batch, in which window, and what it comes to."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shale.market.lease import EndReason
from shale.market.order import PayKey
from shale.payments.batch import SIZES, TREE_DEPTH, Batch, Claimable, Leaf, plan_batch, worth_their_share
from shale.payments.voucher import Voucher
from shale.units import ZERO, AttoFil, LeaseId

KEY = PayKey("0x" + "00" * 32, "0x" + "01" * 32)
DEPOSIT = AttoFil(1000)


def lease_id(number: int) -> LeaseId:
    return LeaseId(f"0x{number:062x}")


def claimable(
    number: int, *, paid: int = 0, ended: bool = False, at: int | None = None, redeemed: int = 0
) -> Claimable:
    """A lease, with its leaf at index `at` if it has one."""
    lease = lease_id(number)
    leaf = None if at is None else Leaf(at, lease, KEY, AttoFil(redeemed), redeemed)
    voucher = Voucher(lease, AttoFil(paid), paid, "0x00") if paid else None
    reason = EndReason.CLIENT_ENDED if ended else EndReason.NONE
    return Claimable(lease, KEY, DEPOSIT, ended, voucher, leaf, reason)


def plan(
    items: list[Claimable], *others: Leaf, sizes: tuple[int, ...] = SIZES, demanded: LeaseId | None = None
) -> Batch:
    leaves = [item.leaf for item in items if item.leaf is not None]
    batch = plan_batch(items, [*leaves, *others], sizes, demanded)
    assert batch is not None
    return batch


def test_a_lease_that_ended_before_it_was_redeemed_never_stands_in_the_tree() -> None:
    batch = plan([claimable(1, paid=30, ended=True)])
    [operation] = batch.operations
    assert (batch.size, operation.insert, operation.close, operation.earned) == (1, True, True, AttoFil(30))
    assert operation.reason is EndReason.CLIENT_ENDED
    assert operation.after() is None


def test_a_running_lease_whose_voucher_has_not_grown_is_left_alone() -> None:
    item = claimable(1, paid=30, at=0, redeemed=30)
    assert item.leaf is not None
    assert plan_batch([item], [item.leaf], SIZES) is None


def test_a_lease_that_ended_with_nothing_paid_needs_no_proof() -> None:
    assert plan_batch([claimable(1, ended=True)], [], SIZES) is None


def test_a_running_lease_is_claimed_without_closing() -> None:
    [operation] = plan([claimable(1, paid=50, at=3, redeemed=30)]).operations
    assert (operation.insert, operation.close, operation.earned) == (False, False, AttoFil(20))
    assert operation.reason is EndReason.NONE


def test_an_ended_lease_without_a_new_voucher_is_closed() -> None:
    [operation] = plan([claimable(1, paid=30, at=3, redeemed=30, ended=True)]).operations
    assert (operation.voucher, operation.close, operation.earned) == (None, True, ZERO)


def test_the_smallest_batch_that_serves_all_is_taken() -> None:
    for many, size in ((1, 1), (2, 8), (8, 8), (9, 64), (64, 64), (65, 256)):
        batch = plan([claimable(n, paid=5, ended=True) for n in range(many)])
        assert (batch.size, len(batch.operations)) == (size, many)


def test_without_the_key_of_a_size_the_others_do_what_they_can() -> None:
    batch = plan([claimable(n, paid=5, ended=True) for n in range(20)], sizes=(1, 8))
    assert (batch.size, len(batch.operations)) == (8, 8)


def test_a_new_leaf_comes_where_none_stands() -> None:
    batch = plan([claimable(1, paid=9)], Leaf(0, lease_id(9), KEY), Leaf(1, lease_id(8), KEY))
    assert [operation.leaf.index for operation in batch.operations] == [2]


def test_leases_that_are_not_in_the_tree_ride_in_the_window_of_one_that_is() -> None:
    items = [claimable(1, paid=9, at=17, redeemed=3, ended=True), *(claimable(n, paid=9, ended=True) for n in (2, 3))]
    batch = plan(items)
    assert (batch.size, batch.window, len(batch.operations)) == (8, 2, 3)


def test_ended_leases_come_before_grown_vouchers() -> None:
    running = [claimable(n, paid=50, at=n, redeemed=1) for n in range(8)]
    ended = [claimable(n, paid=50, at=n, redeemed=50, ended=True) for n in range(16, 18)]
    batch = plan([*running, *ended], sizes=(1, 8))
    assert batch.window == 2
    assert set(batch.leases) == {item.lease for item in ended}


def test_the_dearest_vouchers_are_redeemed_first() -> None:
    items = [claimable(n, paid=n + 1) for n in range(12)]
    batch = plan(items, sizes=(8,))
    assert set(batch.leases) == {lease_id(n) for n in range(4, 12)}


def kept(fee: int, *items: Claimable, demanded: LeaseId | None = None) -> list[int]:
    every = {item.lease: item for item in items}
    return [int(lease, 16) for lease in worth_their_share(every, AttoFil(fee), demanded)]


def test_vouchers_wait_that_are_worth_less_than_their_share_of_the_fee() -> None:
    items = [claimable(1, paid=50), claimable(2, paid=50), claimable(3, paid=9)]
    assert kept(100, *items) == [1, 2]
    assert kept(101, *items) == []
    assert kept(27, *items) == [1, 2, 3]


def test_ended_and_demanded_leases_go_whatever_they_are_worth_and_bear_their_shares() -> None:
    items = [claimable(1, paid=1, ended=True), claimable(2, paid=1), claimable(3, paid=50)]
    assert kept(1000, *items, demanded=lease_id(2)) == [1, 2]
    assert kept(150, *items, demanded=lease_id(2)) == [1, 2, 3]


def test_a_demanded_close_is_in_the_batch_whatever_else_waits() -> None:
    ended = [claimable(n, paid=50, at=n, redeemed=30, ended=True) for n in range(8)]
    asked = claimable(99, paid=50, at=20, redeemed=30)
    batch = plan([*ended, asked], sizes=(1, 8), demanded=asked.lease)
    [operation] = batch.operations
    assert (operation.leaf.lease, operation.close) == (asked.lease, True)


def test_a_demanded_lease_that_the_books_lack_stops_every_batch() -> None:
    item = claimable(1, paid=5, ended=True)
    assert plan_batch([item], [], SIZES, demanded=lease_id(77)) is None


leases = st.lists(
    st.tuples(st.integers(0, 1000), st.booleans(), st.one_of(st.none(), st.integers(0, 80)), st.integers(0, 1000)),
    max_size=40,
)


@given(leases, st.sets(st.sampled_from(SIZES), min_size=1), st.integers(0, 50), st.booleans())
def test_every_batch_is_legal(
    drawn: list[tuple[int, bool, int | None, int]], sizes: set[int], pick: int, asks: bool
) -> None:
    items, taken = [], set()
    for number, (paid, ended, at, redeemed) in enumerate(drawn):
        free = at if at not in taken else None
        if free is not None:
            taken.add(free)
        items.append(claimable(number, paid=paid, ended=ended, at=free, redeemed=min(redeemed, paid)))
    leaves = {item.leaf.index: item.leaf for item in items if item.leaf is not None}
    standing = [item.lease for item in items if item.leaf is not None]
    demanded = standing[pick % len(standing)] if asks and standing else None
    batch = plan_batch(items, leaves.values(), sizes, demanded)
    wanted = {item.lease for item in items if item.moves} | ({demanded} if demanded else set())
    assert (batch is None) == (not wanted)
    if batch is None:
        return
    assert batch.size in sizes
    assert 0 <= batch.window < 2**TREE_DEPTH // batch.size
    indices = [operation.leaf.index for operation in batch.operations]
    assert all(one < two for one, two in pairwise(indices))
    assert all(index // batch.size == batch.window for index in indices)
    assert len(set(batch.leases)) == len(batch.leases)
    assert set(batch.leases) <= wanted
    assert demanded is None or demanded in batch.leases
    by_lease = {item.lease: item for item in items}
    for operation in batch.operations:
        item = by_lease[operation.leaf.lease]
        assert operation.insert == (item.leaf is None)
        assert operation.insert or leaves[operation.leaf.index] == operation.leaf
        assert not operation.insert or operation.leaf.index not in leaves
        assert operation.close == (item.ended or item.lease == demanded)
        assert operation.leaf.amount <= operation.amount <= item.deposit
        assert operation.insert or operation.close or operation.earned


@given(leases, st.sets(st.integers(0, 300), max_size=40), st.sets(st.sampled_from(SIZES), min_size=1), st.booleans())
def test_leaves_of_exited_leases_are_never_touched_and_their_places_never_taken(
    drawn: list[tuple[int, bool, int | None, int]], places: set[int], sizes: set[int], asks: bool
) -> None:
    """They are in the tree, and in nobody's claims: batch after batch goes around them until nothing waits."""
    dead = [Leaf(index, lease_id(1000 + index), KEY, AttoFil(5), 5) for index in sorted(places)]
    taken, items = set(places), []
    for number, (paid, ended, at, redeemed) in enumerate(drawn):
        free = at if at not in taken else None
        if free is not None:
            taken.add(free)
        items.append(claimable(number, paid=paid, ended=ended, at=free, redeemed=min(redeemed, paid)))
    leaves = {leaf.index: leaf for leaf in [*dead, *(item.leaf for item in items if item.leaf is not None)]}
    demanded = next((item.lease for item in items if item.leaf is not None), None) if asks else None
    waiting = {item.lease: item for item in items}
    while (batch := plan_batch(waiting.values(), leaves.values(), sizes, demanded)) is not None:
        demanded = None
        for operation in batch.operations:
            assert operation.leaf.index not in places
            assert operation.insert == (operation.leaf.index not in leaves)
            after = operation.after()
            leaves.pop(operation.leaf.index, None)
            if after is not None:
                leaves[after.index] = after
            del waiting[operation.leaf.lease]
    assert not [item for item in waiting.values() if item.moves], "nobody is kept waiting by them"
    assert [leaves[index] for index in sorted(places)] == dead


@given(leases)
def test_batch_after_batch_all_deposits_come_back_as_earnings_and_refunds(
    drawn: list[tuple[int, bool, int | None, int]],
) -> None:
    """Whatever the batches' order, once all have ended each deposit is split and nothing is left in the tree."""
    vouchers = {lease_id(n): paid for n, (paid, *_) in enumerate(drawn)}
    leaves: dict[LeaseId, Leaf] = {}
    closed: set[LeaseId] = set()
    earned, refunded = 0, 0
    for ended in (False, True):
        while True:
            items = []
            for n, (lease, paid) in enumerate(vouchers.items()):
                if lease in closed:
                    continue
                voucher = Voucher(lease, AttoFil(paid), paid, "0x00") if paid else None
                over = ended or drawn[n][1]
                items.append(Claimable(lease, KEY, DEPOSIT, over, voucher, leaves.get(lease)))
            batch = plan_batch(items, leaves.values(), (1, 8))
            if batch is None:
                break
            earned += batch.earned.value
            for operation in batch.operations:
                after = operation.after()
                leaves.pop(operation.leaf.lease, None)
                if after is None:
                    closed.add(operation.leaf.lease)
                    refunded += (DEPOSIT - operation.amount).value
                else:
                    leaves[after.lease] = after
    untouched = [lease for lease, paid in vouchers.items() if lease not in closed]
    assert all(vouchers[lease] == 0 for lease in untouched), "only what earned nothing is left, for a refund"
    assert leaves == {}
    assert earned + refunded + DEPOSIT.value * len(untouched) == DEPOSIT.value * len(vouchers)
    assert earned == sum(vouchers.values())
