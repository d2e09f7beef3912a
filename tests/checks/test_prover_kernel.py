"""The kernel's prover passes the published suite."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shale.proofs.checks import ProverChecks
from shale.proofs.kernel import KernelProver


# One process for all: loading the proving key takes longer than the tests.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prover() -> AsyncIterator[KernelProver]:
    prover = KernelProver()
    yield prover
    await prover.close()


@pytest.mark.asyncio(loop_scope="module")
class TestKernelProver(ProverChecks):
    pass
