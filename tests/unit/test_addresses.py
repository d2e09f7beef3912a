"""Addresses: every form reads back to what it was written from, and a mistyped one is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shale.addresses import actor_number, f410, filecoin_form, masked, parse_address
from shale.errors import InputRefused
from shale.units import Address, checked_address

raw_addresses = st.binary(min_size=20, max_size=20)
ETHEREUM = checked_address("0x52963ef50e27e06d72d59fcb4f3c2a687be3cfef")
FILECOIN = "f410fkkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxa"


def test_the_known_example_reads_both_ways() -> None:
    assert f410(ETHEREUM) == filecoin_form(ETHEREUM) == FILECOIN
    assert parse_address(FILECOIN) == parse_address("t" + FILECOIN[1:]) == ETHEREUM


@given(raw_addresses)
def test_every_form_of_an_address_reads_back(raw: bytes) -> None:
    address = checked_address("0x" + raw.hex())
    for form in (address, address.lower(), "0x" + address[2:].upper(), f" {filecoin_form(address)}\n"):
        assert parse_address(form) == address


@given(st.integers(0, 2**64 - 1))
@example(0)
@example(2**64 - 1)
def test_an_actors_number_is_masked_and_read_back(number: int) -> None:
    address = parse_address(f"f0{number}")
    assert address == masked(number)
    assert address.lower() == f"0xff{'00' * 11}{number:016x}"
    assert actor_number(address) == number
    assert filecoin_form(address) == f"f0{number}"


@given(raw_addresses, st.integers(5, 43), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_mistyped_f410_address_is_refused(raw: bytes, at: int, letter: str) -> None:
    good = f410(Address("0x" + raw.hex()))
    bent = good[:at] + letter + good[at + 1 :]
    if bent != good:
        with pytest.raises(InputRefused):
            parse_address(bent)


@pytest.mark.parametrize(
    "text",
    ["", "f", "f0", "f0-1", "f01x", "f001", "f018446744073709551616", "f410f", FILECOIN[:-1], FILECOIN + "a",
     FILECOIN.upper(), "f420f" + FILECOIN[5:], "f410", "x" * 5000, "0x12", ETHEREUM.replace("c", "C"), "f０1"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputRefused) as caught:
        parse_address(text)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "text",
    ["f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za", "f2plku564ddywnmb5b2ky7dhk4mb6uacsxuuev3pi",
     "f3vvmn62lofvhjd2ugzca6sof2j2ubwok6cj4xxbfzz4yuxfkgobpihhd2thlanmsh3w2ptld2gqkn2jvlss4a"],
)  # fmt: skip
def test_an_address_that_the_evm_cannot_name_gets_a_hint(text: str) -> None:
    with pytest.raises(InputRefused, match="f0 number"):
        parse_address(text)


def test_a_masked_address_in_f410_form_is_pointed_to_its_number() -> None:
    with pytest.raises(InputRefused, match="give f01234"):
        parse_address(f410(masked(1234)))


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except InputRefused:
        return
    assert checked_address(address) == address
