"""The client's books: amounts never fall, names are unique among the living, secrets go with the lease."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from shale.client.rental import Shell, checked_name
from shale.client.store import Store
from shale.errors import Closed, ConfigError, InputRefused, Refused
from shale.market.lease import EndReason, LeaseState
from shale.proofs.memory import MemoryProver
from shale.units import AttoFil


async def test_a_signed_amount_is_kept_across_a_restart(bench: Any) -> None:
    rental = await bench.lease()
    bench.store.raise_paid(rental.id, rental.price.over(10), 10, at=77)
    bench.store.raise_paid(rental.id, rental.price.over(15), 15, at=99)
    with closing(Store(bench.home)) as again:
        kept = again.rental("one")
    assert (kept.paid, kept.seconds, kept.first_paid_at) == (rental.price.over(15), 15, 77)


async def test_books_of_the_first_version_are_taken_on(bench: Any) -> None:
    rental = await bench.lease()
    with closing(sqlite3.connect(bench.home.client / "leases.sqlite")) as books:
        books.execute("ALTER TABLE leases DROP COLUMN fault")
        books.execute("ALTER TABLE leases DROP COLUMN extra_seconds")
        books.execute("PRAGMA user_version=1")
    with closing(Store(bench.home)) as again:
        assert again.by_id(rental.id) == rental
        assert again.set_fault(rental.id, "dataset fault").fault == "dataset fault"


async def test_a_lower_amount_is_refused_and_changes_nothing(bench: Any) -> None:
    rental = await bench.lease()
    kept = bench.store.raise_paid(rental.id, rental.price.over(10), 10, at=1)
    for amount, seconds in ((rental.price.over(5), 10), (rental.price.over(10), 5), (AttoFil(0), 0)):
        with pytest.raises(Refused, match="signed before"):
            bench.store.raise_paid(rental.id, amount, seconds, at=2)
    assert bench.store.raise_paid(rental.id, kept.paid, kept.seconds, at=3) == kept


async def test_more_than_the_collateral_is_refused(bench: Any) -> None:
    rental = await bench.lease()
    bench.store.raise_paid(rental.id, rental.collateral, rental.order.max_seconds, at=1)
    with pytest.raises(Refused, match="exceeds the collateral"):
        bench.store.raise_paid(rental.id, rental.collateral + AttoFil(1), 9999, at=1)


async def test_nothing_is_signed_for_an_ended_lease(bench: Any) -> None:
    rental = await bench.lease()
    bench.store.end(rental.id, EndReason.CLIENT_ENDED, 5)
    with pytest.raises(Closed, match="has ended"):
        bench.store.raise_paid(rental.id, rental.price.over(5), 5, at=6)


async def test_many_writers_at_once_leave_the_highest_amount(bench: Any) -> None:
    rental = await bench.lease()

    def pay(seconds: int) -> None:
        with closing(Store(bench.home)) as store:
            try:
                store.raise_paid(rental.id, rental.price.over(seconds), seconds, at=1)
            except Refused:
                assert store.by_id(rental.id).seconds > seconds

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(pay, range(5, 100, 5)))
    assert bench.store.by_id(rental.id).seconds == 95


async def test_a_living_lease_keeps_its_name_and_an_ended_one_frees_it(bench: Any) -> None:
    first = await bench.lease("one")
    with pytest.raises(InputRefused, match="named one already"):
        await bench.lease("one")
    bench.store.end(first.id, EndReason.CLIENT_ENDED, 5)
    second = await bench.lease("one")
    assert bench.store.rental("one").id == second.id != first.id
    assert [rental.id for rental in bench.store.rentals(living=True)] == [second.id]
    assert len(bench.store.rentals()) == 2


async def test_an_end_removes_the_secrets_and_its_first_reason_stays(bench: Any) -> None:
    rental = await bench.lease()
    folder = bench.store.folder("one")
    assert (folder / "gateway_key").stat().st_mode & 0o777 == 0o600
    assert (folder / "pay_key.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    bench.store.end(rental.id, EndReason.UNPAID, 5)
    again = bench.store.end(rental.id, EndReason.CLIENT_ENDED, 9)
    assert (again.end_reason, again.ended_at, folder.exists()) == (EndReason.UNPAID, 5, False)


async def test_ending_an_old_lease_again_leaves_its_namesakes_secrets(bench: Any) -> None:
    old = await bench.lease()
    bench.store.end(old.id, EndReason.CLIENT_ENDED, 5)
    await bench.lease()
    bench.store.end(old.id, EndReason.CLIENT_ENDED, 6)
    assert (bench.store.folder("one") / "pay_key.json").exists()


async def test_a_lease_leaves_the_folder_in_which_it_cannot_read_its_own_key(bench: Any) -> None:
    """A namesake's command has made it, and writes its keys at this moment; or it is broken."""
    old = await bench.lease()
    folder = bench.store.folder("one")
    for contents in (None, "{", '{"x": 1, "y": 2}', '["x"]'):
        (folder / "pay_key.json").unlink(missing_ok=True)
        if contents is not None:
            (folder / "pay_key.json").write_text(contents)
        bench.store.end(old.id, EndReason.CLIENT_ENDED, 5)
        assert (folder / "gateway_key").exists()


