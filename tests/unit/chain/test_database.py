"""The database beside a wallet: private, whole or not at all, and told of in one line when it can't be used."""

from pathlib import Path
from sqlite3 import IntegrityError, OperationalError

import pytest

from shale.chain.database import Database
from shale.errors import ConfigError, Unavailable


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute("SELECT count(*) FROM scans").fetchone()[0])


@pytest.mark.parametrize("path", [None, "chain.db"])
def test_what_was_begun_and_broke_is_not_there(tmp_path: Path, path: str | None) -> None:
    database = Database(tmp_path / path if path else None)
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.executemany("INSERT INTO scans VALUES (?, ?)", [("a", 1), ("a", 2)])
    assert count(database) == 0
    with database.write() as connection:
        connection.execute("INSERT INTO scans VALUES ('a', 1)")
    assert count(database) == 1
    database.close()


def test_two_processes_see_each_others_writes(tmp_path: Path) -> None:
    one, two = Database(tmp_path / "chain.db"), Database(tmp_path / "chain.db")
    with one.write() as connection:
        connection.execute("INSERT INTO scans VALUES ('a', 1)")
    assert count(two) == 1
    one.close()
    two.close()


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Database(tmp_path / "home" / "chain.db").close()
    assert (tmp_path / "home" / "chain.db").stat().st_mode & 0o077 == 0
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "chain.db").write_bytes(b"x" * 5000)
    with pytest.raises(ConfigError, match=r"chain\.db"):
        Database(tmp_path / "chain.db")
    with pytest.raises(ConfigError, match=r"chain\.db"):
        Database(Path("/dev/null/chain.db"))


def test_a_fault_while_it_is_used_is_unavailable_and_a_mistake_of_ours_is_not(tmp_path: Path) -> None:
    database = Database(tmp_path / "chain.db")
    with database.read() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Unavailable, match=r"chain\.db can't be used now"), database.write() as connection:
        connection.execute("INSERT INTO scans VALUES ('a', 1)")
    with pytest.raises(OperationalError, match="no such table"), database.read() as connection:
        connection.execute("SELECT * FROM nowhere")
    assert count(database) == 0
    database.close()
