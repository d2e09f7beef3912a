"""Quantities: read exactly, shown exactly, never out of range."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shale.errors import InputRefused
from shale.units import MAX_AMOUNT, ZERO, AttoFil, Price, format_fil, parse_bytes, parse_duration


@given(st.integers(0, MAX_AMOUNT).map(AttoFil))
def test_an_amount_shown_is_read_back_to_the_attofil(amount: AttoFil) -> None:
    assert AttoFil.parse(format_fil(amount)) == amount


@pytest.mark.parametrize(
    ("text", "attofil"),
    [
        ("1", 10**18),
        ("0.01 FIL", 10**16),
        ("3 nanoFIL", 3 * 10**9),
        ("12 attofil", 12),
        ("0.000000000000000001 FIL", 1),
        ("1_000 FIL", 10**21),
    ],
)
def test_an_amount_is_read_exactly(text: str, attofil: int) -> None:
    assert AttoFil.parse(text).value == attofil


@pytest.mark.parametrize("text", ["", "FIL", "-1 FIL", "1e18", "0.1 attoFIL", "1 BTC", "nan", "0.0000000000000000001"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InputRefused):
        AttoFil.parse(text)


@pytest.mark.parametrize("value", [-1, MAX_AMOUNT + 1])
def test_an_amount_out_of_range_is_refused(value: int) -> None:
    with pytest.raises(InputRefused):
        AttoFil(value)


def test_an_amount_is_never_a_float() -> None:
    with pytest.raises(TypeError):
        AttoFil(1.0)  # type: ignore[arg-type]


def test_a_subtraction_below_zero_is_refused() -> None:
    with pytest.raises(InputRefused):
        AttoFil(1) - AttoFil(2)


@pytest.mark.parametrize("text", ["3599 attoFIL/h", "1 attoFIL", "59 attoFIL/min"])
def test_a_price_that_would_come_to_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputRefused, match="less than an attoFIL a second"):
        Price.parse(text)
    assert Price.parse("0 FIL/h").per_second == ZERO


def test_a_long_text_is_not_said_again_whole() -> None:
    with pytest.raises(InputRefused) as caught:
        AttoFil.parse("9" * 100_000)
    assert len(str(caught.value)) < 200


def test_a_price_is_read_with_its_period() -> None:
    assert Price.parse("3.6 nanoFIL/h").per_second == AttoFil(10**6)
    assert Price.parse("3 nanoFIL/s").per_second == AttoFil(3 * 10**9)


@given(st.integers(0, 2**40), st.integers(1, 2**30))
def test_a_price_over_time_is_the_exact_product(per_second: int, seconds: int) -> None:
    assert Price(AttoFil(per_second)).over(seconds).value == per_second * seconds


@given(st.just(0) | st.integers(3600, 10**27), st.sampled_from([("s", 1), ("min", 60), ("h", 3600), (" hour ", 3600)]))
def test_a_price_is_never_more_than_was_said_and_less_by_under_an_attofil(
    attofil: int, period: tuple[str, int]
) -> None:
    for text in (f"{attofil} attoFIL/{period[0]}", f"{format_fil(AttoFil(attofil))} / {period[0]}"):
        per_second = Price.parse(text).per_second.value
        assert per_second * period[1] <= attofil < (per_second + 1) * period[1]


@given(st.integers(0, 10**10), st.integers(1, 18), st.sampled_from(["FIL", "milliFIL", "MicroFIL", "nanofil"]))
def test_a_fraction_is_read_exactly_or_refused_for_its_last_digit(whole: int, digits: int, unit: str) -> None:
    exponent = {"fil": 18, "millifil": 15, "microfil": 12, "nanofil": 9}[unit.lower()]
    text = f"{whole}.{'0' * (digits - 1)}7 {unit}"
    if digits <= exponent:
        assert AttoFil.parse(text).value == whole * 10**exponent + 7 * 10 ** (exponent - digits)
    else:
        with pytest.raises(InputRefused, match="fraction of an attoFIL"):
            AttoFil.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_an_amount_and_a_price_or_refused(text: str) -> None:
    for parse in (AttoFil.parse, Price.parse):
        with suppress(InputRefused):
            parse(text)


def test_sizes_and_durations_are_read_as_people_write_them() -> None:
    assert parse_bytes("2Gi") == 2 * 2**30
    assert parse_bytes("512M") == 512 * 10**6
    assert parse_duration("1.5h") == 5400
    assert parse_duration("90") == 90
