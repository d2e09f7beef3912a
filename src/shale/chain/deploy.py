"""Deploy: puts Shale's contracts on a chain; nobody owns them afterwards, whoever sends this."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shale.chain.abi import VERIFIERS, Contract, artifact
from shale.chain.chain import Deployment
from shale.chain.database import Database
from shale.chain.devnet import CHAIN_ID, fund
from shale.chain.intents import Purpose
from shale.chain.node import Node
from shale.chain.outbox import Outbox
from shale.chain.rpc import ATTEMPTS, Rpc
from shale.chain.sender import Sender
from shale.chain.verifiers import refuse_development_keys
from shale.errors import ConfigError, Unavailable
from shale.market.accounts import Account, Signer
from shale.units import Address, AttoFil, checked_address

_DEVNET_GAS = AttoFil(100 * 10**18)


async def chain_id_of(rpc_url: str) -> int:
    """Which chain the node is on."""
    rpc = Rpc(rpc_url, attempts=ATTEMPTS)
    try:
        return await rpc.number("eth_chainId")
    finally:
        await rpc.close()


async def deploy(rpc_url: str, account: Signer | None, database: Path | None = None) -> Deployment:
    """Deploy the verifiers, Registry and Market, which makes the Ledger (docs/protocol.md, section 5).

    `database` keeps the account's transactions; without it they last as long as this. Without an account the sender
    is a new key, funded and forgotten: only the devnet allows that. Raises ConfigError when the contracts aren't built,
    are of development keys on mainnet, or the account can't pay; Refused when a constructor says no.
    """
    chain_id = await chain_id_of(rpc_url)
    refuse_development_keys(chain_id)
    if account is None:
        if chain_id != CHAIN_ID:
            raise ConfigError(
                f"deploying on chain {chain_id} needs a wallet that pays", "name one with --keystore FILE"
            )
        account = Account.create()
        await fund(rpc_url, Address(account.address), _DEVNET_GAS)
    node = Node(rpc_url, chain_id)
    kept = Database(database)
    sender = Sender(node, account, Outbox(kept, chain_id, checked_address(account.address)))
    try:
        made = [await _create(sender, name) for name in VERIFIERS]
        verifiers = tuple(address for address, _ in made)
        registry, _ = await _create(sender, "Registry")
        market, _ = await _create(sender, "Market", registry, verifiers)
        ledger = await node.read(Contract(market, artifact("Market")), "ledger")
    finally:
        await sender.close()
        await node.close()
        kept.close()
    return Deployment(chain_id, registry, market, ledger, verifiers, made[0][1])


async def _create(sender: Sender, name: str, *arguments: Address | Sequence[Address]) -> tuple[Address, int]:
    """Deploy one contract; its address and block."""
    data: Any = artifact(name).creation(arguments)
    landed = await sender.transact(None, bytes.fromhex(data[2:]), purpose=Purpose(f"deployment of {name}"))
    if not landed.contract:
        raise Unavailable(f"the node gives no address for the new {name}", "use another node")
    return checked_address(landed.contract), landed.block
