"""Subtrees: a tree that was told before costs what has changed since, and never a wrong hash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shale.errors import Refused, Unavailable
from shale.market.order import PayKey
from shale.payments.batch import Leaf
from shale.proofs import subtrees
from shale.proofs.subtrees import Subtrees
from shale.units import AttoFil, LeaseId

KEY = PayKey("0x" + "01" * 32, "0x" + "02" * 32)
LEAVES = [Leaf(index, LeaseId("0x" + "03" * 31), KEY) for index in (0, 1, 5000, 5001, 9000)]


class Kernel:
    """Counts what it is asked; the hash names the number and how often it was asked before."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.dead = False

    async def hash(self, number: int, leaves: list[dict[str, Any]]) -> str:
        if self.dead:
            raise Unavailable("the prover died")
        assert {leaf["index"] >> 12 for leaf in leaves} == {number}
        self.asked.append(number)
        return f"0x{len(self.asked):x}"


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


async def test_only_the_subtrees_that_changed_are_hashed_again(kernel: Kernel) -> None:
    told = Subtrees(kernel.hash)
    first = await told.params(LEAVES)
    assert (kernel.asked, first["leaves"]) == ([0, 1, 2], [])
    assert await told.params(LEAVES) == first
    assert await told.params(LEAVES[::-1]) == first
    assert kernel.asked == [0, 1, 2]
    changed = [replace(leaf, seconds=1) if leaf.index == 5001 else leaf for leaf in LEAVES]
    assert (await told.params(changed))["subtrees"] == [[0, "0x1"], [1, "0x4"], [2, "0x3"]]
    assert await told.params(LEAVES) == first


@pytest.mark.parametrize(
    "change",
    [
        {"index": 5002},
        {"lease": LeaseId("0x" + "04" * 31)},
        {"key": PayKey(KEY.y, KEY.x)},
        {"amount": AttoFil(1)},
        {"seconds": 1},
    ],
)
async def test_a_change_of_any_field_is_another_subtree(kernel: Kernel, change: dict[str, Any]) -> None:
    told = Subtrees(kernel.hash)
    await told.params(LEAVES)
    await told.params([replace(leaf, **change) if leaf.index == 5001 else leaf for leaf in LEAVES])
    assert kernel.asked == [0, 1, 2, 1]


async def test_the_subtree_of_the_batch_is_told_by_its_leaves(kernel: Kernel) -> None:
    params = await Subtrees(kernel.hash).params(LEAVES, 1)
    assert [leaf["index"] for leaf in params["leaves"]] == [5000, 5001]
    assert [number for number, _ in params["subtrees"]] == kernel.asked == [0, 2]
    params = await Subtrees(kernel.hash).params(LEAVES, 7)
    assert (params["leaves"], len(params["subtrees"])) == ([], 3)


async def test_a_failed_call_leaves_nothing_behind(kernel: Kernel) -> None:
    told = Subtrees(kernel.hash)
    kernel.dead = True
    with pytest.raises(Unavailable):
        await told.params(LEAVES)
    kernel.dead = False
    assert (await told.params(LEAVES))["subtrees"] == [[0, "0x1"], [1, "0x2"], [2, "0x3"]]


async def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subtrees, "MAX_KEPT", 2)
    told = Subtrees(kernel.hash)
    for leaf in (LEAVES[0], LEAVES[2], LEAVES[0], LEAVES[4], LEAVES[0], LEAVES[2]):
        await told.params([leaf])
        assert len(told._known) <= 2
    assert kernel.asked == [0, 1, 2, 1]


async def test_more_leaves_than_a_subtree_has_places_are_refused_before_a_line_is_made(kernel: Kernel) -> None:
    crowd = [replace(LEAVES[0], seconds=second) for second in range(60_000)]
    for own in (None, 0):
        with pytest.raises(Refused, match="two of the leaves in subtree 0 have the same index"):
            await Subtrees(kernel.hash).params(crowd, own)
    assert kernel.asked == []
