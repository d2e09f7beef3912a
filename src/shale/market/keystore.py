"""Keystore: an account's key under a password, in the JSON that every Ethereum wallet reads (version 3)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from typing import Any

from Crypto.Cipher import AES

from shale.errors import ConfigError, InputRefused
from shale.hashes import keccak
from shale.market.accounts import Account

_MAX_SCRYPT_BYTES = 1 << 29
_MAX_PBKDF2_ROUNDS = 10_000_000
_HINT = "give an encrypted JSON key file, version 3"


def encrypt(account: Account, password: str, work: int) -> dict[str, Any]:
    """The keystore of a key; `work` is scrypt's n, a power of two."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(16)
    derived = _scrypt(password, salt, work, 8, 1, 32)
    cipher = _aes(derived[:16], nonce, account.key)
    return {
        "address": account.address[2:].lower(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": nonce.hex()},
            "ciphertext": cipher.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": work, "r": 8, "p": 1, "salt": salt.hex()},
            "mac": keccak(derived[16:32] + cipher).hex(),
        },
        "id": str(uuid.uuid4()),
        "version": 3,
    }


def decrypt(keystore: dict[str, Any], password: str) -> Account:
    """Open a keystore.

    Raises ConfigError for a wrong password, InputRefused for a malformed one or one that costs too much to open.
    """
    crypto = keystore.get("crypto", keystore.get("Crypto"))
    if not isinstance(crypto, dict) or keystore.get("version") != 3:
        raise InputRefused("the keystore is malformed", _HINT)
    try:
        if crypto["cipher"] != "aes-128-ctr":
            raise InputRefused("the keystore has an unknown cipher", _HINT)
        cipher, nonce = _hex(crypto["ciphertext"], 32), _hex(crypto["cipherparams"]["iv"], 16)
        mac = _hex(crypto["mac"], 32)
        derived = _derived(crypto["kdf"], crypto["kdfparams"], password)
    except (KeyError, TypeError, ValueError, AttributeError, MemoryError):
        raise InputRefused("the keystore is malformed", _HINT) from None
    if not hmac.compare_digest(keccak(derived[16:32] + cipher), mac):
        raise ConfigError("the password doesn't open the key", "give the right --password-file")
    return Account.of_key(_aes(derived[:16], nonce, cipher))


def _derived(kdf: object, params: dict[str, Any], password: str) -> bytes:
    salt = bytes.fromhex(params["salt"])
    length = _whole(params["dklen"])
    if not 32 <= length <= 64 or not 0 < len(salt) <= 64:
        raise ValueError("out of bounds")
    if kdf == "scrypt":
        n, r, p = _whole(params["n"]), _whole(params["r"]), _whole(params["p"])
        if 128 * n * r * p > _MAX_SCRYPT_BYTES:
            raise InputRefused("the keystore's work factor is too high", "encrypt it again with a lower one")
        return _scrypt(password, salt, n, r, p, length)
    if kdf == "pbkdf2" and params["prf"] == "hmac-sha256":
        rounds = _whole(params["c"])
        if rounds > _MAX_PBKDF2_ROUNDS:
            raise InputRefused("the keystore's work factor is too high", "encrypt it again with a lower one")
        return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds, length)
    raise ValueError("unknown kdf")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, dklen=length, maxmem=_MAX_SCRYPT_BYTES + (64 << 20)
    )


def _aes(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """AES-128 in counter mode, the nonce the whole first block: the same both ways."""
    return AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=nonce).encrypt(data)


def _hex(raw: object, size: int) -> bytes:
    data = bytes.fromhex(raw.removeprefix("0x")) if isinstance(raw, str) else b""
    if len(data) != size:
        raise ValueError("out of bounds")
    return data


def _whole(raw: object) -> int:
    if type(raw) is not int or raw < 1:
        raise ValueError("out of bounds")
    return raw
