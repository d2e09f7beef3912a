"""Fees: a replacement is always one that a node takes, and nothing costs more than the limit."""

from hypothesis import given
from hypothesis import strategies as st

from shale.chain.fees import MAX_FEE, affordable, gas_limit, market, raised
from shale.chain.transactions import Fees
from shale.units import AttoFil

amounts = st.integers(0, 10**13)


@given(amounts, amounts, amounts, amounts)
def test_a_raised_offer_is_a_quarter_more_of_each_and_no_less_than_the_market(a: int, b: int, c: int, d: int) -> None:
    old, now = market(a, b), market(c, d)
    new = raised(old, now)
    for field in ("tip", "most"):
        assert getattr(new, field) * 4 >= getattr(old, field) * 5
        assert getattr(new, field) > getattr(old, field)
        assert getattr(new, field) >= getattr(now, field)
    assert new.most >= new.tip
    assert new.most - new.tip >= now.most - now.tip - 1


@given(st.integers(1, 10**11), st.integers(0, 10**11))
def test_a_gas_limit_is_over_its_estimate_and_within_a_block(estimate: int, block: int) -> None:
    limit = gas_limit(estimate, block)
    assert estimate <= limit <= estimate * 5 // 4
    assert limit <= max(block, estimate) or not block


def test_nothing_costs_more_than_the_limit() -> None:
    assert affordable(Fees(1, MAX_FEE.value // 10**9), 10**9)
    assert not affordable(Fees(1, MAX_FEE.value // 10**9 + 1), 10**9)
    assert affordable(Fees(1, 5), 2, AttoFil(10))
    assert not affordable(Fees(1, 5), 2, AttoFil(9))
