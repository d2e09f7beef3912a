"""The kernel's prover passes the published suite."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shale.proofs.checks import ProverChecks
from shale.proofs.kernel import KernelProver


@pytest.mark.asyncio(loop_scope="class")
class TestKernelProver(ProverChecks):
    # One process for all: loading the proving key takes longer than the tests.
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    async def prover(self) -> AsyncIterator[KernelProver]:
        prover = KernelProver()
        yield prover
        await prover.close()
