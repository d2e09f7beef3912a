"""A batch's words and calldata, as docs/protocol.md, section 4, has them."""

import pytest

from shale.errors import InputRefused
from shale.market.lease import EndReason
from shale.market.order import PayKey
from shale.payments.batch import Batch, Leaf, Operation
from shale.payments.voucher import Voucher
from shale.payments.words import batch_words, challenge, check_batch, evaluation, flags_of, pack_operations
from shale.units import AttoFil, LeaseId

LEASE, OTHER = LeaseId("0x" + "01" * 31), LeaseId("0x" + "02" * 31)
KEY = PayKey("0x" + "0a" * 32, "0x" + "0b" * 32)
STANDING = Operation(Leaf(13, LEASE, KEY, AttoFil(5), 1), False, False, Voucher(LEASE, AttoFil(9), 3, "0x"))
ARRIVING = Operation(Leaf(15, OTHER, KEY), True, True, None, EndReason.VERDICT)


def test_flags_are_bits() -> None:
    leaf = Leaf(0, LEASE, KEY)
    voucher = Voucher(leaf.lease, AttoFil(1), 1, "0x")
    assert flags_of(Operation(leaf, True, False, None)) == 1
    assert flags_of(Operation(leaf, False, False, voucher)) == 2
    assert flags_of(Operation(leaf, False, True, None)) == 4
    assert flags_of(Operation(leaf, True, True, voucher)) == 7


def test_each_slot_has_four_words_and_an_untouched_one_has_zeros() -> None:
    batch = Batch(8, 1, (STANDING, ARRIVING))
    words = batch_words(7, 8, 9, batch, AttoFil(4))
    assert len(words) == 36
    assert words[:4] == [7, 8, 9, 1 | 4 << 32]
    assert words[4 + 4 * 5 : 4 + 4 * 6] == [int(LEASE, 16) | 2 << 248, 9 | 3 << 96, 0, 0]
    assert words[4 + 4 * 7 :] == [int(OTHER, 16) | 5 << 248, 0, int(KEY.x, 16), int(KEY.y, 16)]
    assert not any(words[4 : 4 + 4 * 5] + words[4 + 4 * 6 : 4 + 4 * 7])


def test_operations_are_packed_without_gaps() -> None:
    packed = pack_operations(Batch(8, 1, (STANDING, ARRIVING)))
    first, second = packed[:54], packed[54:]
    assert first == bytes((5, 2, 0)) + b"\x01" * 31 + (9).to_bytes(12, "big") + (3).to_bytes(8, "big")
    assert second == bytes((7, 5, 6)) + b"\x02" * 31 + bytes(20) + b"\x0a" * 32 + b"\x0b" * 32
    assert len(second) == 118


def test_a_batch_with_slots_outside_or_out_of_order_is_refused() -> None:
    for wrong in (
        Batch(8, 0, (STANDING,)),
        Batch(8, 1, (ARRIVING, STANDING)),
        Batch(8, 1, (STANDING, STANDING)),
        Batch(16, 0, (STANDING,)),
        Batch(8, 1, ()),
    ):
        with pytest.raises(InputRefused):
            check_batch(wrong)
    check_batch(Batch(8, 1, (STANDING, ARRIVING)))


def test_the_evaluation_is_the_polynomials_value() -> None:
    words = [3, 5, 7]
    assert evaluation(words, 10) == 3 + 50 + 700
    assert challenge(words, 1) != challenge(words, 2)
