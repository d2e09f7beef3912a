"""Keystores open in other wallets and theirs open here; what is hostile costs nothing."""

import copy
from contextlib import suppress
from typing import Any

import pytest
from eth_account import Account as Judge
from hypothesis import given, settings
from hypothesis import strategies as st

from shale.errors import ConfigError, InputRefused, ShaleError
from shale.market.accounts import Account
from shale.market.keystore import decrypt, encrypt

ACCOUNT = Account.create()
STORE = encrypt(ACCOUNT, "a password, ä", 2)


def test_what_is_encrypted_here_opens_elsewhere_and_back() -> None:
    assert bytes(Judge.decrypt(STORE, "a password, ä")) == ACCOUNT.key
    for kdf, work in (("scrypt", 4), ("pbkdf2", 10)):
        theirs = Judge.encrypt(ACCOUNT.key, "theirs", kdf=kdf, iterations=work)
        assert decrypt(theirs, "theirs") == ACCOUNT


def test_a_wrong_password_is_told() -> None:
    with pytest.raises(ConfigError, match="password"):
        decrypt(STORE, "another")


def bent(path: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(STORE)
    *parents, last = path.split(".")
    inner = made
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("crypto", None), ("version", 1), ("crypto.kdf", "argon"), ("crypto.cipher", "des"),
        ("crypto.kdfparams", []), ("crypto.kdfparams.n", 1 << 40), ("crypto.kdfparams.n", 3),
        ("crypto.kdfparams.n", True), ("crypto.kdfparams.dklen", 1 << 40), ("crypto.kdfparams.salt", "zz"),
        ("crypto.kdfparams.p", 0), ("crypto.ciphertext", ""), ("crypto.mac", 7), ("crypto.cipherparams", 7),
    ],
)  # fmt: skip
def test_a_bent_keystore_is_refused(path: str, value: Any) -> None:
    with pytest.raises(InputRefused):
        decrypt(bent(path, value), "a password, ä")


anything = st.none() | st.booleans() | st.integers(-5, 1 << 70) | st.text(max_size=8) | st.lists(st.integers())
PATHS = ["crypto", "version", "crypto.kdf", "crypto.cipher", "crypto.mac", "crypto.ciphertext", "crypto.kdfparams"]
PATHS += ["crypto.cipherparams", "crypto.cipherparams.iv"] + [f"crypto.kdfparams.{x}" for x in ("n", "r", "p", "salt")]


@settings(deadline=None)
@given(st.sampled_from(PATHS), anything)
def test_a_keystore_is_opened_or_refused_whatever_it_says(path: str, value: Any) -> None:
    with suppress(ShaleError):
        assert decrypt(bent(path, value), "a password, ä") == ACCOUNT
