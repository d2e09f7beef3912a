"""Network: a chain that this user knows by name: its RPC URL and where Shale's contracts stand on it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shale import wire
from shale.addresses import parse_address
from shale.chain.chain import Deployment
from shale.chain.rpc import checked_url
from shale.errors import ConfigError, InputRefused
from shale.market.order import text_of, whole
from shale.paths import Home, private_dir, write_private
from shale.payments.batch import SIZES
from shale.units import Address, AttoFil

MAX_FILE = 64 << 10
MAX_FINALITY = 100_000
_HINT = "run shale chain deploy, or shale network add"


@dataclass(frozen=True, slots=True)
class Network:
    """One entry of the networks folder. The URL may hold an access token: files are private."""

    name: str
    rpc_url: str
    deployment: Deployment
    finality: int | None = None
    """Epochs after which a block counts as final; None is what is usual on its chain."""
    max_gas_fee: AttoFil | None = None
    """What one transaction's gas may cost at most; None is `fees.MAX_FEE`."""

    def to_json(self) -> dict[str, Any]:
        places = self.deployment
        return {
            "name": self.name,
            "rpc_url": self.rpc_url,
            "chain_id": places.chain_id,
            "registry": places.registry,
            "market": places.market,
            "ledger": places.ledger,
            "verifiers": list(places.verifiers),
            "block": places.block,
        } | _given(finality=self.finality, max_gas_fee=None if self.max_gas_fee is None else str(self.max_gas_fee))

    def save(self, home: Home) -> Path:
        """Write its file, in one step, over an older one of this name."""
        path = private_dir(home.networks) / f"{checked_name(self.name)}.json"
        write_private(path, json.dumps(self.to_json(), indent=2).encode() + b"\n")
        return path

    def checked(self, home: Home) -> Path:
        """Where it is noted that the network's verifiers were compared with the circuit's."""
        return home.networks / f"{checked_name(self.name)}.checked"

    @classmethod
    def load(cls, home: Home, name: str | None = None) -> Network:
        """The network of this name; without a name the only one there is.

        Raises ConfigError when there is none, when it isn't clear which, and when its file is malformed.
        """
        if not name:
            return cls.load(home, _only_one(cls.names(home)))
        path = home.networks / f"{checked_name(name)}.json"
        if not path.is_file():
            known = ", ".join(cls.names(home)) or "none"
            raise ConfigError(f"there is no network {name!r} (known: {known})", _HINT)
        try:
            return network_from_json(read_json(path), name)
        except InputRefused as error:
            raise ConfigError(f"{path} is malformed ({error.message})", "mend it, or deploy again") from None

    @staticmethod
    def names(home: Home) -> list[str]:
        """The names of the networks that are set up, sorted."""
        return sorted(path.stem for path in home.networks.glob("*.json") if _NAME.fullmatch(path.stem))


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _only_one(known: list[str]) -> str:
    if not known:
        raise ConfigError("no network is set up", _HINT)
    if len(known) > 1:
        raise ConfigError(f"there are several networks ({', '.join(known)})", "choose one with --network NAME")
    return known[0]


def network_from_json(raw: object, name: str, rpc_url: str | None = None) -> Network:
    """Read a network or a deployment from outside; `rpc_url` replaces the one in it. Raises InputRefused."""
    if not isinstance(raw, dict):
        raise InputRefused("a network is a JSON object", "take the file that shale chain deploy wrote")
    try:
        deployment = Deployment(
            chain_id=whole(raw["chain_id"], 2**53 - 1),
            registry=parse_address(text_of(raw["registry"], 64)),
            market=parse_address(text_of(raw["market"], 64)),
            ledger=parse_address(text_of(raw["ledger"], 64)),
            verifiers=_verifiers(raw["verifiers"]),
            block=whole(raw.get("block", 0), 2**53 - 1),
        )
    except KeyError as error:
        raise InputRefused(f"the network lacks {error}", "take the file that shale chain deploy wrote") from None
    finality = whole(raw["finality"], MAX_FINALITY) if "finality" in raw else None
    limit = AttoFil.parse(text_of(raw["max_gas_fee"], 64)) if "max_gas_fee" in raw else None
    return Network(checked_name(name), checked_url(rpc_url or raw.get("rpc_url")), deployment, finality, limit)


def _verifiers(raw: object) -> tuple[Address, ...]:
    if not isinstance(raw, list) or len(raw) != len(SIZES):
        raise InputRefused(f"a network has {len(SIZES)} verifiers", "take the file that shale chain deploy wrote")
    return tuple(parse_address(text_of(each, 64)) for each in raw)


def read_json(path: Path) -> object:
    """The JSON in a small file. Raises InputRefused when it can't be read, is too large or is none."""
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_FILE + 1)
    except OSError as error:
        raise InputRefused(f"{path} can't be read ({error.strerror})", "check its path and mode") from None
    if len(data) > MAX_FILE:
        raise InputRefused(f"{path} is too large for a network", "give the file that shale chain deploy wrote")
    try:
        return wire.read_json(data)
    except ValueError:
        raise InputRefused(f"{path} is not JSON", "give the file that shale chain deploy wrote") from None


_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputRefused(f"{name!r} is not a network's name", "use at most 32 of a-z, 0-9 and '-'")
    return name
