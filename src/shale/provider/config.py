"""The provider's settings: one TOML file that a person edits, checked when it is read."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from shale.chain.lotus import miner_number
from shale.chain.rpc import checked_url
from shale.errors import ConfigError, InputRefused, ShaleError
from shale.market.offer import Tariff
from shale.paths import Home, private_dir, write_private
from shale.provider.settling import Rules
from shale.units import ZERO, AttoFil, Price, parse_bytes, parse_duration

MAX_ANCHOR_SECONDS = 15
"""A confirmation may have half a minute left, and a transaction needs a block or two."""

_TEMPLATE = """\
# Settings of this provider. Restart `shale provider up` after a change.
name = {name}
network = {network}
payout = {payout}                     # address that earnings go to; empty: the operator's own
database = {database}                   # SQLAlchemy URL; empty: SQLite beside this file

[listen]
host = {host}            # where the API and the gateway listen
port = {port}                  # HTTP API
gateway_port = {gateway_port}          # SSH gateway

[public]
host = {public_host}            # how clients reach this machine

[lease]
images = {images}
tick_seconds = {tick_seconds}
max_hours = {max_hours}
grace_seconds = {grace_seconds}          # served unpaid before the container is frozen
patience_seconds = {patience_seconds}       # frozen before the lease is ended
max_leases = {max_leases}
topup_risk_seconds = {topup_risk_seconds}   # served on a top-up that a reorganisation may yet take back
anchor_wait = {anchor_wait}          # for others to be written to the chain with; the lease runs meanwhile

[settle]
max_wait = {settle_max_wait}              # an ended lease is settled at most this long after its end
min_leases = {settle_min_leases}                # sooner, once so many have ended
max_fee = {settle_max_fee}                  # while a batch costs more than this it waits, up to 6 hours; empty: any fee

[docker]
volume_driver = {volume_driver}       # datasets are this driver's volumes; two providers on a machine need two names

[price]
cpu = {cpu}             # for one core
memory = {memory}          # for one GiB
gpu = {gpu}

[chain]
lotus = {lotus}                    # URL of a Lotus node's JSON-RPC, for verified claims; empty: none
miner = {miner}                    # your miner id, f01234, where the registry doesn't know it
max_gas_fee = {max_gas_fee}              # what one transaction's gas may cost at most; empty: the network's, or 2 FIL

