"""Registry in memory: the providers' records, and who may act for a miner, under the contract's rules."""

from __future__ import annotations

from dataclasses import replace

from shale.chain.chain import ProviderRecord
from shale.errors import Refused
from shale.units import Address


class Registry:
    """The providers' records by operator. `controllers` is what the chain itself knows: who controls which miner."""

    def __init__(self) -> None:
        self.controllers: dict[int, Address] = {}
        self._records: dict[Address, ProviderRecord] = {}
        self._vouched: dict[tuple[int, Address], Address] = {}
        self._bound_by: dict[Address, Address] = {}

    def get(self, operator: Address) -> ProviderRecord | None:
        return self._records.get(operator)

    def active(self) -> list[ProviderRecord]:
        return [record for record in self._records.values() if record.active]

    def register(
        self, operator: Address, miner: int, endpoint: str, host_key: str, offer: str, payout: Address
    ) -> None:
        found = self._records.get(operator)
        if not 1 <= len(endpoint.encode()) <= 256:
            raise Refused(f"an endpoint of {len(endpoint)} bytes can't be registered", "give 1 to 256 bytes")
        bound = found.miner if found else 0
        if miner not in (0, bound):
            self._bound_by[operator] = self._controller_for(miner, operator)
            bound = miner
        self._records[operator] = ProviderRecord(operator, bound, endpoint, host_key, offer, payout, True)

    def _controller_for(self, miner: int, operator: Address) -> Address:
        """Who lets the operator act for the miner: itself, or a controller that vouched for it and still is one."""
        controller = self.controllers.get(miner)
        if controller is not None and controller in (operator, self._vouched.get((miner, operator))):
            return controller
        raise Refused(f"{operator} does not control the miner f0{miner}", "register from its owner or worker")

    def authorize(self, sender: Address, miner: int, operator: Address) -> None:
        if self.controllers.get(miner) != sender:
            raise Refused(f"{sender} does not control the miner f0{miner}", "send it from its owner or worker")
        self._vouched[(miner, operator)] = sender

    def bind_miner(self, operator: Address, miner: int) -> None:
        found = self._records.get(operator)
        if found is None or not found.active:
            raise Refused("this operator is not registered", "register it first")
        self._bound_by.pop(operator, None)
        if miner:
            self._bound_by[operator] = self._controller_for(miner, operator)
        self._records[operator] = replace(found, miner=miner)

    def revoke(self, sender: Address, miner: int, operator: Address) -> None:
        giver = self._vouched.get((miner, operator))
        if giver is None:
            raise Refused(f"{operator} is not authorized for the miner f0{miner}", "there is nothing to take back")
        if sender not in (giver, self.controllers.get(miner)):
            raise Refused(f"{sender} does not control the miner f0{miner}", "send it from its owner or worker")
        del self._vouched[(miner, operator)]
        found = self._records.get(operator)
        if found is not None and found.miner == miner and self._bound_by.get(operator) != operator:
            self._bound_by.pop(operator, None)
            self._records[operator] = replace(found, miner=0)

    def recheck(self, operator: Address) -> None:
        found = self._records.get(operator)
        if found is None or not found.miner:
            raise Refused("this operator has no miner bound to it", "there is nothing to check")
        if self.controllers.get(found.miner) != self._bound_by.get(operator):
            self._records[operator] = replace(found, miner=0)

    def retire(self, operator: Address) -> None:
        found = self._records.get(operator)
        if found is None or not found.active:
            raise Refused("this operator is not registered", "register it first")
        self._records[operator] = replace(found, active=False)
