"""Erc1271: asks a contract whether a signature is its own: a stranger's program, bounded in gas, time and answer."""

from __future__ import annotations

import asyncio

from shale.chain.codec import encode, kind_of
from shale.chain.node import Node
from shale.chain.rpc import NodeError, TooMuch
from shale.errors import Unavailable
from shale.units import Address

MAGIC = "1626ba7e"
"""The function's selector, and the answer that means yes (ERC-1271)."""
GAS = 500_000_000
"""Of Filecoin's, whose units are smaller than Ethereum's: a wallet of several keys takes a tenth."""
SECONDS = 5.0
_MAX_ANSWER = 16 << 10
_YES = "0x" + MAGIC + "0" * 56
_KINDS = (kind_of("bytes32"), kind_of("bytes"))


async def is_signed(node: Node, asker: Address, signer: Address, digest: str, signature: str) -> bool:
    """Whether the contract at `signer`, asked by `asker`, answers with the magic value and nothing else.

    An account without code answers nothing. Raises Unavailable when no answer comes in time.
    """
    await node.check_chain()
    data = "0x" + MAGIC + encode(_KINDS, (digest, signature)).hex()
    call = {"from": asker, "to": signer, "gas": hex(GAS), "data": data}
    try:
        async with asyncio.timeout(SECONDS):
            answer = await node.rpc.call_once("eth_call", call, "latest", most=_MAX_ANSWER)
    except (NodeError, TooMuch):
        return False  # it reverted, took too much gas, or had too much to say
    except TimeoutError:
        raise Unavailable(f"the contract {signer} does not say in time what it signed", "try again later") from None
    return isinstance(answer, str) and answer.lower() == _YES
