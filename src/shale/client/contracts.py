"""Contracts: the contract that this home's key signs for, one a network; it is the client then."""

from __future__ import annotations

import json

from shale.chain.chain import Chain
from shale.errors import ConfigError, InputRefused, Refused
from shale.market.accounts import Signer, sign_digest
from shale.market.signing import text_digest
from shale.paths import Home, private_dir, write_private
from shale.units import Address, checked_address
from shale.wire import read_json

MAX_FILE = 64 << 10


def contract_of(home: Home, network: str) -> Address | None:
    """The contract in use on a network; None: the key's own account is the client. Raises ConfigError."""
    found = _load(home).get(network)
    return checked_address(found) if found is not None else None


async def check_contract(chain: Chain, contract: Address, account: Signer) -> None:
    """Raise Refused unless the contract takes the key's signature for its own (ERC-1271).

    What is signed is a text that nothing else takes for anything.
    """
    digest = text_digest(f"Shale asks {contract} on chain {chain.deployment.chain_id} who signs for it".encode())
    signature = "0x" + sign_digest(account, digest).hex()
    if not await chain.contract_signed(contract, "0x" + digest.hex(), signature):
        raise Refused(
            f"there is no contract at {contract} that takes {account.address}'s signatures for its own",
            "give one whose isValidSignature (ERC-1271) knows this key",
        )


def use_contract(home: Home, network: str, contract: Address | None) -> None:
    """Sign for this contract on the network from now on, or (None) for nobody but the key's own account."""
    known = {name: address for name, address in _load(home).items() if name != network}
    if contract is not None:
        known[network] = contract
    private_dir(home.client)
    write_private(home.client / "contracts.json", json.dumps(known).encode() + b"\n")


def _load(home: Home) -> dict[str, str]:
    path = home.client / "contracts.json"
    try:
        with path.open("rb") as handle:
            raw = read_json(handle.read(MAX_FILE))
        if isinstance(raw, dict):
            return {str(name): checked_address(str(address)) for name, address in raw.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, InputRefused):
        pass
    raise ConfigError(f"{path} is broken", "remove it, and name the contract again: shale wallet use-contract")
