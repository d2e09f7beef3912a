"""Identity: the operator's encrypted key, the gateway's SSH host key, and the password that opens the first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from shale.errors import ConfigError
from shale.hashes import keccak
from shale.market.accounts import Account
from shale.market.keystore import decrypt, encrypt
from shale.paths import Home, private_dir, write_private
from shale.units import Address, checked_address

_SCRYPT_WORK = 1 << 14
"""Opens in a fraction of a second; the file is 0600 and the password is the second wall, not the first."""


@dataclass(frozen=True, slots=True)
class SshKey:
    """An ed25519 key pair: OpenSSH private form, and the public line without a comment."""

    private: bytes
    public: str

    def __repr__(self) -> str:
        return f"SshKey({self.public})"


def new_ssh_key() -> SshKey:
    return _ssh_key(Ed25519PrivateKey.generate())


def _ssh_key(key: Ed25519PrivateKey) -> SshKey:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return SshKey(private, public)


def load_ssh_key(path: Path) -> SshKey:
    """Read a private key file that this module wrote. Raises ConfigError when it is missing or broken."""
    try:
        key = load_ssh_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not readable ({error})", "run shale provider init") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is not an ed25519 key", "remove it and run shale provider init")
    return _ssh_key(key)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this provider is: its operator account and the gateway's host key."""

    account: Account
    host_key: SshKey

    @property
    def operator(self) -> Address:
        return checked_address(self.account.address)


def key_hash(line: str) -> str:
    """How the registry binds an SSH host key: keccak of its line, 0x-hex."""
    return "0x" + keccak(line.encode()).hex()


def create_identity(home: Home, password: str) -> Address:
    """Make the operator's keystore and the gateway's host key, unless they exist. Returns the operator."""
    private_dir(home.provider)
    keystore = home.provider / "operator.json"
    if not keystore.exists():
        account = Account.create()
        encrypted = encrypt(account, password, _SCRYPT_WORK)
        write_private(keystore, json.dumps(encrypted).encode())
    host_key = home.provider / "gateway_host_key"
    if not host_key.exists():
        write_private(host_key, new_ssh_key().private)
    return operator_address(home)


def operator_address(home: Home) -> Address:
    """The operator's address, without its password."""
    try:
        raw = json.loads((home.provider / "operator.json").read_text())
        return checked_address("0x" + str(raw["address"]).removeprefix("0x"))
    except FileNotFoundError:
        raise ConfigError("this machine is not set up as a provider", "run shale provider init") from None
    except (ValueError, KeyError):
        raise ConfigError("the operator's keystore is broken", "restore operator.json from your backup") from None


def open_identity(home: Home, password: str) -> Identity:
    """Decrypt the operator's key. Raises ConfigError for a wrong password or a missing file."""
    operator_address(home)
    raw = json.loads((home.provider / "operator.json").read_text())
    account = decrypt(raw, password)
    return Identity(account, load_ssh_key(home.provider / "gateway_host_key"))
