"""Shards: one provider's history in the ledger's events, checked against the ledger's own state."""

from __future__ import annotations

from shale.chain.abi import Contract
from shale.chain.database import Database
from shale.chain.events import Events
from shale.chain.node import Node
from shale.chain.records import NOBODY, shard_event
from shale.errors import Unavailable
from shale.payments.history import ShardEvent, ShardHistory
from shale.payments.words import hex_word
from shale.units import Address

_ATTEMPTS = 3
_FORM = 2
"""Grows with the kinds of events that are asked for: a scan of fewer kinds lacks those that it never asked for."""


class ShardReader:
    """Reads on where it stopped, as long as the database lasts."""

    def __init__(self, node: Node, database: Database, ledger: Contract, start: int) -> None:
        self._node = node
        self._database = database
        self._ledger = ledger
        self._start = start
        self._scans: dict[Address, Events] = {}

    async def history(self, provider: Address, root: str | None = None) -> ShardHistory:
        """All events, or those up to the last batch that led to `root`.

        Raises Unavailable when the node leaves out events, or has some that contradict each other.
        """
        await self._node.check_chain()
        scan = self._scan(provider)
        for _ in range(_ATTEMPTS):
            until = await scan.sync()
            whole = ShardHistory(provider, until, tuple(self._events(scan)))
            empty = await self._root(Address(NOBODY))
            if root is not None:
                # Where the root has gone since doesn't matter: it may move with every block.
                if (part := whole.at(root, empty)) is not None:
                    return part
            elif whole.leads_to(await self._root(provider), empty):
                return whole
            # A batch may have come between the two questions; one that is left out stays left out.
        raise Unavailable(
            f"the node at {self._node.rpc.place} leaves out events of {provider}'s batches",
            "use another node (shale network add)",
        )

    def _scan(self, provider: Address) -> Events:
        if provider not in self._scans:
            topic = "0x" + provider[2:].lower().rjust(64, "0")
            kinds = {name: entry.topic for name, entry in self._ledger.artifact.events.items()}
            filters = (
                [[kinds["Locked"], kinds["Closed"]], None, None, topic],
                [[kinds["Operation"], kinds["Settled"], kinds["Exited"]], topic],
            )
            name = f"{self._node.chain_id}/{self._ledger.address}/{provider}/{_FORM}"
            self._scans[provider] = Events(self._node, self._database, name, self._ledger.address, filters, self._start)
        return self._scans[provider]

    def _events(self, scan: Events) -> list[ShardEvent]:
        entries = self._ledger.artifact.events
        try:
            return [shard_event(log, entries) for log in scan.logs()]
        except ValueError as error:
            raise self._node.nonsense(str(error)) from None

    async def _root(self, provider: Address) -> str:
        return hex_word((await self._node.read(self._ledger, "shardOf", provider)).root)
