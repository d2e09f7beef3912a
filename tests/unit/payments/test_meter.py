"""The meter's decisions, and the money invariants over any course of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shale.market.lease import EndReason
from shale.payments.meter import Action, Meter, Terms
from shale.units import AttoFil, Price

TERMS = Terms(Price(AttoFil(7)), tick_seconds=10, max_seconds=100, grace=3, patience=60)


def decide(meter: Meter, connected: bool = True) -> Action:
    return meter.decide(connected)[0]


def test_the_first_tick_is_asked_before_the_first_second() -> None:
    meter = Meter(TERMS)
    assert decide(meter) is Action.ASK
    assert (meter.wanted_tick, meter.due_at(1)) == (1, AttoFil(70))


def test_nobody_is_asked_while_the_payer_is_away() -> None:
    assert decide(Meter(TERMS), connected=False) is Action.NOTHING


def test_a_tick_is_asked_once() -> None:
    assert decide(Meter(TERMS).asking()) is Action.NOTHING


def test_a_new_connection_is_asked_again() -> None:
    assert decide(Meter(TERMS).asking().forgetting()) is Action.ASK


def test_unpaid_past_the_grace_freezes() -> None:
    meter = Meter(TERMS).asking().passed(2.9)
    assert decide(meter) is Action.NOTHING
    assert decide(meter.passed(0.1)) is Action.FREEZE


def test_served_time_stands_still_while_frozen() -> None:
    frozen = Meter(TERMS).asking().passed(3).freezing().passed(50)
    assert (frozen.served, frozen.frozen_for) == (3, 50)


def test_a_payment_thaws() -> None:
    frozen = Meter(TERMS).asking().passed(3).freezing().passed(50)
    assert decide(frozen.paying(10)) is Action.THAW


def test_frozen_past_the_patience_ends_as_unpaid() -> None:
    frozen = Meter(TERMS).asking().passed(3).freezing().passed(60)
    assert frozen.decide() == (Action.END, EndReason.UNPAID)


def test_the_lease_ends_when_the_collateral_is_spent() -> None:
    meter = Meter(TERMS).paying(100).passed(100)
    assert meter.decide() == (Action.END, EndReason.COLLATERAL_SPENT)


def test_the_next_tick_is_asked_when_the_paid_one_is_served() -> None:
    meter = Meter(TERMS).asking().paying(10).passed(9.99)
    assert decide(meter) is Action.NOTHING
    later = meter.passed(0.01)
    assert decide(later) is Action.ASK
    assert later.wanted_tick == 2


def test_prepaid_ticks_are_not_asked() -> None:
    meter = Meter(TERMS).asking().paying(50).passed(35)
    assert decide(meter) is Action.NOTHING


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pass"), st.floats(0, 30, allow_nan=False)),
            st.tuples(st.just("pay"), st.integers(0, 10)),
            st.tuples(st.just("reconnect"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_unpaid_service_never_exceeds_the_grace(events: list[tuple[str, float]]) -> None:
    """Driven the way its owner drives it, the meter serves no more than what is paid and the grace."""
    meter = Meter(TERMS)
    for kind, amount in events:
        if kind == "pay":
            meter = meter.paying(int(amount) * TERMS.tick_seconds)
        elif kind == "reconnect":
            meter = meter.forgetting()
        else:
            left = amount
            while left > 0:
                meter, ended = settle(meter)
                if ended:
                    return
                step = min(left, max(meter.next_moment(), 1e-6))
                meter = meter.passed(step)
                left -= step
        meter, ended = settle(meter)
        assert meter.served <= meter.paid_seconds + TERMS.grace + 1e-3
        assert meter.due_at(meter.wanted_tick) <= TERMS.price.over(TERMS.max_seconds)
        if ended:
            return


def settle(meter: Meter) -> tuple[Meter, bool]:
    """Do what the meter says until it says nothing."""
    for _ in range(20):
        match decide(meter):
            case Action.ASK:
                meter = meter.asking()
            case Action.FREEZE:
                meter = meter.freezing()
            case Action.THAW:
                meter = meter.thawing()
            case Action.END:
                return meter, True
            case Action.NOTHING:
                return meter, False
    raise AssertionError("the meter does not come to rest")
