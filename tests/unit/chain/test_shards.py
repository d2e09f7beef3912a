"""A provider's history in pieces: folded as it grows, whatever is cut, taken back or left out on the way."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.event_chain import CHAIN, LEDGER, PROVIDER, EventChain, LongChain, State, root_of

from shale.chain.database import Database
from shale.chain.node import Node
from shale.chain.shards import ShardReader
from shale.errors import Unavailable

FINALITY = 6
EVENTS = int(os.environ.get("SHALE_EVENTS", "100000"))
"""Of the long history: a million take some minutes."""


def reader(chain: EventChain, database: Database, most: int = 10**6, keep: int = 20) -> ShardReader:
    return ShardReader(Node(chain, CHAIN, FINALITY), database, LEDGER, 1, keep, 10, most)


def rows(database: Database, table: str = "logs") -> int:
    with database.read() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class Play:
    """A chain that grows at random, and may take back what isn't final."""

    def __init__(self, seed: int) -> None:
        self.roll = random.Random(seed)
        self.chain = EventChain()
        self.states = [State()]
        self.roots = 0

    def mine(self) -> None:
        state = self.states[-1].copy()
        events = [state.lock() for _ in range(self.roll.randrange(4))]
        if state.locked and self.roll.random() < 0.2:
            events.append(state.refund())
        living = [index for index in state.leaves if index not in state.exited]
        if living and self.roll.random() < 0.05:
            events.append(state.exit(self.roll.choice(living)))
        if self.roll.random() < 0.6:
            self.roots += 1
            events += state.settle(8, self.roots, self.roll)
            self.chain.trees[root_of(self.roots)] = state.tree()
        self.states.append(state)
        self.chain.mine(events)
        self.chain.root = state.root

    def reorganise(self, depth: int) -> None:
        """Others in the place of so many blocks, and one more: a shorter chain is a node that is behind."""
        self.chain.take_back(depth)
        del self.states[len(self.states) - depth :]
        for _ in range(depth + 1):
            self.mine()

    @property
    def state(self) -> State:
        return self.states[-1]

    def exited(self) -> set[str]:
        return {self.state.leaves[index].lease for index in self.state.exited}


@pytest.mark.parametrize("seed", range(8))
async def test_a_history_folded_in_pieces_is_the_one_read_at_once(tmp_path: Path, seed: int) -> None:
    """With cuts in the middle of a sync, reorganisations of what isn't final, and other processes of the same file."""
    play = Play(seed)
    roll = random.Random(seed + 1000)
    databases = [Database(tmp_path / "chain.db") for _ in range(2)]
    readers = [reader(play.chain, database) for database in databases]
    for _ in range(40):
        for _ in range(roll.randrange(1, 12)):
            play.mine()
        if roll.random() < 0.4:
            play.reorganise(roll.randrange(1, min(FINALITY, play.chain.head) + 1))
        mine = roll.choice(readers)
        if roll.random() < 0.3:
            play.chain.cut = roll.randrange(play.chain.head + 1)
            with suppress(Unavailable):
                await mine.history(PROVIDER)
            play.chain.cut = None
        history = await mine.history(PROVIDER)
        assert history.tree() == play.state.tree()
        assert history.exited == play.exited()
    whole = await reader(play.chain, Database(None), keep=10**6).history(PROVIDER)
    assert whole.tree() == history.tree()
    assert (whole.count, whole.exited, whole.base.batches) == (history.count, history.exited, 0)
    assert history.base.batches > 0
    assert history.events == whole.events[len(whole.events) - len(history.events) :]
    assert rows(databases[0]) < len(whole.events) / 2


@pytest.mark.parametrize("seed", range(2))
async def test_a_tree_is_found_at_every_root_that_it_had_also_where_its_events_are_gone(seed: int) -> None:
    play, database = Play(seed), Database(None)
    for _ in range(15):
        for _ in range(6):
            play.mine()
        await reader(play.chain, database).history(PROVIDER)
    mine = reader(play.chain, database)
    had = {root_of(state.root): state for state in play.states}
    for root in random.Random(seed).sample(list(had), 6):
        assert (await mine.history(PROVIDER, root)).tree() == play.chain.trees[root]
    play.chain.asked.clear()
    for root in list(had)[-4:]:
        assert (await mine.history(PROVIDER, root)).tree() == play.chain.trees[root]
    assert all(start > 1 for start, _ in play.chain.asked), "the last ones are remembered"
    assert rows(database, "folds") <= 17
    with pytest.raises(Unavailable, match="leaves out"):
        await mine.history(PROVIDER, root_of(10**6))
    assert (await mine.history(PROVIDER)).tree() == play.state.tree(), "nothing is lost by that"


