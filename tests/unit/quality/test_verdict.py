"""When verdicts withhold a voucher, and when it is tried again."""

from __future__ import annotations

import pytest

from shale.quality.probation import FIRST_SECONDS, LONGEST_SECONDS, Probation
from shale.quality.verdict import Policy, Standing, Status, Verdict


def verdict(status: Status, probe: str = "ping", at: int = 1) -> Verdict:
    return Verdict(probe, status, "said so", at, {"rtt_us": 12})


def standing(*statuses: Status) -> Standing:
    result = Standing()
    for status in statuses:
        result = result.after(verdict(status))
    return result


FAIL, OK, WARN = Status.FAIL, Status.OK, Status.WARN


@pytest.mark.parametrize("statuses", [(), (FAIL, FAIL), (FAIL, FAIL, OK, FAIL), (FAIL, FAIL, FAIL, WARN)])
def test_fewer_failures_in_a_row_than_the_policy_names_withhold_nothing(statuses: tuple[Status, ...]) -> None:
    assert standing(*statuses).withheld(Policy(3)) is None


def test_as_many_failures_in_a_row_withhold_until_the_probe_succeeds() -> None:
    failed = standing(FAIL, FAIL, FAIL)
    withheld = failed.withheld(Policy(3))
    assert withheld is not None
    assert withheld.status is FAIL
    assert failed.after(verdict(OK)).withheld(Policy(3)) is None


def test_failures_of_different_probes_do_not_add_up() -> None:
    mixed = standing(FAIL, FAIL).after(verdict(FAIL, "other")).after(verdict(FAIL, "other"))
    assert mixed.withheld(Policy(3)) is None


def test_another_probe_that_is_well_does_not_excuse_a_failing_one() -> None:
    assert standing(FAIL, FAIL, FAIL).after(verdict(OK, "other")).withheld(Policy(3)) is not None


def test_the_worst_verdict_is_the_one_to_show() -> None:
    mixed = standing(OK).after(verdict(WARN, "slow")).after(verdict(OK, "new", at=9))
    assert mixed.worst == verdict(WARN, "slow")
    assert Standing().worst is None


def test_a_verdict_survives_its_json() -> None:
    assert Verdict.from_json(verdict(WARN).to_json()) == verdict(WARN)


def test_probation_waits_then_tries_and_waits_twice_as_long_each_time() -> None:
    trial = Probation().withheld(100.0)
    assert trial.waiting(100.0) == FIRST_SECONDS
    assert trial.withheld(130.0) == trial
    assert trial.waiting(100.0 + FIRST_SECONDS) == 0
    delays = []
    for _ in range(6):
        trial = trial.tried(0.0)
        delays.append(trial.waiting(0.0))
    assert delays == [120, 240, 480, 480, 480, 480]
    assert max(delays) == LONGEST_SECONDS


def test_without_a_verdict_there_is_nothing_to_wait_for() -> None:
    assert Probation().waiting(1e9) == 0
