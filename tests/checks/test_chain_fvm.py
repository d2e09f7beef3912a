"""The chain over JSON-RPC passes the published suite, on a real anvil with the real contracts and prover."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.devnets import open_bench, open_devnet, open_prover

from shale.chain.bench import Bench
from shale.chain.chain import Deployment
from shale.chain.checks import ChainChecks
from shale.proofs.kernel import KernelProver


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, Deployment]]:
    async with open_devnet(tmp_path_factory.mktemp("devnet")) as opened:
        yield opened


# One process for all: loading the proving key takes longer than the tests.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prover() -> AsyncIterator[KernelProver]:
    async with open_prover() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def bench(deployed: tuple[str, Deployment], prover: KernelProver) -> AsyncIterator[Bench]:
    async with open_bench(*deployed, prover) as (opened, _):
        yield opened


@pytest.mark.asyncio(loop_scope="module")
class TestFvmChain(ChainChecks):
    pass
