"""A provider's reviews as a node tells them: bounded, fit to be shown, and only if they come to the rating."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.event_chain import CHAIN, CLIENT, MARKET, PROVIDER, EventChain

from shale.chain.database import Database
from shale.chain.node import Node
from shale.chain.reviews import ReviewReader
from shale.errors import Unavailable
from shale.units import AttoFil, checked_address

FINALITY = 6
BROKEN = "no text!"
Values = tuple[Any, ...]


class ReviewChain(EventChain):
    """A market's reviews of one provider, and the rating that they come to; `hidden` leases' are left out of the logs.

    A comment of `BROKEN` goes out as bytes that are no text.
    """

    contract = MARKET

    def __init__(self) -> None:
        super().__init__()
        self.hidden: set[int] = set()
        self.leases = 0

    def review(self, stars: int = 5, comment: str = "", weight: int = 10, paid: int = 30) -> tuple[str, Values]:
        self.leases += 1
        return "Reviewed", (self.leases, PROVIDER, CLIENT, stars, weight, paid, comment)

    def say(self, *stars: int) -> None:
        """A block with these reviews."""
        self.mine([self.review(each) for each in stars])

    @property
    def said(self) -> list[Values]:
        return [values for block in self.blocks for _, values in block.events]

    def answer(self, mine: bool) -> list[int]:
        rating = [0] * 5
        for _, _, _, stars, weight, paid, _ in self.said if mine else ():
            for at, add in enumerate((1, weight, weight * stars, paid, paid * stars)):
                rating[at] += add
        return rating

    def _log(self, number: int, place: int, name: str, values: Values) -> dict[str, Any]:
        log = super()._log(number, place, name, values)
        log["data"] = log["data"].replace(BROKEN.encode().hex(), "ff" * len(BROKEN))
        return log

    def events_of(self, block: int) -> list[tuple[str, Values]]:
        return [event for event in super().events_of(block) if event[1][0] not in self.hidden]


@pytest.fixture
def chain() -> ReviewChain:
    return ReviewChain()


def reader(
    chain: ReviewChain, database: Database | None = None, keep: int = 5, step: int = 2, most: int = 100
) -> ReviewReader:
    return ReviewReader(Node(chain, CHAIN, FINALITY), database or Database(None), MARKET, 1, keep, step, most)


def rows(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute("SELECT count(*) FROM logs").fetchone()[0])


async def test_the_newest_come_first_with_all_that_the_chain_knows(chain: ReviewChain) -> None:
    chain.say(1, 2)
    chain.say(3)
    newest, before = await reader(chain).newest(PROVIDER, 2)
    assert (newest.stars, before.stars) == (3, 2)
    assert (newest.lease, newest.client, newest.comment) == (f"0x{3:062x}", checked_address(CLIENT), "")
    assert (newest.weight_seconds, newest.paid, newest.at) == (10, AttoFil(30), 1)
    assert newest.tx.startswith("0x12")


async def test_a_comment_that_acts_on_a_terminal_is_shown_without_that(chain: ReviewChain) -> None:
    chain.mine([chain.review(comment="good\x1b]0;owned\x07\r\n\u202etxt.exe")])
    (found,) = await reader(chain).newest(PROVIDER, 9)
    assert found.comment == "good?]0;owned????txt.exe"


async def test_a_comment_that_is_no_text_hides_no_other_review(chain: ReviewChain) -> None:
    chain.say(4)
    chain.mine([chain.review(comment=BROKEN)])
    found = await reader(chain).newest(PROVIDER, 9)
    assert [review.stars for review in found] == [5, 4]
    assert found[0].comment == "\ufffd" * len(BROKEN)


async def test_a_node_that_leaves_a_review_out_is_not_believed_and_another_one_is(chain: ReviewChain) -> None:
    chain.say(1)
    chain.say(5)
    chain.hidden = {1}
    mine = reader(chain)
    with pytest.raises(Unavailable, match="not what they come to: use another node"):
        await mine.newest(PROVIDER, 1)
    chain.hidden = set()
    assert [review.stars for review in await mine.newest(PROVIDER, 9)] == [5, 1]


@pytest.mark.parametrize("stars", [0, 6, 255])
async def test_stars_that_no_contract_takes_are_refused(chain: ReviewChain, stars: int) -> None:
    chain.say(stars)
    database = Database(None)
    with pytest.raises(Unavailable, match="not what they come to"):
        await reader(chain, database).newest(PROVIDER, 9)
    assert rows(database) == 0, "nothing of it stays"


async def test_what_one_node_left_out_or_made_up_is_had_from_the_next_at_once(chain: ReviewChain) -> None:
    for _ in range(3):
        chain.say(4)
    for _ in range(FINALITY + 3):
        chain.mine([])
    database = Database(None)
    chain.hidden = {2}
    with pytest.raises(Unavailable):
        await reader(chain, database).newest(PROVIDER, 9)
    chain.hidden = set()
    assert len(await reader(chain, database).newest(PROVIDER, 9)) == 3
    with database.write() as connection:  # as an earlier node may have had it, and been believed
        connection.execute("DELETE FROM logs WHERE block = (SELECT min(block) FROM logs)")
    assert len(await reader(chain, database).newest(PROVIDER, 9)) == 3
    with database.write() as connection:
        connection.execute("UPDATE logs SET data = '0x00'")
    assert len(await reader(chain, database).newest(PROVIDER, 9)) == 3


async def test_another_providers_reviews_are_none_of_this_ones(chain: ReviewChain) -> None:
    chain.say(2)
    with pytest.raises(Unavailable, match="not asked for"):  # this node doesn't filter
        await reader(chain).newest(CLIENT, 9)
    chain.hidden = {1}
    assert await reader(chain).newest(CLIENT, 9) == []


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_kept_is_bounded_whatever_is_cut_or_taken_back(tmp_path: Path, seed: int) -> None:
    chain, roll = ReviewChain(), random.Random(seed)
    databases = [Database(tmp_path / "chain.db") for _ in range(2)]
    readers = [reader(chain, database) for database in databases]
    for _ in range(40):
        for _ in range(roll.randrange(1, 12)):
            chain.say(*(roll.randrange(1, 6) for _ in range(roll.randrange(3))))
        if roll.random() < 0.4:
            depth = roll.randrange(1, min(FINALITY, chain.head) + 1)
            chain.take_back(depth)
            for _ in range(depth + 1):
                chain.say(*(roll.randrange(1, 6) for _ in range(roll.randrange(3))))
        mine = roll.choice(readers)
        if roll.random() < 0.3:
            chain.cut = roll.randrange(chain.head + 1)
            with suppress(Unavailable):
                await mine.newest(PROVIDER, 3)
            chain.cut = None
        found = await mine.newest(PROVIDER, 5)
        assert [int(review.lease, 16) for review in found] == [values[0] for values in chain.said[:-6:-1]]
    # Each visit reads what came since the last one, of which nothing may be folded before it is final.
    assert len(chain.said) > 150
    assert rows(databases[0]) < 60


async def test_too_many_that_are_not_final_are_left_for_later_and_nothing_is_read_twice(chain: ReviewChain) -> None:
    chain.span = 2
    for _ in range(5):
        chain.say(*([3] * 10))
    mine = reader(chain, most=20)
    with pytest.raises(Unavailable, match="aren't final"):
        await mine.newest(PROVIDER, 5)
    for _ in range(2 * FINALITY):
        chain.say()
    chain.asked.clear()
    assert len(await mine.newest(PROVIDER, 5)) == 5
    assert min(start for start, _ in chain.asked) > 1


class Lagging(ReviewChain):
    """The node's index of events is one question behind its state."""

    def _logs(self, query: Any) -> Any:
        found = super()._logs(query)
        self.hidden.clear()
        return found


async def test_an_index_of_events_that_lags_is_asked_again_for_what_may_still_change() -> None:
    chain, database = Lagging(), Database(None)
    chain.say(3, 3, 3, 3)
    for _ in range(40):
        chain.mine([])
    read = reader(chain, database, keep=50)
    await read.newest(PROVIDER, 9)
    chain.say(5)
    chain.hidden = {chain.leases}
    before = len(chain.asked)
    assert [review.stars for review in await read.newest(PROVIDER, 9)] == [5, 3, 3, 3, 3]
    assert min(at for at, _ in chain.asked[before:]) > 30, "not from the deployment on"
