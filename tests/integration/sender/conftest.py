"""One anvil for each module of tests, and a new wallet on it for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.devnets import free_port
from tests.senders import FIL, Desk

from shale.chain.devnet import Devnet, fund


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    devnet = Devnet(tmp_path_factory.mktemp("devnet"))
    try:
        yield (await devnet.start(free_port())).rpc_url
    finally:
        await devnet.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(url, tmp_path / "chain.db")
    await made.rpc.call("evm_setAutomine", False)
    await made.mine()
    await fund(url, made.account.address, FIL)
    yield made
    await made.rpc.call("anvil_dropAllTransactions")
    await made.close()
