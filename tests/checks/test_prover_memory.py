"""The in-memory prover passes the published suite."""

import pytest

from shale.proofs.checks import ProverChecks
from shale.proofs.memory import MemoryProver


class TestMemoryProver(ProverChecks):
    @pytest.fixture
    def prover(self) -> MemoryProver:
        return MemoryProver()
