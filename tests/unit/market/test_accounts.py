"""Accounts sign and recover as Ethereum's do; eth-account, which others use, is the judge."""

from contextlib import suppress

import pytest
from eth_account import Account as Judge
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from shale.errors import InputRefused
from shale.market.accounts import Account, recover, sign_digest
from shale.market.signing import text_digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
keys = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


@given(keys, st.binary(max_size=100))
def test_a_text_is_signed_as_the_world_signs_it(key: bytes, text: bytes) -> None:
    account, judge = Account.of_key(key), Judge.from_key(key)
    assert account.address == judge.address
    signature = sign_digest(account, text_digest(text))
    assert signature == bytes(judge.sign_message(encode_defunct(text)).signature)
    assert recover(text_digest(text), signature) == account.address


@given(keys, st.binary(min_size=32, max_size=32), st.integers(0, 64), st.integers(1, 255))
def test_a_signature_with_a_bent_byte_is_not_this_signers(key: bytes, digest: bytes, at: int, bend: int) -> None:
    account = Account.of_key(key)
    bent = bytearray(sign_digest(account, digest))
    bent[at] ^= bend
    with suppress(ValueError):
        assert recover(digest, bytes(bent)) != account.address


@pytest.mark.parametrize("key", [b"", bytes(32), ORDER.to_bytes(32, "big"), b"\x01" * 31, b"\xff" * 32])
def test_what_is_no_key_is_refused_and_not_shown(key: bytes) -> None:
    with pytest.raises(InputRefused) as caught:
        Account.of_key(key)
    assert not key.hex() or key.hex() not in str(caught.value)


def test_an_accounts_text_does_not_hold_its_key() -> None:
    account = Account.create()
    assert account.key.hex() not in repr(account)
    assert repr(account.key) not in repr(account)
