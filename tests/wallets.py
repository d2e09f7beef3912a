"""Wallets that are contracts, on a real chain: one key signs for each, and has it call whatever it wants."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from shale.chain.abi import Artifact, Contract
from shale.chain.chain import Deployment
from shale.chain.database import Database
from shale.chain.devnet import fund
from shale.chain.node import Node
from shale.chain.outbox import Outbox
from shale.chain.sender import Sender
from shale.market.accounts import Signer
from shale.units import Address, AttoFil, checked_address

ROOT = Path(__file__).parent.parent
FIL = AttoFil(10**18)


@cache
def key_wallet() -> Artifact:
    """The contract of `contracts/test/support`, compiled."""
    with tempfile.TemporaryDirectory(prefix="shale-test-") as folder:
        env = os.environ | {"FOUNDRY_OUT": f"{folder}/out", "FOUNDRY_CACHE_PATH": f"{folder}/cache"}
        forge = [str(ROOT / "node_modules/.bin/forge"), "build", "contracts/test/support/KeyWallet.sol"]
        done = subprocess.run(forge, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        raw = json.loads(Path(folder, "out/KeyWallet.sol/KeyWallet.json").read_text())
    return Artifact("KeyWallet", tuple(raw["abi"]), raw["bytecode"]["object"], "")


async def make_wallet(url: str, deployment: Deployment, owner: Signer) -> Address:
    """Deploy one that `owner` signs for; it puts 1 FIL of its own into the ledger."""
    node = Node(url, deployment.chain_id)
    sender = Sender(node, owner, Outbox(Database(None), node.chain_id, checked_address(owner.address)))
    try:
        creation = key_wallet().creation([checked_address(owner.address)])
        wallet = checked_address((await sender.transact(None, bytes.fromhex(creation[2:]))).contract)
        await fund(url, wallet, FIL)
        deposit = "0xd0e30db0"  # deposit()
        await execute(sender, wallet, deployment.ledger, FIL, deposit)
        return wallet
    finally:
        await sender.close()
        await node.close()


async def execute(sender: Sender, wallet: Address, to: Address, value: AttoFil, data: str) -> Any:
    """Have a wallet call another contract with its own money."""
    call = Contract(wallet, key_wallet()).function("execute").call([to, value.value, data])
    return await sender.transact(wallet, bytes.fromhex(call[2:]))
