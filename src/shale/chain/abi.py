"""Abi: the contracts' interfaces and bytecode as the build left them (artifacts/<name>.json)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from shale.errors import ConfigError

CONTRACTS = ("Registry", "Market", "Ledger", "Verifier")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A contract's interface and the code that deploys it."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: str


@cache
def artifact(name: str) -> Artifact:
    """The contract's artifact. Raises ConfigError when the contracts aren't built."""
    try:
        raw = json.loads((files("shale.chain") / "artifacts" / f"{name}.json").read_bytes())
        return Artifact(name, tuple(raw["abi"]), raw["bytecode"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"the contract {name} is not built", "run make install") from None
