"""Verifiers: that those of the ledger are this version's, by their code; noted, since code never changes.

Those of development keys are refused on mainnet by their code too: a point in it comes from the public seed, whatever
is said of the keys elsewhere."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from shale.chain.abi import VERIFIERS, Contract, artifact
from shale.chain.chain import MAINNET, Deployment
from shale.chain.node import Node
from shale.errors import ConfigError
from shale.hashes import keccak
from shale.paths import write_private
from shale.payments.batch import SIZES

DEVELOPMENT_ALPHAS = (
    "1fed6ce2f0ba2fb1cce4cf3d6c4d55f5a854c429559bff8a997c7b9803608e6a",
    "02b351cd952bdd8645743141274640559a6f2de40c8502c7885f1b4c58fece27",
    "0b50f3c69790c25bb694818f73025059cb6ef1c0cedda15d4b9e6f11c00826f9",
    "09dca6254c795aa2250e84291a7fa71e71eeed3716151a3a92cbd9a9c876b7ac",
)
"""The X of alpha in development keys, in hex: it hangs on the public seed alone, on no circuit."""
_HINT = "take its file from who deployed it, or the version of shale that it was deployed with"


def refuse_development_keys(chain_id: int) -> None:
    """Raise ConfigError on mainnet if a verifier that was built here has a key with which anyone can forge proofs."""
    codes = [artifact(name).runtime for name in VERIFIERS] if chain_id == MAINNET else []
    if any(alpha in code for code in codes for alpha in DEVELOPMENT_ALPHAS):
        raise ConfigError(
            "this version has development keys, with which anyone can forge proofs: they take no money on mainnet",
            "install a version with a ceremony's keys (docs/guide/ceremony.md), or choose another network",
        )


async def check_verifiers(node: Node, ledger: Contract, places: Deployment, noted: Path | None) -> None:
    """Raise ConfigError unless the ledger's verifiers are the network's, with the code that was built here, and no
    development keys' where money is real.

    The file `noted` then holds a digest of what was compared, and spares the same comparison later.
    """
    refuse_development_keys(places.chain_id)
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
