"""Proving keys from servers on a real socket, honest and other ones, into a real folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.key_server import KeyServer, key_server

from shale.clock import ManualClock
from shale.errors import ConfigError, InputRefused, Refused, ShaleError, Unavailable
from shale.proofs.fetching import ATTEMPTS, Fetched, fetch
from shale.proofs.key_files import State, part_name, state_of
from shale.proofs.key_sources import source_of
from shale.proofs.prover import Circuit, CircuitSize, KeyFile

MOST = 1 << 20
CONTENT = {
    f"window-{size}.{end}": hashlib.shake_256(f"{size} {end}".encode()).digest(many)
    for size, end, many in [(1, "r1cs", 3000), (1, "pk", 70_000), (8, "r1cs", 150_000), (8, "pk", 400_000)]
}


def key_file(name: str, content: bytes | None = None) -> KeyFile:
    return KeyFile(name, hashlib.sha256(CONTENT[name] if content is None else content).hexdigest(), MOST)


def size_of(size: int) -> CircuitSize:
    return CircuitSize(size, 100, "0x0", False, (key_file(f"window-{size}.r1cs"), key_file(f"window-{size}.pk")))


CIRCUIT = Circuit((size_of(1), size_of(8)), 20, "0x0", False, "0x0")
PK = CIRCUIT.sizes[0].files[1]


class Hasty(ManualClock):
    """A clock on which nobody waits; each look at it may take a while."""

    def __init__(self, look: float = 0.0) -> None:
        super().__init__()
        self._look = look
        self.pauses: list[float] = []

    def steady(self) -> float:
        self._steady += self._look
        return self._steady

    async def sleep_until(self, steady: float) -> None:
        self.pauses.append(steady - self._steady)
        self._steady = steady


class Nobody:
    """Looks on, and keeps what was shown."""

    def __init__(self) -> None:
        self.most = 0
        self.shown: list[tuple[str, int]] = []
        self.attempts: list[int] = []

    def moved(self, name: str, done: int, total: int | None) -> None:
        assert total is None or done <= total
        self.most = max(self.most, done)
        self.shown.append((name, done))

    def again(self, place: str, attempt: int) -> None:
        self.attempts.append(attempt)

    def fetched(self, file: KeyFile, size: int) -> None: ...


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as plan:
        plan.files = dict(CONTENT)
        yield plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "keys"


async def bring(
    source: str, folder: Path, *sizes: int, circuit: Circuit = CIRCUIT, watch: Nobody | None = None, look: float = 0.0
) -> Fetched:
    return await fetch(source_of(source), circuit, sizes, folder, watch or Nobody(), Hasty(look))


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


async def test_all_keys_that_are_lacking_come_into_their_places(server: KeyServer, folder: Path) -> None:
    done = await bring(server.url + "/", folder)
    assert {file.name: size for file, size in done.brought} == {name: len(CONTENT[name]) for name in CONTENT}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


async def test_only_the_sizes_that_were_named_are_fetched(server: KeyServer, folder: Path) -> None:
    await bring(server.url, folder, 8)
    assert names(folder) == ["window-8.pk", "window-8.r1cs"]
    with pytest.raises(Refused, match="no circuit of size 64: give 1 or 8"):
        await bring(server.url, folder, 64)


async def test_what_is_sound_is_not_asked_for_and_what_is_damaged_is_replaced(server: KeyServer, folder: Path) -> None:
    await bring(server.url, folder, 1)
    server.asked.clear()
    (folder / PK.name).write_bytes(CONTENT[PK.name][:-1] + b"x")
    done = await bring(server.url, folder, 1)
    assert server.asked == [(PK.name, None)]
    assert [file.name for file in done.had] == ["window-1.r1cs"]
    assert (folder / PK.name).read_bytes() == CONTENT[PK.name]


async def test_a_transfer_that_breaks_off_goes_on_where_it_was(server: KeyServer, folder: Path) -> None:
    server.cuts = [3000, 20_000, 5000]
    watch = Nobody()
    await bring(server.url, folder, 1, watch=watch)
    assert server.asked[1:] == [(PK.name, None), (PK.name, "bytes=20000-"), (PK.name, "bytes=25000-")]
    assert watch.attempts == [2, 3]
    assert (folder / PK.name).read_bytes() == CONTENT[PK.name]


async def test_a_server_that_sends_a_range_in_pieces_is_asked_for_the_next(server: KeyServer, folder: Path) -> None:
    server.cuts, server.piece = [None, 10_000], 25_000
    await bring(server.url, folder, 1)
    assert [asked for _, asked in server.asked[1:]] == [None, "bytes=10000-", "bytes=35000-", "bytes=60000-"]
    assert (folder / PK.name).read_bytes() == CONTENT[PK.name]


async def test_a_server_without_ranges_is_read_from_the_start_again(server: KeyServer, folder: Path) -> None:
    server.ranges, server.cuts = False, [3000, 20_000]
    await bring(server.url, folder, 1)
    assert server.asked[2] == (PK.name, "bytes=20000-")
    assert (folder / PK.name).read_bytes() == CONTENT[PK.name]


async def test_a_server_that_goes_on_breaking_off_is_left_and_what_came_is_kept(
    server: KeyServer, folder: Path
) -> None:
    server.cuts = [3000] + [10_000] * ATTEMPTS
    with pytest.raises(Unavailable, match=rf"breaks off in {PK.name} .*, 5 times: 48.8 KiB of {PK.name} stay"):
        await bring(server.url, folder, 1)
    assert names(folder) == sorted([part_name(PK), "window-1.r1cs"])
    await bring(server.url, folder, 1)
    assert server.asked[-1] == (PK.name, "bytes=50000-")
    assert names(folder) == ["window-1.pk", "window-1.r1cs"]


async def test_a_transfer_that_gets_on_is_never_given_up(server: KeyServer, folder: Path) -> None:
    content = hashlib.shake_256(b"large").digest(7 << 20)
    large = KeyFile("window-1.pk", hashlib.sha256(content).hexdigest(), 8 << 20)
    server.files["window-1.pk"] = content
    server.cuts = [(1 << 20) + 1] * 6
    circuit = Circuit((CircuitSize(1, 100, "0x0", False, (large,)),), 20, "0x0", False, "0x0")
    await bring(server.url, folder, circuit=circuit)
    assert len(server.asked) == 7


@pytest.mark.parametrize("chunked", [False, True])
async def test_wrong_bytes_are_refused_with_both_digests_and_leave_nothing(
    server: KeyServer, folder: Path, chunked: bool
) -> None:
    wrong = b"w" * 70_000
    server.files[PK.name], server.chunked = wrong, chunked
    with pytest.raises(Refused) as refused:
        await bring(server.url, folder, 1)
    got = hashlib.sha256(wrong).hexdigest()
    assert refused.value.message.startswith(f"{PK.name} of {server.url} is another file")
    assert refused.value.message.endswith(f"{PK.sha256} was expected, got {got}")
    assert names(folder) == ["window-1.r1cs"]


async def test_a_body_without_an_end_is_left_at_the_bound(server: KeyServer, folder: Path) -> None:
    server.endless = True
    watch = Nobody()
    with pytest.raises(Refused, match=f"sends more than {MOST} bytes of window-1.r1cs, at most so many are possible"):
        await bring(server.url, folder, 1, watch=watch)
    assert watch.most <= MOST
    assert names(folder) == []


async def test_a_length_beyond_the_bound_is_refused_before_the_body(server: KeyServer, folder: Path) -> None:
    server.says = MOST + 1
    watch = Nobody()
    with pytest.raises(Refused, match=f"says that window-1.r1cs has {MOST + 1} bytes, at most {MOST} are possible"):
        await bring(server.url, folder, 1, watch=watch)
    assert (watch.most, names(folder)) == (0, [])


async def test_a_length_that_is_short_of_the_file_is_told_by_the_digest(server: KeyServer, folder: Path) -> None:
    server.says = 100
    with pytest.raises(Refused, match=r"window-1.r1cs of .* is another file"):
        await bring(server.url, folder, 1)
    assert names(folder) == []


async def test_a_length_that_never_comes_is_a_transfer_that_breaks_off(server: KeyServer, folder: Path) -> None:
    server.says, server.ranges = 3000, False
    server.files["window-1.r1cs"] = CONTENT["window-1.r1cs"][:2000]
    with pytest.raises(Unavailable, match=r"window-1.r1cs .*, 5 times: 2.0 KiB of window-1.r1cs stay"):
        await bring(server.url, folder, 1)


async def test_a_key_that_the_server_lacks_is_named_and_what_came_before_stays(server: KeyServer, folder: Path) -> None:
    del server.files["window-8.r1cs"]
    with pytest.raises(Refused, match=f"{server.url} has no window-8.r1cs: name with --size"):
        await bring(server.url, folder)
    assert names(folder) == ["window-1.pk", "window-1.r1cs"]


@pytest.mark.parametrize(("status", "kind"), [(403, Refused), (204, Refused), (206, Refused), (503, Unavailable)])
async def test_a_server_that_answers_otherwise_is_told_by_its_status(
    server: KeyServer, folder: Path, status: int, kind: type[ShaleError]
) -> None:
    server.status = status
    with pytest.raises(kind, match=f"status {status}"):
        await bring(server.url, folder, 1)
    assert len(server.asked) == (ATTEMPTS if kind is Unavailable else 1)
    assert names(folder) == []


async def test_nobody_at_the_url_is_unavailable(folder: Path) -> None:
    with pytest.raises(Unavailable, match=r"does not answer \(ConnectError\), 5 times"):
        await bring("http://127.0.0.1:1/keys", folder, 1)
    assert names(folder) == []


async def test_a_few_redirects_are_followed_and_no_more(server: KeyServer, folder: Path) -> None:
    server.hops, server.cuts = 5, [3000, 20_000]
    await bring(server.url, folder, 1)
    assert server.asked[2] == (PK.name, "bytes=20000-"), "the range goes along"
    server.hops = 6
    with pytest.raises(Refused, match="redirects more than 5 times"):
        await bring(server.url, folder, 8)


async def test_a_server_that_drips_is_not_waited_for(server: KeyServer, folder: Path) -> None:
    with pytest.raises(Unavailable, match=r"sends less than 16.0 KiB a second, 5 times"):
        await bring(server.url, folder, 8, look=70.0)


@pytest.mark.parametrize("part", [b"x" * 1000, CONTENT[PK.name] + b"x", b"x" * 70_000, b"x" * (MOST + 5)])
async def test_a_spoiled_rest_of_an_earlier_fetch_costs_no_more_than_another_transfer(
    server: KeyServer, folder: Path, part: bytes
) -> None:
    folder.mkdir(parents=True)
    (folder / part_name(PK)).write_bytes(part)
    await bring(server.url, folder, 1)
    assert [name for name, _ in server.asked] == ["window-1.r1cs", PK.name, PK.name]
    assert (folder / PK.name).read_bytes() == CONTENT[PK.name]
    assert names(folder) == ["window-1.pk", "window-1.r1cs"]


async def test_a_fetch_that_was_killed_before_its_last_step_needs_no_transfer(server: KeyServer, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / part_name(PK)).write_bytes(CONTENT[PK.name])
    await bring(server.url, folder, 1)
    assert server.asked == [("window-1.r1cs", None)]
    assert names(folder) == ["window-1.pk", "window-1.r1cs"]


async def test_what_lies_behind_the_end_of_a_whole_rest_does_not_come_into_its_place(
    server: KeyServer, folder: Path
) -> None:
    tight = replace(PK, most=len(CONTENT[PK.name]))
    folder.mkdir(parents=True)
    (folder / part_name(tight)).write_bytes(CONTENT[PK.name] + b"behind")
    await bring(server.url, folder, circuit=replace(CIRCUIT, sizes=(replace(CIRCUIT.sizes[0], files=(tight,)),)))
    assert (folder / PK.name).read_bytes() == CONTENT[PK.name]


async def test_the_rest_of_a_key_that_came_in_another_way_is_removed(server: KeyServer, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / PK.name).write_bytes(CONTENT[PK.name])
    (folder / part_name(PK)).write_bytes(b"x")
    await bring(server.url, folder, 1)
    assert names(folder) == ["window-1.pk", "window-1.r1cs"]


async def test_rests_of_other_keys_are_removed_and_those_of_these_are_kept(server: KeyServer, folder: Path) -> None:
    folder.mkdir(parents=True)
    old = part_name(key_file("window-1.pk", b"of the last ceremony"))
    other = part_name(CIRCUIT.sizes[1].files[1])
    for name in (old, other, part_name(PK)):
        (folder / name).write_bytes(b"x")
    await bring(server.url, folder, 1)
    assert names(folder) == sorted([other, "window-1.pk", "window-1.r1cs"])


async def test_two_fetches_at_a_time_do_not_mix(server: KeyServer, folder: Path) -> None:
    outcomes = await asyncio.gather(bring(server.url, folder, 1), bring(server.url, folder, 1), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 1
    assert "already: wait for the other fetch" in str(refused[0])
    assert (folder / PK.name).read_bytes() == CONTENT[PK.name]


async def test_a_folder_is_a_source_too(tmp_path: Path, folder: Path) -> None:
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    folder.mkdir(parents=True)
    (folder / part_name(PK)).write_bytes(CONTENT[PK.name][:5000])
    watch = Nobody()
    await bring(str(tmp_path), folder, watch=watch)
    assert next(done for name, done in watch.shown if name == PK.name) == 5000
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    (tmp_path / PK.name).unlink()
    (folder / PK.name).unlink()
    with pytest.raises(Refused, match=f"{tmp_path} has no {PK.name}"):
        await bring(str(tmp_path), folder)
    os.mkfifo(tmp_path / PK.name)
    with pytest.raises(Refused, match=f"{PK.name} is not a file"):
        await bring(str(tmp_path), folder)
    with pytest.raises(InputRefused, match="is not a folder"):
        await bring(str(tmp_path / "none"), folder)


async def test_a_place_that_can_not_be_written_is_one_line(server: KeyServer, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"a file")
    with pytest.raises(ConfigError, match=r"keys can't be used \(File exists\): .*SHALE_KEYS"):
        await bring(server.url, tmp_path / "keys", 1)
    folder = tmp_path / "other"
    (folder / PK.name).mkdir(parents=True)
    with pytest.raises(ConfigError, match=rf"{PK.name} can't be written \(Is a directory\)"):
        await bring(server.url, folder, 1)


_ON_A_SMALL_DISK = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
from tests.integration.test_proofs_fetching import bring
try:
    asyncio.run(bring(sys.argv[1], Path(sys.argv[2]), 8))
except Exception as error:
    print(type(error).__name__, error)
print(sorted(os.listdir(sys.argv[2])))
"""


