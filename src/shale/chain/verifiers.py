"""Verifiers: that those of the ledger are this version's, by their code; noted, since code never changes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from shale.chain.abi import VERIFIERS, Contract, artifact
from shale.chain.chain import Deployment
from shale.chain.node import Node
from shale.errors import ConfigError
from shale.hashes import keccak
from shale.paths import write_private
from shale.payments.batch import SIZES

_HINT = "take its file from who deployed it, or the version of shale that it was deployed with"


async def check_verifiers(node: Node, ledger: Contract, places: Deployment, noted: Path | None) -> None:
    """Raise ConfigError unless the ledger's verifiers are the network's, with the code that was built here.

    The file `noted` then holds a digest of what was compared, and spares the same comparison later.
    """
    expected = [bytes.fromhex(artifact(name).runtime.removeprefix("0x")) for name in VERIFIERS]
    digest = _digest(node, places, expected)
    if noted is not None and _read(noted) == digest:
        return
    named, found = await asyncio.gather(
        asyncio.gather(*(node.read(ledger, "verifierOf", size) for size in SIZES)),
        asyncio.gather(*(node.code(address) for address in places.verifiers)),
    )
    for size, address, place, code, wanted in zip(SIZES, named, places.verifiers, found, expected, strict=True):
        if address != place:
            raise ConfigError(f"the network's ledger has another verifier for batches of {size}", _HINT)
        if not wanted or code != wanted:
            raise ConfigError(f"the network's verifier for batches of {size} isn't this version's", _HINT)
    if noted is not None:
        write_private(noted, digest)


def _digest(node: Node, places: Deployment, expected: list[bytes]) -> bytes:
    """Of the node, too: it is what was believed."""
    words = {**asdict(places), "node": node.rpc.url, "code": [keccak(code).hex() for code in expected]}
    return keccak(json.dumps(words, sort_keys=True).encode()).hex().encode()


def _read(noted: Path) -> bytes:
    try:
        with noted.open("rb") as handle:
            return handle.read(65)
    except OSError:
        return b""
