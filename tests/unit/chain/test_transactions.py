"""Transactions have the bytes and the hash that eth-account, which others use, gives them."""

from contextlib import suppress

from eth_account import Account as Judge
from hypothesis import given
from hypothesis import strategies as st

from shale.chain.transactions import Draft, Fees, chain_of, signed
from shale.market.accounts import Account
from shale.units import checked_address

KEY = bytes(range(1, 33))
amounts = st.integers(0, 2**96)
recipients = st.none() | st.binary(min_size=20, max_size=20).map(lambda raw: checked_address("0x" + raw.hex()))


@given(st.integers(1, 2**53), st.integers(0, 2**40), amounts, amounts, recipients, amounts, st.binary(max_size=300))
def test_a_signed_transaction_is_the_worlds(
    chain: int, nonce: int, tip: int, most: int, to: str | None, value: int, data: bytes
) -> None:
    made = signed(Account.of_key(KEY), chain, nonce, Draft(to, data, value, 21_000), Fees(tip, most))  # type: ignore[arg-type]
    judged = Judge.from_key(KEY).sign_transaction(
        {
            "type": 2, "chainId": chain, "nonce": nonce, "maxPriorityFeePerGas": tip, "maxFeePerGas": most,
            "gas": 21_000, "to": to or "", "value": value, "data": data,
        }
    )  # fmt: skip
    assert made.raw == bytes(judged.raw_transaction)
    assert made.tx == "0x" + bytes(judged.hash).hex()


@given(st.integers(0, 2**63), st.binary(max_size=70_000))
def test_the_bytes_say_for_which_chain_they_are(chain_id: int, data: bytes) -> None:
    made = signed(Account.of_key(b"\x11" * 32), chain_id, 3, Draft(None, data, 5, 21_000), Fees(1, 2))
    assert chain_of(made.raw) == chain_id


@given(st.binary(max_size=40))
def test_bytes_that_are_no_transaction_are_of_no_chain(raw: bytes) -> None:
    with suppress(ValueError):
        assert 0 <= chain_of(raw) < 2**64