@pytest.mark.parametrize(
    ("chunked", "why"),
    [
        (False, "ConfigError window-8.pk needs 390.6 KiB more, DIR has"),
        (True, "ConfigError DIR/window-8.pk can't be written (No space left on device): make room"),
    ],
)
def test_a_full_disk_is_told_and_gets_its_room_back(server: KeyServer, folder: Path, chunked: bool, why: str) -> None:
    server.chunked = chunked
    folder.mkdir(parents=True)
    # A disk of 300 KiB, in a mount namespace of its own.
    script = 'mount -t tmpfs -o size=300k none "$2" && exec "$0" -c "$3" "$1" "$2"'
    words = [
        "unshare",
        "-m" if os.geteuid() == 0 else "-rm",
        "sh",
        "-c",
        script,
        sys.executable,
        server.url,
        str(folder),
        _ON_A_SMALL_DISK,
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    told, left = done.stdout.splitlines()
    assert told.startswith(why.replace("DIR", str(folder)))
    assert left == "['window-8.r1cs']"


def test_the_state_of_a_file_is_what_its_bytes_are(tmp_path: Path) -> None:
    read: list[int] = []

    def state(file: KeyFile = PK) -> State:
        read.clear()
        return state_of(tmp_path, file, lambda name, done, total: read.append(done))

    assert state() is State.MISSING
    (tmp_path / PK.name).write_bytes(CONTENT[PK.name])
    assert state() is State.GOOD
    assert state(KeyFile(PK.name, PK.sha256, 69_999)) is State.DAMAGED
    assert read == [], "what is too large is not read"
    (tmp_path / PK.name).write_bytes(CONTENT[PK.name][:-1])
    assert state() is State.DAMAGED
    (tmp_path / PK.name).unlink()
    os.mkfifo(tmp_path / PK.name)
    assert state() is State.DAMAGED


def test_whatever_breaks_off_the_file_is_whole_in_the_end_or_not_there() -> None:
    """However the transfers are cut, whatever an earlier fetch left, and whether the server does ranges or not."""
    with key_server() as server:

        @settings(max_examples=60)
        @given(
            content=st.binary(min_size=1, max_size=4000),
            cuts=st.lists(st.integers(0, 4000), max_size=ATTEMPTS + 1),
            left=st.none() | st.tuples(st.integers(0, 4500), st.booleans()),
            ranges=st.booleans(),
            chunked=st.booleans(),
        )
        def holds(content: bytes, cuts: list[int], left: tuple[int, bool] | None, ranges: bool, chunked: bool) -> None:
            file = KeyFile("window-1.pk", hashlib.sha256(content).hexdigest(), 4096)
            circuit = Circuit((CircuitSize(1, 100, "0x0", False, (file,)),), 20, "0x0", False, "0x0")
            server.files = {file.name: content}
            server.ranges, server.chunked, server.cuts, server.asked = ranges, chunked, list(cuts), []
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                if left is not None:
                    size, honest = left
                    (folder / part_name(file)).write_bytes(content[:size] if honest else b"x" * size)
                try:
                    asyncio.run(bring(server.url, folder, circuit=circuit))
                except Unavailable:
                    # Only a server that broke off so often is given up; the next fetch gets on.
                    assert len(cuts) >= ATTEMPTS
                    assert set(os.listdir(folder)) <= {part_name(file)}
                    server.cuts = []
                    asyncio.run(bring(server.url, folder, circuit=circuit))
                assert {path.name: path.read_bytes() for path in folder.iterdir()} == {file.name: content}
                assert len(server.asked) <= 2 * ATTEMPTS + 1

        holds()
