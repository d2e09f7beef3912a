"""Books that somebody else holds locked: a real lock on the real file, which the driver hardly waits for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from shale.provider.store import Store


async def never_wait(store: Store) -> None:
    """Let the driver say almost at once that the books are locked, in place of after ten seconds."""
    await store._engine.dispose()
    event.listen(store._engine.sync_engine, "connect", _no_timeout)


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Nobody can write to the books for the time of the context."""
    holder = sqlite3.connect(str(store._engine.url.database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


def _no_timeout(connection: Any, _record: object) -> None:
    connection.cursor().execute("PRAGMA busy_timeout=10")