[stock]                       # empty: all that the machine has
cpus = {cpus}
memory = {memory_stock}
disk = {disk}
"""


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """What the file says. `cpus`, `memory` and `disk` limit what is offered; empty means all there is."""

    name: str = "provider"
    network: str = ""
    payout: str = ""
    database: str = ""
    host: str = "127.0.0.1"
    port: int = 8420
    gateway_port: int = 8422
    public_host: str = "127.0.0.1"
    images: tuple[str, ...] = ("shale/base:latest",)
    tick_seconds: int = 5
    max_hours: int = 24 * 30
    grace_seconds: int = 10
    patience_seconds: int = 600
    max_leases: int = 256
    topup_risk_seconds: int = 3600
    anchor_wait: str = "0s"
    settle_max_wait: str = "10m"
    settle_min_leases: int = 8
    settle_max_fee: str = ""
    volume_driver: str = "shale"
    cpu: str = "0.004 FIL/h"
    memory: str = "0.001 FIL/h"
    gpu: str = "0.2 FIL/h"
    lotus: str = ""
    miner: str = ""
    max_gas_fee: str = ""
    cpus: str = ""
    memory_stock: str = ""
    disk: str = ""
    tariff: Tariff = field(init=False)
    rules: Rules = field(init=False)
    anchor_seconds: int = field(init=False)
    gas_fee: AttoFil | None = field(init=False)

    def __post_init__(self) -> None:
        self._check_bounds()
        try:
            tariff = Tariff(
                Price.parse(self.cpu).per_second,
                Price.parse(self.memory).per_second,
                Price.parse(self.gpu).per_second,
            )
            for limit in (self.memory_stock, self.disk):
                if limit:
                    parse_bytes(limit)
            if self.lotus:
                checked_url(self.lotus)
            if self.miner:
                miner_number(self.miner)
            rules = self._settle_rules()
            anchor_seconds = parse_duration(self.anchor_wait)
            gas_fee = AttoFil.parse(self.max_gas_fee) if self.max_gas_fee else None
        except InputRefused as error:
            raise ConfigError(error.message, error.hint) from None
        if not 0 <= anchor_seconds <= MAX_ANCHOR_SECONDS:
            raise ConfigError(f"lease.anchor_wait = {self.anchor_wait!r}", f"set it to 0s to {MAX_ANCHOR_SECONDS}s")
        if tariff.per_cpu == AttoFil(0) and tariff.per_gib == AttoFil(0):
            raise ConfigError("the prices come to nothing", "set price.cpu or price.memory above zero")
        object.__setattr__(self, "tariff", tariff)
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "anchor_seconds", anchor_seconds)
        object.__setattr__(self, "gas_fee", gas_fee)

    def _check_bounds(self) -> None:
        if not 1 <= self.tick_seconds <= 3600:
            raise ConfigError(f"lease.tick_seconds = {self.tick_seconds}", "set it to 1 to 3600")
        if not 0 <= self.topup_risk_seconds <= 86400:
            raise ConfigError(f"lease.topup_risk_seconds = {self.topup_risk_seconds}", "set it to 0 to 86400")
        for key, port in (("listen.port", self.port), ("listen.gateway_port", self.gateway_port)):
            if not 1 <= port <= 65535:
                raise ConfigError(f"{key} = {port}", "set it to 1 to 65535")
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", self.volume_driver):
            raise ConfigError(f"docker.volume_driver = {self.volume_driver!r}", "use a-z, 0-9 and '-', at most 32")
        if not self.images:
            raise ConfigError("lease.images is empty", "name at least one image")

    def _settle_rules(self) -> Rules:
        fee = AttoFil.parse(self.settle_max_fee) if self.settle_max_fee else ZERO
        rules = Rules(parse_duration(self.settle_max_wait), self.settle_min_leases, fee)
        if not 0 <= rules.max_wait <= 12 * 3600:
            raise ConfigError(f"settle.max_wait = {self.settle_max_wait!r}", "set it to 0s to 12h")
        if rules.min_leases < 1:
            raise ConfigError(f"settle.min_leases = {rules.min_leases}", "set it to 1 or more")
        return rules

    @property
    def endpoint(self) -> str:
        return f"http://{self.public_host}:{self.port}"


def config_path(home: Home) -> Path:
    return home.provider / "config.toml"


def save_config(home: Home, config: ProviderConfig) -> None:
    private_dir(home.provider)
    settings = [name for name, entry in ProviderConfig.__dataclass_fields__.items() if entry.init]
    quoted = {name: _toml(getattr(config, name)) for name in settings}
    write_private(config_path(home), _TEMPLATE.format(**quoted).encode())


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


_KEYS = {
    ("name",): "name", ("network",): "network", ("payout",): "payout", ("database",): "database",
    ("listen", "host"): "host", ("listen", "port"): "port", ("listen", "gateway_port"): "gateway_port",
    ("public", "host"): "public_host",
    ("lease", "images"): "images", ("lease", "tick_seconds"): "tick_seconds", ("lease", "max_hours"): "max_hours",
    ("lease", "grace_seconds"): "grace_seconds", ("lease", "patience_seconds"): "patience_seconds",
    ("lease", "max_leases"): "max_leases", ("lease", "topup_risk_seconds"): "topup_risk_seconds",
    ("lease", "anchor_wait"): "anchor_wait",
    ("settle", "max_wait"): "settle_max_wait", ("settle", "min_leases"): "settle_min_leases",
    ("settle", "max_fee"): "settle_max_fee",
    ("docker", "volume_driver"): "volume_driver",
    ("price", "cpu"): "cpu", ("price", "memory"): "memory", ("price", "gpu"): "gpu",
    ("chain", "lotus"): "lotus", ("chain", "miner"): "miner",
    ("chain", "max_gas_fee"): "max_gas_fee",
    ("stock", "cpus"): "cpus", ("stock", "memory"): "memory_stock", ("stock", "disk"): "disk",
}  # fmt: skip


def load_config(home: Home) -> ProviderConfig:
    """Read the file. Raises ConfigError that names the key to edit."""
    path = config_path(home)
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError("this machine is not set up as a provider", "run shale provider init") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} is not readable TOML ({error})", "mend the file") from None
    values: dict[str, object] = {}
    for key, value in _flat(raw):
        name = _KEYS.get(key)
        if name is None:
            raise ConfigError(f"{'.'.join(key)} is no setting", f"remove it from {path}")
        default = ProviderConfig.__dataclass_fields__[name].default
        if isinstance(default, tuple):
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ConfigError(f"{'.'.join(key)} is not a list of texts", f"mend it in {path}")
            value = tuple(value)
        elif type(value) is not type(default):
            raise ConfigError(f"{'.'.join(key)} = {value!r} is not a {type(default).__name__}", f"mend it in {path}")
        values[name] = value
    try:
        return ProviderConfig(**values)  # type: ignore[arg-type]  # each value was checked against its default above
    except ShaleError as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from None


def _flat(raw: dict[str, object]) -> list[tuple[tuple[str, ...], object]]:
    pairs: list[tuple[tuple[str, ...], object]] = []
    for key, value in raw.items():
        if isinstance(value, dict):
            pairs.extend(((key, inner), item) for inner, item in value.items())
        else:
            pairs.append(((key,), value))
    return pairs
