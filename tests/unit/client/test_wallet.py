"""The wallet: encrypted, private, never overwritten, and silent about keys and passwords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account as Judge

from shale.client import wallet
from shale.errors import ConfigError, InputRefused, Refused
from shale.market.accounts import Account
from shale.market.keystore import decrypt, encrypt
from shale.paths import Home

PASSWORD = "correct horse battery"
KEY = "0x" + "11" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(wallet, "SCRYPT_WORK", 2)
    return Home(tmp_path)


def test_a_new_wallet_opens_with_its_password_and_no_other(home: Home) -> None:
    owner = wallet.create(home, PASSWORD)
    assert wallet.address(home) == owner == wallet.open_wallet(home, PASSWORD).address
    with pytest.raises(ConfigError, match="password"):
        wallet.open_wallet(home, PASSWORD + " ")


def test_the_file_is_private_and_does_not_hold_the_key(home: Home) -> None:
    wallet.keep(home, wallet.account_of_hex(KEY), PASSWORD)
    path = wallet.wallet_path(home)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "11" * 32 not in path.read_text()


def test_a_wallet_is_never_overwritten(home: Home) -> None:
    owner = wallet.create(home, PASSWORD)
    with pytest.raises(Refused, match="a wallet already"):
        wallet.create(home, PASSWORD)
    with pytest.raises(Refused, match="a wallet already"):
        wallet.keep(home, wallet.account_of_hex(KEY), PASSWORD)
    assert wallet.address(home) == owner


def test_a_short_password_is_refused_and_leaves_no_wallet(home: Home) -> None:
    with pytest.raises(InputRefused, match="too short"):
        wallet.create(home, "short")
    with pytest.raises(ConfigError, match="no wallet"):
        wallet.address(home)


@pytest.mark.parametrize("text", ["", "0x12", "zz" * 32, "11" * 33, "0x" + "00" * 32, "ff" * 32])
def test_what_is_no_private_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InputRefused) as caught:
        wallet.account_of_hex(text)
    assert not text or text not in str(caught.value)


def test_a_keystore_of_another_wallet_can_be_taken_over(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(Judge.encrypt(KEY, "its own", kdf="pbkdf2", iterations=2)))
    account = decrypt(wallet.read_keystore(path), "its own")
    assert wallet.keep(home, account, PASSWORD) == Judge.from_key(KEY).address


def test_a_file_or_a_pipe_may_bring_a_keystore_or_a_bare_key() -> None:
    raw = Judge.encrypt(KEY, "its own", kdf="scrypt", iterations=2)
    assert wallet.read_key(b"\n " + json.dumps(raw).encode()) == raw
    for text in (KEY, KEY[2:], f" {KEY}\n"):
        found = wallet.read_key(text.encode())
        assert isinstance(found, Account)
        assert found.address == Judge.from_key(KEY).address
    for junk in (b"", b"{", b"{}", b"\xff" * 64, KEY.encode() * 2, b"{" * 70_000):
        with pytest.raises(InputRefused) as caught:
            wallet.read_key(junk)
        assert KEY[2:] not in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [{"n": 2**30, "r": 8, "p": 1}, {"n": 2**14, "r": 2**20, "p": 1}, {"n": 2, "r": 1, "p": 2**31}, {"c": 10**9},
     {"n": "2"}, {"n": True}, None],
)  # fmt: skip
def test_a_keystore_that_would_eat_the_machine_is_refused(params: object) -> None:
    store = encrypt(Account.create(), PASSWORD, 2)
    with pytest.raises(InputRefused):
        decrypt(store | {"crypto": store["crypto"] | {"kdfparams": params}}, PASSWORD)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"crypto": 3}', "[" * 5000, "x" * 70000])
def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InputRefused, match="not a keystore"):
        wallet.read_keystore(path)
