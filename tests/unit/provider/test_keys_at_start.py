"""What a provider that can't prove is told when it starts."""

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
    hashed = (await prover.circuit()).keys_hash

    async def keys_hash() -> str:
        return hashed

    chain: Any = SimpleNamespace(keys_hash=keys_hash)
    with pytest.raises(ConfigError, match=f"there is no proving key .*: run shale provider keys {way} --size 8"):
        await _check_keys(chain, prover)
