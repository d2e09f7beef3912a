"""App: the live view: every lease's panel, drawn anew whenever the agent says that something changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from shale.client.agent.view import LeaseView
from shale.client.tui.panel import Load, panel
from shale.errors import InputRefused, ShaleError

Feed = Callable[[], AsyncGenerator[list[LeaseView], None]]

_RETRY_SECONDS = 1.0


class EndScreen(ModalScreen[bool]):
    """Asks whether the lease is truly to be ended."""

    CSS = """
    EndScreen { align: center middle; background: transparent; }
    EndScreen > Static { width: 60; height: auto; padding: 1 2; border: round red; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "end it"),
        Binding("n,escape,q", "dismiss(False)", "keep it"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name_of_lease = name

    def compose(self) -> ComposeResult:
        yield Static(
            Text.assemble(
                "End ", (self._name_of_lease, "bold"), "? Its container is removed, with all that is in it.\n\n",
                ("y", "bold red"), " end it    ", ("n", "bold"), " keep it",
            )
        )  # fmt: skip


class WatchApp(App[str | None]):
    """Shows the leases of `feed`, or only the one called `name`.

    Ends when the user says so; its result is the name of the lease that the user wants to end, None otherwise.
    """

    TITLE = "shale watch"
    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: transparent; } #leases { padding: 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("e", "end", "end the lease"),
        Binding("up,k", "scroll(-3)", "up", show=False),
        Binding("down,j", "scroll(3)", "down", show=False),
    ]

    def __init__(self, feed: Feed, name: str | None = None) -> None:
        super().__init__(ansi_color=True)
        self._feed = feed
        self._name = name
        self._views: list[LeaseView] = []
        self._loads: dict[str, Load] = {}
        self.failure: ShaleError | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("asking the agent…", id="leases")
        yield Footer()

    def on_mount(self) -> None:
        self.run_worker(self._follow(), exit_on_error=False)

    @property
    def living(self) -> list[str]:
        """The names of the shown leases that haven't ended."""
        return [view.name for view in self._views if view.end_reason == "none"]

    async def _follow(self) -> None:
        try:
            while True:
                async with aclosing(self._feed()) as feed:
                    async for views in feed:
                        self._show(views)
                if not self.living:
                    break
                # The agent was stopped, or died: asking again starts it anew.
                await asyncio.sleep(_RETRY_SECONDS)
        except ShaleError as error:
            self.failure = error
            self.exit()
            return
        if not self._views:
            self._shown.update(Text("no lease is left to pay for", "dim"))

    @property
    def _shown(self) -> Static:
        return self.query_one("#leases", Static)

    def _show(self, views: list[LeaseView]) -> None:
        chosen = [view for view in views if self._name in (None, view.name)]
        if self._name is not None and not chosen:
            raise InputRefused(f"the agent pays for no lease named {self._name[:64]!r}", "see shale ps --all")
        ticks = {view.name: view.tick for view in self._views}
        for view in chosen:
            if ticks.get(view.name) != view.tick:
                self._loads[view.name] = self._loads.get(view.name, Load()).after(view)
        self._views = chosen
        panels = Group(*(panel(view, self._loads[view.name]) for view in chosen))
        self._shown.update(panels if chosen else Text("no lease is paid for now: begin one with shale up", "dim"))

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines)

    def action_end(self) -> None:
        """End the one living lease; among several the user must choose by name."""
        if len(self.living) != 1:
            self.notify("begin with shale watch NAME to end one of several" if self.living else "no lease lives")
            return
        [name] = self.living

        def decided(sure: bool | None) -> None:
            if sure:
                self.exit(name)

        self.push_screen(EndScreen(name), decided)
