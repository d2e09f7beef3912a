"""Wallet: the client's encrypted key, opened with a password that never stands in an argument or the environment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from shale.errors import ConfigError, InputRefused, Refused
from shale.market import keystore
from shale.market.accounts import Account
from shale.paths import Home, private_dir, write_private
from shale.units import Address, checked_address
from shale.wire import read_json

SCRYPT_WORK = 1 << 16
"""Opens in a third of a second; the file is 0600 and the password the second wall, not the first."""
MIN_PASSWORD = 8
MAX_KEYSTORE = 64 << 10


def wallet_path(home: Home) -> Path:
    return home.client / "wallet.json"


def address(home: Home) -> Address:
    """Whose wallet it is; needs no password. Raises ConfigError without a wallet."""
    raw = _load(home)
    try:
        return checked_address("0x" + str(raw["address"]).removeprefix("0x"))
    except (KeyError, InputRefused):
        raise ConfigError(f"{wallet_path(home)} is broken", "restore it from your backup") from None


def open_wallet(home: Home, password: str) -> Account:
    """The account. Raises ConfigError for a wrong password, a missing or a broken wallet."""
    owner = address(home)
    account = keystore.decrypt(_load(home), password)
    if checked_address(account.address) != owner:
        raise ConfigError(f"{wallet_path(home)} is broken", "restore it from your backup")
    return account


def create(home: Home, password: str) -> Address:
    """Make a new key. Raises Refused when there is a wallet already: nothing ever overwrites one."""
    return keep(home, Account.create(), password)


def keep(home: Home, account: Account, password: str) -> Address:
    """Encrypt a key as this home's wallet. Raises Refused when there is one already."""
    refuse_second(home)
    if len(password) < MIN_PASSWORD:
        raise InputRefused("the password is too short", f"take at least {MIN_PASSWORD} characters")
    encrypted = keystore.encrypt(account, password, SCRYPT_WORK)
    private_dir(home.client)
    write_private(wallet_path(home), json.dumps(encrypted).encode() + b"\n")
    return checked_address(account.address)


def refuse_second(home: Home) -> None:
    """Raises Refused when there is a wallet."""
    if wallet_path(home).exists():
        raise Refused("there is a wallet already", f"keep it, or move {wallet_path(home)} away first")


def account_of_hex(text: str) -> Account:
    """The account of a private key in hex. The error never shows what was given."""
    if not re.fullmatch(r"\s*(0x)?[0-9a-fA-F]{64}\s*", text):
        raise InputRefused("that is not a private key", "give 64 hex digits")
    return Account.of_key(bytes.fromhex(text.strip().removeprefix("0x")))


def read_key(data: bytes) -> Account | dict[str, Any]:
    """What a file or a pipe brings: an encrypted keystore (version 3), or a private key in hex. Raises InputRefused."""
    if data.lstrip().startswith(b"{"):
        return _keystore(data, "that")
    try:
        return account_of_hex(data.decode("ascii"))
    except UnicodeDecodeError:
        raise InputRefused("that is no keystore and no private key", "give a JSON key file or 64 hex digits") from None


def read_keystore(path: Path) -> dict[str, Any]:
    """An encrypted keystore (version 3) from a file. Raises InputRefused."""
    return _keystore(read_file(path), str(path))


def read_file(path: Path) -> bytes:
    """A small file that may hold a key. Raises InputRefused."""
    try:
        with path.open("rb") as handle:
            return handle.read(MAX_KEYSTORE + 1)
    except OSError as error:
        raise InputRefused(f"{path} can't be read ({error.strerror})", "check its path and mode") from None


def _keystore(data: bytes, what: str) -> dict[str, Any]:
    try:
        raw = read_json(data) if len(data) <= MAX_KEYSTORE else None
    except ValueError:
        raw = None
    if not isinstance(raw, dict) or not isinstance(raw.get("crypto", raw.get("Crypto")), dict):
        raise InputRefused(f"{what} is not a keystore", "give an encrypted JSON key file, version 3")
    return raw


def _load(home: Home) -> dict[str, Any]:
    if not wallet_path(home).exists():
        raise ConfigError("there is no wallet", "run shale wallet new")
    try:
        return read_keystore(wallet_path(home))
    except InputRefused as error:
        raise ConfigError(error.message, "restore it from your backup") from None
