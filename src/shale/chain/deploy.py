"""Deploy: puts Shale's contracts on a chain; nobody owns them afterwards, whoever sends this."""

from __future__ import annotations

from eth_account import Account
from eth_account.signers.local import LocalAccount

from shale.chain.chain import Deployment
from shale.chain.devnet import CHAIN_ID, fund
from shale.chain.node import Node
from shale.chain.rpc import Rpc
from shale.errors import ConfigError, Unavailable
from shale.units import Address, AttoFil, checked_address

_DEVNET_GAS = AttoFil(100 * 10**18)


async def chain_id_of(rpc_url: str) -> int:
    """Which chain the node is on."""
    rpc = Rpc(rpc_url)
    try:
        return await rpc.number("eth_chainId")
    finally:
        await rpc.close()


async def deploy(rpc_url: str, account: LocalAccount | None) -> Deployment:
    """Deploy Verifier, Registry and Market, which makes the Ledger (docs/protocol.md, section 5).

    Without an account the sender is a new key, funded and forgotten: only the devnet allows that. Raises
    ConfigError when the contracts aren't built or the account can't pay, Refused when a constructor says no.
    """
    chain_id = await chain_id_of(rpc_url)
    if account is None:
        if chain_id != CHAIN_ID:
            raise ConfigError(
                f"deploying on chain {chain_id} needs a wallet that pays", "name one with --keystore FILE"
            )
        account = Account.create()
        await fund(rpc_url, Address(account.address), _DEVNET_GAS)
    node = Node(rpc_url, chain_id, account)
    try:
        verifier, block = await _create(node, "Verifier")
        registry, _ = await _create(node, "Registry")
        market, _ = await _create(node, "Market", registry, verifier)
        ledger = checked_address(await node.read(node.contract("Market", market).functions.ledger()))
    finally:
        await node.close()
    return Deployment(chain_id, registry, market, ledger, verifier, block)


async def _create(node: Node, name: str, *arguments: Address) -> tuple[Address, int]:
    """Deploy one contract; its address and block."""
    receipt = await node.transact(None, node.constructor(name, *arguments))
    made = receipt.get("contractAddress")
    if made is None:
        raise Unavailable(f"the node gives no address for the new {name}", "use another node")
    return checked_address(made), int(receipt["blockNumber"])