async def test_a_forgotten_lease_leaves_the_keys_of_a_namesake_that_is_in_no_books_yet(bench: Any) -> None:
    """It is being ordered: its keys come first."""
    failed = await bench.lease()
    bench.store.end(failed.id, EndReason.START_FAILED, 5)
    assert not bench.store.folder("one").exists()
    secret = await MemoryProver().keygen()
    bench.store.keep_secrets("one", b"key", secret)
    bench.store.forget(failed.id)
    assert bench.store.pay_secret("one") == secret
    bench.store.drop_secrets("one", failed.order.pay_key)
    assert bench.store.pay_secret("one") == secret
    bench.store.drop_secrets("one", secret.public)
    assert not bench.store.folder("one").exists()


async def test_states_follow_the_way_of_a_lease(bench: Any) -> None:
    rental = await bench.lease()
    assert bench.store.set_state(rental.id, LeaseState.FROZEN).state is LeaseState.FROZEN
    assert bench.store.set_state(rental.id, LeaseState.FROZEN).state is LeaseState.FROZEN
    assert bench.store.set_state(rental.id, LeaseState.RUNNING).state is LeaseState.RUNNING
    with pytest.raises(Closed):
        bench.store.set_state(rental.id, LeaseState.ACCEPTED)
    with pytest.raises(Closed):
        bench.store.forget(rental.id)
    with pytest.raises(Closed):
        bench.store.settle(rental.id, AttoFil(0), 0)
    bench.store.end(rental.id, EndReason.CLIENT_ENDED, 5)
    with pytest.raises(Closed):
        bench.store.set_shell(rental.id, Shell("10.0.0.1", 22, "root"))
    settled = bench.store.settle(rental.id, AttoFil(7), 3)
    assert (settled.state, settled.settled_paid, settled.settled_seconds) == (LeaseState.SETTLED, AttoFil(7), 3)


async def test_a_payment_key_comes_back_as_it_was_kept_and_never_shows_its_secret(bench: Any) -> None:
    secret = await MemoryProver().keygen()
    bench.store.keep_secrets("two", b"key", secret)
    assert bench.store.pay_secret("two") == secret
    assert secret.secret not in repr(secret)
    (bench.store.folder("two") / "pay_key.json").write_text("{")
    with pytest.raises(ConfigError, match="missing or broken"):
        bench.store.pay_secret("two")


def test_an_unknown_lease_is_named_in_the_error(bench: Any) -> None:
    with pytest.raises(InputRefused, match="no lease named 'nope'"):
        bench.store.rental("nope")


async def test_books_of_the_version_before_are_taken_over(bench: Any) -> None:
    rental = await bench.lease()
    with closing(sqlite3.connect(bench.home.client / "leases.sqlite")) as raw:
        raw.execute("ALTER TABLE leases DROP COLUMN extra_seconds")
        raw.execute("PRAGMA user_version=2")
    store = Store(bench.home)
    assert store.by_id(rental.id) == rental
    assert store.set_extra_seconds(rental.id, 60).collateral == rental.price.over(3660)
    store.close()


def test_books_of_another_version_are_refused(bench: Any) -> None:
    with closing(sqlite3.connect(bench.home.client / "leases.sqlite")) as raw:
        raw.execute("PRAGMA user_version=99")
    with pytest.raises(ConfigError, match="another version"):
        Store(bench.home)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "../a", "a/b", "a" * 41, "gateway-x", "é", "a\n"])
def test_a_name_that_ssh_or_the_file_system_could_misread_is_refused(name: str) -> None:
    with pytest.raises(InputRefused):
        checked_name(name)


@pytest.mark.parametrize("name", ["a", "a1", "swift-basalt", "a" * 40])
def test_a_plain_name_is_taken(name: str) -> None:
    assert checked_name(name) == name