async def test_a_root_that_is_wanted_is_remembered_while_its_events_are_folded_for_the_first_time() -> None:
    play = Play(5)
    for _ in range(200):
        play.mine()
    root = root_of(play.states[40].root)
    mine = reader(play.chain, Database(None))
    assert (await mine.history(PROVIDER, root)).tree() == play.chain.trees[root]
    assert len([start for start, _ in play.chain.asked if start == 1]) <= 2, "it was read once, by both filters"


async def test_a_reorganisation_deeper_than_final_is_read_anew_from_the_start() -> None:
    play, database = Play(3), Database(None)
    for _ in range(3):
        for _ in range(40):
            play.mine()
        history = await reader(play.chain, database).history(PROVIDER)
    assert history.base.batches > 0
    play.reorganise(110)
    assert (await reader(play.chain, database).history(PROVIDER)).tree() == play.state.tree()


async def test_events_that_a_node_left_out_are_asked_of_the_next_one() -> None:
    play, database = Play(4), Database(None)
    for _ in range(100):
        play.mine()
    kept = play.chain.blocks[30:34]
    play.chain.blocks[30:34] = [type(block)(block.fork) for block in kept]
    for _ in range(2):
        with pytest.raises(Unavailable, match="leaves out events"):
            await reader(play.chain, database).history(PROVIDER)
    play.chain.blocks[30:34] = kept
    assert (await reader(play.chain, database).history(PROVIDER)).tree() == play.state.tree()


@pytest.mark.parametrize("keep", [20, 10**6])
async def test_an_insert_that_a_node_left_out_is_asked_of_the_next_one(keep: int) -> None:
    """The batches lead on, and the leaf that they move was never there."""
    play, database = Play(8), Database(None)
    for _ in range(100):
        play.mine()
    block = next(block for block in play.chain.blocks if any(name == "Operation" for name, _ in block.events))
    kept = block.events
    block.events = [event for event in kept if event[0] != "Operation"]
    with pytest.raises(Unavailable, match="leaves out events"):
        await reader(play.chain, database, keep=keep).history(PROVIDER)
    block.events = kept
    assert (await reader(play.chain, database, keep=keep).history(PROVIDER)).tree() == play.state.tree()


async def test_more_events_than_may_lie_there_wait_until_they_are_final() -> None:
    """The blocks before them are kept, and it goes on by itself when the chain has."""
    play, database = Play(6), Database(None)
    node = Node(play.chain, CHAIN, 10**6)
    play.chain.span = 10
    for _ in range(120):
        play.mine()
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"100 events .* final"):
            await ShardReader(node, database, LEDGER, 1, 20, 10, 100).history(PROVIDER)
        assert 100 < rows(database) < 200, "not one more range is taken in"
    history = await reader(play.chain, database, most=100).history(PROVIDER)
    assert history.tree() == play.state.tree()
    assert rows(database) < 200


async def measure(events: int) -> None:
    """Writes the most memory in MiB, the rows that are left and the MiB on disk."""
    chain = LongChain(events)
    path = Path(sys.argv[2])
    database = Database(path)
    history = await ShardReader(Node(chain, CHAIN, FINALITY), database, LEDGER, 1).history(PROVIDER)
    assert history.tree() == [chain.leaf(index, chain.head) for index in range(chain.LEASES)]
    assert history.count == chain.head
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    disk = sum(file.stat().st_size for file in path.parent.iterdir())
    result = (int(peak.split()[1]) // 1024, rows(database), disk // 2**20)
    sys.stdout.write(" ".join(map(str, result)))


def test_a_long_history_takes_neither_memory_nor_disk(tmp_path: Path) -> None:
    code = f"import asyncio, sys; from tests.unit.chain.test_shards import measure; asyncio.run(measure({EVENTS}))"
    ran = subprocess.run(
        [sys.executable, "-c", code, "-", str(tmp_path / "chain.db")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    memory, left, disk = (int(part) for part in ran.stdout.split())
    assert memory < 200
    assert left < 60_000
    assert disk < 150
