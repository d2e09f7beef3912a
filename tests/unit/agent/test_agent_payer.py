"""What the payer signs, over any course of readings and time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from tests.counterparts import MAX_SECONDS, PRICE, SIGNING, TICK, new_order

from shale.client.agent.payer import GRACE_SECONDS, TOLERANCE_SECONDS, Payer
from shale.clock import ManualClock
from shale.errors import InputRefused, Refused
from shale.market.lease import EndReason
from shale.market.order import PayKey, Reading
from shale.proofs.prover import PaySecret
from shale.tunnel.messages import Ack, EndSent, ReadingSent, Welcome
from shale.units import ZERO, AttoFil

NONCE, HOST_KEY = "ab" * 32, "ssh-ed25519 AAAA"
ORDER = new_order(
    Account.create(), Account.create(), PaySecret(PayKey("0x" + "1" * 64, "0x" + "2" * 64), ""), ManualClock()
)
PAYER = Payer(ORDER, SIGNING.order_hash(ORDER), HOST_KEY)
TICKS = MAX_SECONDS // TICK


def reading(tick: int) -> Reading:
    return PAYER.reading_of(sent(tick))


def sent(tick: int, **changes: object) -> ReadingSent:
    values = {"seconds": tick * TICK, "due": PRICE.over(tick * TICK)} | changes
    return ReadingSent(tick=tick, at=1, signature="", cpu_millis=0, memory_bytes=0, **values)  # type: ignore[arg-type]


def welcome(paid: int = 0, **changes: object) -> Welcome:
    answer = Welcome(PAYER.lease, "cd" * 32, NONCE, HOST_KEY, PRICE.over(paid), paid, 1, "")
    return replace(answer, **changes)  # type: ignore[arg-type]


def paying(seconds: int) -> Payer:
    return replace(PAYER, paid=PRICE.over(seconds), seconds=seconds, served=float(seconds))


def test_the_first_tick_is_due_at_once() -> None:
    due = PAYER.due(reading(1))
    assert (due.amount, due.seconds, due.wait) == (PRICE.over(5), 5, 0)


def test_a_tick_is_due_once_it_can_have_begun_by_our_clock() -> None:
    payer = replace(PAYER, paid=PRICE.over(5), seconds=5)
    early = payer.passed(TICK - TOLERANCE_SECONDS - 1).due(reading(2))
    assert (early.seconds, early.wait) == (5, 1)
    assert payer.passed(TICK - TOLERANCE_SECONDS).due(reading(2)).seconds == 10


def test_of_a_reading_far_ahead_only_the_ticks_that_have_begun_are_due() -> None:
    due = replace(PAYER, served=7.0).due(reading(TICKS))
    assert (due.seconds, due.wait) == (10, 1)


def test_time_in_which_nothing_was_paid_is_not_owed() -> None:
    payer = paying(20).passed(100_000)
    assert payer.served == 20 + GRACE_SECONDS
    assert payer.due(reading(TICKS)).seconds <= 20 + GRACE_SECONDS + TOLERANCE_SECONDS + TICK


def test_a_reading_below_what_was_signed_gives_that_again() -> None:
    due = paying(20).due(reading(2))
    assert (due.amount, due.seconds, due.wait) == (PRICE.over(20), 20, 0)


def test_a_lower_amount_is_never_signed() -> None:
    due = PAYER.due(reading(1))
    with pytest.raises(Refused, match="before"):
        paying(20).signing(due)


@pytest.mark.parametrize(
    "wrong",
    [
        sent(0),
        sent(1, seconds=6, due=PRICE.over(6)),
        sent(2, due=PRICE.over(10) + AttoFil(1)),
        sent(2, due=PRICE.over(10) - AttoFil(1)),
        sent(TICKS + 1),
        sent(2**62),
    ],
    ids=["no tick", "between ticks", "too expensive", "too cheap", "past the end", "absurd"],
)
def test_a_reading_that_breaks_the_terms_is_refused(wrong: ReadingSent) -> None:
    with pytest.raises(Refused):
        PAYER.reading_of(wrong)


class TestWelcome:
    def test_a_provider_that_knows_less_is_taken_as_it_is(self) -> None:
        payer, state = paying(20).welcomed(welcome(10), NONCE)
        assert (payer.acked, payer.paid) == (PRICE.over(10), PRICE.over(20))
        assert (state.tick, state.seconds, state.due) == (0, 10, PRICE.over(10))

    @pytest.mark.parametrize(
        "wrong",
        [
            welcome(25),
            welcome(20, seconds=21),
            welcome(20, client_nonce="00" * 32),
            welcome(20, lease="0x" + "3" * 62),
            welcome(20, host_key="ssh-ed25519 BBBB"),
        ],
        ids=["more money", "more time", "another hello's", "another lease's", "another host"],
    )
    def test_a_welcome_that_claims_something_else_is_refused(self, wrong: Welcome) -> None:
        with pytest.raises(Refused):
            paying(20).welcomed(wrong, NONCE)


class TestAnswers:
    def test_the_same_acknowledgement_twice_changes_nothing(self) -> None:
        once = paying(20).acknowledged(Ack(4, PRICE.over(20), 20))
        assert once.acknowledged(Ack(4, PRICE.over(20), 20)) == once
        assert once.acknowledged(Ack(2, PRICE.over(10), 10)) == once

    def test_an_acknowledgement_of_what_was_never_signed_is_refused(self) -> None:
        with pytest.raises(Refused):
            paying(20).acknowledged(Ack(5, PRICE.over(25), 25))

    def test_a_final_state_is_what_was_signed_or_less(self) -> None:
        final = paying(20).ended(EndSent(PRICE.over(15), 15, EndReason.PROVIDER_ENDED, 1, ""))
        assert (final.amount, final.seconds, final.order) == (PRICE.over(15), 15, PAYER.order_hash)

    @pytest.mark.parametrize(
        ("amount", "seconds", "reason"),
        [
            (PRICE.over(20) + AttoFil(1), 20, EndReason.PROVIDER_ENDED),
            (PRICE.over(20), 21, EndReason.PROVIDER_ENDED),
            (ZERO, 0, EndReason.NONE),
        ],
    )
    def test_a_final_state_that_claims_more_or_has_no_reason_is_refused(
        self, amount: AttoFil, seconds: int, reason: EndReason
    ) -> None:
        with pytest.raises(InputRefused):
            paying(20).ended(EndSent(amount, seconds, reason, 1, ""))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pass"), st.floats(0, 60, allow_nan=False)),
            st.tuples(st.just("ask"), st.integers(1, TICKS)),
        ),
        max_size=80,
    )
)
def test_whatever_is_asked_and_when_no_more_is_signed_than_can_have_been_served(
    events: list[tuple[str, float]],
) -> None:
    payer, elapsed = PAYER, 0.0
    for kind, value in events:
        if kind == "pass":
            payer, elapsed = payer.passed(value), elapsed + value
            continue
        before = payer
        due = payer.due(reading(int(value)))
        payer = payer.signing(due)
        assert before.seconds <= payer.seconds <= MAX_SECONDS
        assert payer.paid == PRICE.over(payer.seconds)
        assert payer.paid.value <= PRICE.per_second.value * (elapsed + TOLERANCE_SECONDS + TICK)
        assert payer.seconds <= before.seconds + GRACE_SECONDS + TOLERANCE_SECONDS + TICK
        assert due.wait > 0 or payer.seconds >= int(value) * TICK


@given(st.integers(1, TICKS), st.floats(0, 300, allow_nan=False))
def test_after_the_wait_that_it_names_more_is_due(tick: int, elapsed: float) -> None:
    payer = PAYER.passed(elapsed)
    due = payer.due(reading(tick))
    for _ in range(TICKS):
        if not due.wait:
            break
        payer = payer.signing(due).passed(due.wait)
        later = payer.due(reading(tick))
        assert later.seconds > due.seconds or later.wait < due.wait
        due = later
    assert due.seconds == tick * TICK
