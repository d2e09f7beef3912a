"""Codec agrees with eth-abi, which others use, and reads whatever a node answers, or refuses it."""

from contextlib import suppress

import pytest
from eth_abi.abi import decode as judge_decode
from eth_abi.abi import encode as judge_encode
from hypothesis import given
from hypothesis import strategies as st

from shale.chain.codec import decode, encode, kind_of
from shale.units import checked_address

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: checked_address("0x" + raw.hex()))
PLAIN = {
    "uint8": st.integers(0, 2**8 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint96": st.integers(0, 2**96 - 1),
    "uint256": st.integers(0, 2**256 - 1),
    "bool": st.booleans(),
    "address": addresses,
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes31": st.binary(min_size=31, max_size=31),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=40),
}


def typed(depth: int = 2) -> st.SearchStrategy[tuple[str, st.SearchStrategy[object]]]:
    """A type and values of it."""
    plain = st.sampled_from(sorted(PLAIN)).map(lambda name: (name, PLAIN[name]))
    if depth == 0:
        return plain
    inner = typed(depth - 1)
    listed = inner.map(lambda pair: (pair[0] + "[]", st.lists(pair[1], max_size=3)))
    fixed = inner.map(lambda pair: (pair[0] + "[2]", st.lists(pair[1], min_size=2, max_size=2)))
    tupled = st.lists(inner, min_size=1, max_size=4).map(
        lambda pairs: ("(" + ",".join(name for name, _ in pairs) + ")", st.tuples(*(values for _, values in pairs)))
    )
    return plain | listed | fixed | tupled


def plain_of(value: object) -> object:
    if isinstance(value, list | tuple):
        return [plain_of(item) for item in value]
    return value.lower() if isinstance(value, str) and value.startswith("0x") else value


@given(st.data(), st.lists(typed(), max_size=4))
def test_values_are_written_and_read_as_the_world_does(data: st.DataObject, types: list[tuple[str, object]]) -> None:
    names = [name for name, _ in types]
    kinds = [kind_of(name) for name in names]
    values = [data.draw(values) for _, values in types]  # type: ignore[arg-type]
    raw = encode(kinds, values)
    assert raw == judge_encode(names, values)
    assert plain_of(decode(kinds, raw)) == plain_of(judge_decode(names, raw)) == plain_of(values)


@given(st.lists(typed(), min_size=1, max_size=4), st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(types: list[tuple[str, object]], raw: bytes) -> None:
    with suppress(ValueError):
        decode([kind_of(name) for name, _ in types], raw)


def test_arrays_that_share_their_bytes_do_not_multiply() -> None:
    """Offsets that all point to one array: 33 KB that would be read as 10^9 values, level by level."""
    kind = kind_of("uint256[][][]")
    level = (1000).to_bytes(32, "big") + (32000).to_bytes(32, "big") * 1000
    with pytest.raises(ValueError, match=r"too many|over the end|early"):
        decode([kind], (32).to_bytes(32, "big") + level + level + (1000).to_bytes(32, "big") + bytes(32000))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint8", 256), ("uint96", -1), ("bytes32", b"short"), ("address", "0x12"), ("uint256[2]", [1]), ("(bool)", [])],
)
def test_a_value_that_does_not_fit_is_refused(kind: str, value: object) -> None:
    with pytest.raises((ValueError, Exception)) as caught:
        encode([kind_of(kind)], [value])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "int8", "uint", "uint512", "bytes33", "bytes0", "tuple", "(uint8", "uint8[-1]"])
def test_a_type_that_no_contract_of_ours_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a type"):
        kind_of(text)


@pytest.mark.parametrize("raw", ["01" * 32, "00" * 31 + "02", "ff" * 32])
def test_a_word_that_is_out_of_its_type_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        decode([kind_of("bool")], bytes.fromhex(raw))
