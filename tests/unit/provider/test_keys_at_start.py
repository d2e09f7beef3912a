"""What a provider that can't prove, or whose proofs anyone can forge, is told when it starts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from shale.errors import ConfigError
from shale.proofs.memory import MemoryProver
from shale.proofs.prover import Circuit
from shale.provider.wiring import _check_keys


class Keyless(MemoryProver):
    """A prover without a proving key, of the desk or of a ceremony."""

    def __init__(self, *, unsafe_development: bool) -> None:
        super().__init__()
        self._unsafe = unsafe_development

    async def circuit(self) -> Circuit:
        whole = await super().circuit()
        sizes = tuple(replace(size, provable=False) for size in whole.sizes)
        return replace(whole, sizes=sizes, unsafe_development=self._unsafe)


@pytest.mark.parametrize(("unsafe", "way"), [(True, "make"), (False, "fetch SOURCE")])
async def test_keys_of_the_desk_are_made_and_those_of_a_ceremony_fetched(unsafe: bool, way: str) -> None:
    prover = Keyless(unsafe_development=unsafe)
    with pytest.raises(ConfigError, match=f"there is no proving key .*: run shale provider keys {way} --size 8"):
        await _check_keys(await deployed_for(prover, 314159), prover)


async def test_development_keys_take_no_money_on_mainnet() -> None:
    prover = MemoryProver()
    assert (await prover.circuit()).unsafe_development
    with pytest.raises(ConfigError, match=r"on mainnet: install a version with a ceremony's keys"):
        await _check_keys(await deployed_for(prover, 314), prover)
    await _check_keys(await deployed_for(prover, 314159), prover)


async def deployed_for(prover: MemoryProver, chain_id: int) -> Any:
    """A chain with a ledger for the prover's keys."""
    hashed = (await prover.circuit()).keys_hash

    async def keys_hash() -> str:
        return hashed

    return SimpleNamespace(keys_hash=keys_hash, deployment=SimpleNamespace(chain_id=chain_id))
