"""The client's settings: one small TOML file, `<home>/client/config.toml`, which needn't exist."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields

from shale.errors import ConfigError
from shale.paths import Home

MAX_FILE = 64 << 10


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Each is a text, empty when it isn't set; options on the command line win."""

    network: str = ""
    """The chain to use when there are several."""
    ssh_key: str = ""
    """The public key for containers, such as ~/.ssh/id_ed25519.pub."""
    password_file: str = ""
    """A file with the wallet's password."""
    max_price: str = ""
    """Never pay more than this: 0.01 FIL/h."""


def load_config(home: Home) -> ClientConfig:
    """Read the file, or take the defaults without one. Raises ConfigError that names the key to edit."""
    path = home.client / "config.toml"
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise ConfigError(f"{path} is too large", "mend the file")
        raw = tomllib.loads(data.decode())
    except FileNotFoundError:
        return ClientConfig()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not readable TOML ({error})", "mend the file") from None
    known = {field.name for field in fields(ClientConfig)}
    for key, value in raw.items():
        if key not in known:
            raise ConfigError(f"{key} is no setting", f"remove it from {path}; there are {', '.join(sorted(known))}")
        if not isinstance(value, str):
            raise ConfigError(f"{key} = {value!r} is not a text", f"mend it in {path}")
    return ClientConfig(**raw)
