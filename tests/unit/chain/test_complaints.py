"""Complaints: each node's words mean the same to us, and none of them is shown raw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shale.chain.complaints import Sent, complaint, is_null_round, is_pruned, is_revert, sending
from shale.chain.rpc import NodeError
from shale.errors import ConfigError, Refused, Unavailable
from shale.units import Address

SENDER = Address("0x52963ef50e27e06d72d59fcb4f3c2a687be3cfef")

SAID = {
    "anvil": [
        ("nonce too low", Sent.NONCE_USED),
        ("transaction already imported", Sent.TAKEN),
        ("replacement transaction underpriced", Sent.NONCE_WAITS),
        ("Insufficient funds for gas * price + value", Sent.NO_FUNDS),
        ("max fee per gas less than block base fee", Sent.FEE_TOO_LOW),
    ],
    "lotus": [
        ("mpool push: message nonce too low", Sent.NONCE_USED),
        ("message from f410fx with nonce 3 already in mpool", Sent.TAKEN),
        (
            "message from f410fx with nonce 3 already in mpool, increase GasPremium to 9 from 7 to trigger replace by"
            " fee: replace by fee has too low GasPremium",
            Sent.NONCE_WAITS,
        ),
        ("too many pending messages for actor", Sent.TOO_MANY),
        ("unfulfilled nonce gap", Sent.TOO_MANY),
        ("mpool push: not enough funds (required: 1, balance: 0): not enough funds to execute", Sent.NO_FUNDS),
        ("gas fee cap too low", Sent.FEE_TOO_LOW),
        ("message too big", Sent.REFUSED),
    ],
    "forest": [
        ("Message sequence too low", Sent.NONCE_USED),
        ("Message with sequence already in mempool", Sent.TAKEN),
        ("Not enough funds to execute transaction", Sent.NO_FUNDS),
        ("gas fee cap is too low", Sent.FEE_TOO_LOW),
    ],
    "geth": [
        ("intrinsic gas too low: gas 20000, minimum needed 21000", Sent.REFUSED),
        ("exceeds block gas limit", Sent.REFUSED),
        ("execution reverted: not the owner", Sent.REFUSED),
    ],
    "a gateway": [
        ("upstream request timed out", Sent.UNKNOWN),
        ("Internal error", Sent.UNKNOWN),
        ("", Sent.UNKNOWN),
    ],
}


@pytest.mark.parametrize(("node", "text", "means"), [(n, *pair) for n, pairs in SAID.items() for pair in pairs])
def test_a_nodes_words_on_a_send_are_understood(node: str, text: str, means: Sent) -> None:
    assert sending(NodeError(text)) is means, node


def test_a_contracts_no_is_told_from_a_nodes() -> None:
    data = "0x08c379a0" + "00" * 31 + "20" + "00" * 31 + "03" + b"why".hex() + "00" * 29
    for error in (
        NodeError("execution reverted: why", data),
        NodeError(f"message execution failed (exit=[33], revert reason=[why], vm error=[Error({data})])"),
        NodeError(f"message execution failed: exit 33, reason: contract reverted, vm error=[{data}]"),
    ):
        assert is_revert(error)
        told = complaint(error, "there", SENDER)
        assert isinstance(told, Refused)
        assert "why" in str(told)
    assert not is_revert(NodeError("something about 0x12"))


def test_missing_money_history_and_blocks_are_told_apart() -> None:
    assert isinstance(complaint(NodeError("not enough funds"), "there", SENDER), ConfigError)
    pruned = NodeError("bad tipset height: lookbacks of more than 16h40m0s are disallowed")
    assert is_pruned(pruned)
    assert "archive node" in str(complaint(pruned, "there", SENDER))
    assert is_null_round(NodeError("requested epoch was a null round"))


@given(st.text(max_size=3000), st.text(max_size=300))
def test_whatever_a_node_says_becomes_one_short_line(text: str, data: str) -> None:
    told = complaint(NodeError(text, data), "there", SENDER)
    assert isinstance(told, Refused | ConfigError | Unavailable)
    assert str(told).isprintable()
    assert len(str(told)) < 500
