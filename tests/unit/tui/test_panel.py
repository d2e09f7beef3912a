"""What a person sees of a lease, at the narrowest terminal that counts."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from rich.console import Console

from shale.client.agent.view import LeaseView
from shale.client.tui.app import WatchApp
from shale.client.tui.panel import Load, panel
from shale.errors import InputRefused
from shale.quality.verdict import Status, Verdict
from shale.units import AttoFil, LeaseId, Price

VIEW = LeaseView(
    name="quiet-basalt",
    lease_id=LeaseId("0x" + "ab" * 31),
    state="running",
    elapsed_seconds=3723,
    paid=AttoFil(1_500_000_000_000_000),
    price=Price(AttoFil(1_000_000_000_000)),
    collateral=AttoFil(3_000_000_000_000_000),
    seconds=1500,
    tick=300,
    verdict=Verdict("ssh-liveness", Status.OK, "answered in 6.8 ms", 1, {"rtt_us": 6800}),
    cpu_millis=1250,
    memory_bytes=300 << 20,
    end_reason="none",
    connected=True,
    note="",
)


def shown(view: LeaseView, width: int = 80) -> str:
    screen = io.StringIO()
    Console(file=screen, width=width).print(panel(view))
    return screen.getvalue()


def test_time_money_health_and_load_are_all_there_at_80_columns() -> None:
    text = shown(VIEW)
    for figure in ("1h 02m 03s", "1.5 milliFIL", "3.6 milliFIL/h", "50.0 %", "ssh-liveness ok 6.8 ms", "1.25 cores"):
        assert figure in text
    assert "300.0 MiB" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_a_failing_probe_says_why() -> None:
    verdict = Verdict("ssh-liveness", Status.FAIL, "no answer within 15 s", 1)
    assert "no answer within 15 s" in shown(replace(VIEW, verdict=verdict))


def test_a_fault_of_the_dataset_stays_in_sight() -> None:
    text = shown(
        replace(VIEW, fault="dataset fault at a.bin, offset 7 of the piece: corrupt block", note="tunnel down")
    )
    assert "dataset fault at a.bin, offset 7" in text
    assert "tunnel down" in text


def test_a_lost_tunnel_and_an_end_are_named() -> None:
    assert "tunnel down" in shown(replace(VIEW, connected=False))
    assert "ended (unpaid)" in shown(replace(VIEW, state="ended", end_reason="unpaid"))


@pytest.mark.parametrize("width", [60, 140])
def test_other_widths_are_filled_and_not_exceeded(width: int) -> None:
    assert {len(line) for line in shown(VIEW, width).splitlines()} == {width}


def test_the_last_readings_are_a_curve_beside_their_figure() -> None:
    load = Load()
    for number in range(40):
        load = load.after(replace(VIEW, cpu_millis=number * 100, memory_bytes=0))
    assert len(load.cpu_millis) < 20
    screen = io.StringIO()
    Console(file=screen, width=80).print(panel(VIEW, load))
    text = screen.getvalue()
    assert "▅" in text
    assert "▇█" in text
    assert max(map(len, text.splitlines())) == 80


def test_an_ended_lease_shows_no_load_and_what_comes_back() -> None:
    text = shown(replace(VIEW, state="ended", end_reason="client_ended"))
    assert "cores" not in text
    assert "refund" in text


class TestLiveView:
    def app(self, *rounds: list[LeaseView], name: str | None = None) -> WatchApp:
        async def feed() -> AsyncGenerator[list[LeaseView], None]:
            for views in rounds:
                yield views

        return WatchApp(feed, name)

    async def test_it_shows_what_the_agent_says_and_quits_on_q(self) -> None:
        app = self.app([VIEW, replace(VIEW, name="other")], name="quiet-basalt")
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert app.living == ["quiet-basalt"]
            await pilot.press("q")
        assert (app.failure, app.return_code, app.return_value) == (None, 0, None)

    async def test_a_name_that_the_agent_does_not_know_is_an_error(self) -> None:
        app = self.app([VIEW], name="nobody")
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
        assert isinstance(app.failure, InputRefused)

    @pytest.mark.parametrize(("answer", "result"), [("y", "quiet-basalt"), ("n", None)])
    async def test_e_asks_and_then_gives_the_lease_to_end(self, answer: str, result: str | None) -> None:
        app = self.app([VIEW, replace(VIEW, name="old", state="ended", end_reason="unpaid")])
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await pilot.press("e")
            await pilot.pause()
            await pilot.press(answer)
            if result is None:
                await pilot.press("q")
        assert app.return_value == result

    async def test_e_among_several_living_leases_ends_none(self) -> None:
        app = self.app([VIEW, replace(VIEW, name="other")])
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await pilot.press("e", "y", "q")
        assert app.return_value is None

    async def test_without_a_lease_it_says_how_to_begin_one(self) -> None:
        app = self.app([])
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert app.living == []
            await pilot.press("e", "q")
        assert app.return_value is None
