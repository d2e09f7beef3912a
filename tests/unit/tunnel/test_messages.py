"""The tunnel's lines: what was said comes back, and nothing else passes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shale.errors import InputRefused
from shale.market.lease import EndReason
from shale.tunnel.messages import (
    MAX_LINE,
    Ack,
    EndSent,
    Hello,
    Message,
    Notice,
    ReadingSent,
    RefuseVoucher,
    VoucherSent,
    Welcome,
    decode,
    encode,
)
from shale.units import AttoFil, LeaseId

seconds = st.integers(0, 2**64 - 1)
amounts = st.integers(0, 2**96 - 1).map(AttoFil)
leases = st.integers(0, 2**248 - 1).map(lambda n: LeaseId(f"0x{n:062x}"))
nonces = st.binary(min_size=32, max_size=32).map(bytes.hex)
signatures = st.binary(min_size=64, max_size=65).map(lambda raw: "0x" + raw.hex())
of_contracts = st.binary(min_size=1, max_size=1024).map(lambda raw: "0x" + raw.hex())
texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), max_size=200)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, leases, nonces),
    st.builds(Welcome, leases, nonces, nonces, texts, amounts, seconds, seconds, signatures),
    st.builds(ReadingSent, seconds, seconds, amounts, seconds, signatures, seconds, seconds),
    st.builds(VoucherSent, seconds, amounts, seconds, signatures),
    st.builds(Ack, seconds, amounts, seconds),
    st.builds(RefuseVoucher, seconds, texts),
    st.builds(Notice, st.sampled_from(["verdict", "frozen"]), texts),
    st.builds(EndSent, amounts, seconds, st.sampled_from(EndReason), seconds, signatures | of_contracts),
)


@given(messages)
def test_what_is_encoded_is_decoded(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(st.binary(max_size=400))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(InputRefused):
        decode(junk)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=3)
)


@given(messages, st.data())
def test_a_message_with_a_wrong_field_is_refused_or_still_well_typed(message: Message, data: st.DataObject) -> None:
    raw = json.loads(encode(message))
    field = data.draw(st.sampled_from(sorted(raw)))
    raw[field] = data.draw(json_values)
    try:
        read = decode(json.dumps(raw).encode())
    except InputRefused:
        return
    assert decode(encode(read)) == read


def test_a_line_beyond_the_limit_is_refused() -> None:
    with pytest.raises(InputRefused, match="too long"):
        decode(b'{"type": "notice", "kind": "x", "text": "' + b"a" * MAX_LINE + b'"}')


def test_another_version_is_refused_in_words() -> None:
    line = encode(Hello(LeaseId("0x" + "ab" * 31), "00" * 32)).replace(b'"version":1', b'"version":2')
    with pytest.raises(InputRefused, match="version 2"):
        decode(line)


@pytest.mark.parametrize("amount", ["-1", "1.5", "1e3", "", "9" * 31, str(2**96)])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    line = json.dumps({"type": "ack", "tick": 1, "amount": amount, "seconds": 5}).encode()
    with pytest.raises(InputRefused):
        decode(line)
