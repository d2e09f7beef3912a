"""ChainView: what the demo reads from the chain itself, past the daemons' own words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shale.chain.chain import LeaseRecord
from shale.chain.fvm import FvmChain
from shale.chain.network import Network
from shale.chain.rpc import Rpc
from shale.errors import Refused
from shale.market.review import Standing
from shale.paths import Home
from shale.units import checked_address, checked_lease_id

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Balances:
    """In attoFIL: the provider's payout address, and the client's balance in the ledger."""

    payout: int
    client: int


class ChainView:
    """Reads without a wallet; one short connection for each question."""

    def __init__(self, home: Home) -> None:
        self._network = Network.load(home, "")

    def _ask(self, question: Callable[[FvmChain], Awaitable[T]]) -> T:
        async def asked() -> T:
            chain = FvmChain(self._network.deployment, self._network.rpc_url, None)
            try:
                return await question(chain)
            finally:
                await chain.close()

        return asyncio.run(asked())

    def balances(self, payout: str, client: str) -> Balances:
        async def read(chain: FvmChain) -> Balances:
            return Balances(
                (await chain.wallet_balance(checked_address(payout))).value,
                (await chain.ledger_balance(checked_address(client))).value,
            )

        return self._ask(read)

    def held_by_ledger(self) -> int:
        """All the attoFIL that stand at the ledger's contract."""

        async def read(chain: FvmChain) -> int:
            return (await chain.wallet_balance(self._network.deployment.ledger)).value

        return self._ask(read)

    def lease(self, lease: str) -> LeaseRecord:
        record = self._ask(lambda chain: chain.lease(checked_lease_id(lease)))
        if record is None:
            raise Refused("the chain does not have the lease")
        return record

    def standing(self, provider: str) -> Standing:
        return self._ask(lambda chain: chain.standing(checked_address(provider)))

    def pass_time(self, seconds: int) -> None:
        """Let so many seconds pass on the chain of the desk: nobody waits a day for a demo."""

        async def jump() -> None:
            rpc = Rpc(self._network.rpc_url)
            try:
                await rpc.call("evm_increaseTime", seconds)
                await rpc.call("evm_mine")
            finally:
                await rpc.close()

        asyncio.run(jump())

    def verify_gas(self, tx: str) -> int:
        """Gas that the verifier's own call used in a transaction, from the node's trace of it."""

        async def read() -> Any:
            rpc = Rpc(self._network.rpc_url)
            try:
                return await rpc.call("debug_traceTransaction", tx, {"tracer": "callTracer"})
            finally:
                await rpc.close()

        verifiers = {verifier.lower() for verifier in self._network.deployment.verifiers}
        for call in _calls(asyncio.run(read())):
            if str(call.get("to", "")).lower() in verifiers:
                return int(call["gasUsed"], 16)
        raise Refused(f"transaction {tx} did not call the verifier")


def _calls(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [trace, *(inner for call in trace.get("calls", []) for inner in _calls(call))]
