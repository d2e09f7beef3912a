"""Wallet: the client's encrypted key, opened with a password that never stands in an argument or the environment."""

from __future__ import annotations

import json
import re
from base64 import b32encode
from hashlib import blake2b
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from shale.errors import ConfigError, InputRefused, Refused
from shale.paths import Home, private_dir, write_private
from shale.units import Address, checked_address

SCRYPT_WORK = 1 << 16
"""Opens in a third of a second; the file is 0600 and the password the second wall, not the first."""
MIN_PASSWORD = 8
MAX_KEYSTORE = 64 << 10
_MAX_SCRYPT_BYTES = 1 << 29
_MAX_PBKDF2_ROUNDS = 10_000_000


def wallet_path(home: Home) -> Path:
    return home.client / "wallet.json"


def address(home: Home) -> Address:
    """Whose wallet it is; needs no password. Raises ConfigError without a wallet."""
    raw = _load(home)
    try:
        return checked_address("0x" + str(raw["address"]).removeprefix("0x"))
    except (KeyError, InputRefused):
        raise ConfigError(f"{wallet_path(home)} is broken", "restore it from your backup") from None


def open_wallet(home: Home, password: str) -> LocalAccount:
    """The account. Raises ConfigError for a wrong password, a missing or a broken wallet."""
    owner = address(home)
    account = decrypt(_load(home), password)
    if checked_address(account.address) != owner:
        raise ConfigError(f"{wallet_path(home)} is broken", "restore it from your backup")
    return account


def create(home: Home, password: str) -> Address:
    """Make a new key. Raises Refused when there is a wallet already: nothing ever overwrites one."""
    return keep(home, Account.create(), password)


def keep(home: Home, account: LocalAccount, password: str) -> Address:
    """Encrypt a key as this home's wallet. Raises Refused when there is one already."""
    refuse_second(home)
    if len(password) < MIN_PASSWORD:
        raise InputRefused("the password is too short", f"take at least {MIN_PASSWORD} characters")
    encrypted = Account.encrypt(account.key, password, kdf="scrypt", iterations=SCRYPT_WORK)
    private_dir(home.client)
    write_private(wallet_path(home), json.dumps(encrypted).encode() + b"\n")
    return checked_address(account.address)


def refuse_second(home: Home) -> None:
    """Raises Refused when there is a wallet."""
    if wallet_path(home).exists():
        raise Refused("there is a wallet already", f"keep it, or move {wallet_path(home)} away first")


def account_of_hex(text: str) -> LocalAccount:
    """The account of a private key in hex. The error never shows what was given."""
    if not re.fullmatch(r"\s*(0x)?[0-9a-fA-F]{64}\s*", text):
        raise InputRefused("that is not a private key", "give 64 hex digits")
    try:
        account: LocalAccount = Account.from_key("0x" + text.strip().removeprefix("0x"))
    except Exception:  # noqa: BLE001 - whatever the library says may hold the key
        raise InputRefused("that is not a private key", "give 64 hex digits") from None
    return account


def read_keystore(path: Path) -> dict[str, Any]:
    """An encrypted keystore (version 3) from a file. Raises InputRefused."""
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_KEYSTORE + 1)
        raw = json.loads(data) if len(data) <= MAX_KEYSTORE else None
    except OSError as error:
        raise InputRefused(f"{path} can't be read ({error.strerror})", "check its path and mode") from None
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict) or not isinstance(raw.get("crypto", raw.get("Crypto")), dict):
        raise InputRefused(f"{path} is not a keystore", "give an encrypted JSON key file, version 3")
    return raw


def decrypt(keystore: dict[str, Any], password: str) -> LocalAccount:
    """Open a keystore. Raises ConfigError for a wrong password, InputRefused for one that costs too much to open."""
    _check_cost(keystore)
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(keystore, password))
    except ValueError:
        raise ConfigError("the password doesn't open the key", "give the right --password-file") from None
    except (KeyError, TypeError, AttributeError):
        raise InputRefused("the keystore is malformed", "give an encrypted JSON key file, version 3") from None
    return account


def _check_cost(keystore: dict[str, Any]) -> None:
    """Refuse work factors that would eat this machine's memory or minutes of its time."""
    crypto = keystore.get("crypto", keystore.get("Crypto"))
    params = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(params, dict):
        raise InputRefused("the keystore is malformed", "give an encrypted JSON key file, version 3")
    numbers = [params.get(name, 1) for name in ("n", "r", "p", "c")]
    if any(type(number) is not int or number < 1 for number in numbers):
        raise InputRefused("the keystore is malformed", "give an encrypted JSON key file, version 3")
    n, r, p, rounds = numbers
    if 128 * n * r * p > _MAX_SCRYPT_BYTES or rounds > _MAX_PBKDF2_ROUNDS:
        raise InputRefused("the keystore's work factor is too high", "encrypt it again with a lower one")


def _load(home: Home) -> dict[str, Any]:
    if not wallet_path(home).exists():
        raise ConfigError("there is no wallet", "run shale wallet new")
    try:
        return read_keystore(wallet_path(home))
    except InputRefused as error:
        raise ConfigError(error.message, "restore it from your backup") from None


def f410(owner: Address) -> str:
    """The address as Filecoin writes it: f410f and base32 of 20 bytes and their checksum (FIP-0048)."""
    raw = bytes.fromhex(owner[2:])
    check = blake2b(b"\x04\x0a" + raw, digest_size=4).digest()
    return "f410f" + b32encode(raw + check).decode().lower().rstrip("=")
