"""App: the live view: every lease's panel, drawn anew whenever the agent says that something changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from shale.client.agent.view import LeaseView
from shale.client.tui.panel import panel
from shale.errors import ShaleError

Feed = Callable[[], AsyncIterator[list[LeaseView]]]


class WatchApp(App[None]):
    """Shows the leases of `feed`, or only the one called `name`; ends when the user says so."""

    TITLE = "shale watch"
    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: transparent; } #leases { padding: 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("up,k", "scroll(-3)", "up", show=False),
        Binding("down,j", "scroll(3)", "down", show=False),
    ]

    def __init__(self, feed: Feed, name: str | None = None) -> None:
        super().__init__(ansi_color=True)
        self._feed = feed
        self._name = name
        self.failure: ShaleError | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("asking the agent…", id="leases")
        yield Footer()

    def on_mount(self) -> None:
        self.run_worker(self._follow(), exit_on_error=False)

    async def _follow(self) -> None:
        shown = self.query_one("#leases", Static)
        try:
            async for views in self._feed():
                views = [view for view in views if self._name in (None, view.name)]
                shown.update(Group(*map(panel, views)) if views else Text("no lease is paid for now", "dim"))
        except ShaleError as error:
            self.failure = error
            self.exit()
            return
        shown.update(Text("the agent has ended: no lease is left to pay for", "dim"))

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines)
