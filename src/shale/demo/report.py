"""Report: what the demo measured, and whether its money adds up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shale.errors import Refused
from shale.paths import write_private
from shale.units import AttoFil


@dataclass(slots=True)
class Step:
    """One step; its detail is filled in while it runs."""

    name: str
    seconds: float = 0.0
    detail: str = ""


@dataclass(slots=True)
class Report:
    """Filled step by step; `write` leaves build/demo/report.json, whether it went well or not."""

    console: Console
    steps: list[Step] = field(default_factory=list)
    dataset: dict[str, Any] = field(default_factory=dict)
    lease: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    settlement: dict[str, Any] = field(default_factory=dict)
    review: dict[str, Any] = field(default_factory=dict)
    exit: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step and show it."""
        step = Step(name)
        self.steps.append(step)
        self.console.print(f"[bold cyan]{len(self.steps):2d}[/] [bold]{name}[/]", highlight=False, soft_wrap=True)
        began = time.monotonic()
        try:
            yield step
        finally:
            step.seconds = round(time.monotonic() - began, 3)
        self.console.print(f"   [green]done[/] in {step.seconds:.2f} s  {step.detail}", highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        self.console.print(f"   [dim]│[/] {line}", highlight=False, markup=True, soft_wrap=True)

    def check_money(self) -> None:
        """Raise Refused unless each lease's deposit, and the batch's by balances, is split to the attoFIL."""
        collateral, settled = self.lease["collateral_attofil"], self.settlement
        received, refund = settled["provider_received_attofil"], settled["client_refund_attofil"]
        if collateral != received + refund or received != self.lease["paid_attofil"]:
            raise Refused(f"the money does not add up: {collateral} locked, {received} received, {refund} refunded")
        for name, total in (("paid", "batch_received"), ("refund", "batch_refund")):
            whole, parts = settled[f"{total}_attofil"], sum(item[f"{name}_attofil"] for item in settled["leases"])
            if whole != parts:
                raise Refused(f"the batch does not add up: {whole} moved, {parts} in its leases ({name})")

    def write(self, path: Path, ok: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw: dict[str, Any] = {
            "ok": ok,
            "steps": [{"name": s.name, "seconds": s.seconds, "detail": s.detail} for s in self.steps],
            "dataset": self.dataset,
            "lease": self.lease,
            "training": self.training,
            "settlement": self.settlement,
            "review": self.review,
            "exit": self.exit,
        }
        if self.error:
            raw["error"] = self.error
        write_private(path, (json.dumps(raw, indent=2) + "\n").encode(), 0o644)

    def summary(self) -> None:
        table = Table(title="A lease, from order to review", show_header=False, title_style="bold", min_width=60)
        table.add_column(style="cyan")
        table.add_column()
        lease, settlement, dataset = self.lease, self.settlement, self.dataset
        table.add_row(
            "dataset",
            f"sector {dataset['sector']}, claim {dataset['claim']}, {dataset['proven_leaves']} leaves proven up to it",
        )
        table.add_row("order to shell", f"{lease['order_to_shell_seconds']:.2f} s")
        table.add_row("training", f"accuracy {self.training['accuracy']:.4f} after {self.training['epochs']} epochs")
        table.add_row(
            "paid", f"{AttoFil(lease['paid_attofil'])} for {lease['paid_seconds']} s in {lease['ticks']} ticks"
        )
        table.add_row("ended", lease["end_reason"])
        table.add_row(
            "proof",
            f"{settlement['batch_size']} leases in one of size {settlement['circuit_size']}, "
            f"{settlement['constraints']} constraints, "
            f"{settlement['prove_seconds']:.2f} s, {settlement['verify_gas']} gas to verify",
        )
        table.add_row("collateral", str(AttoFil(lease["collateral_attofil"])))
        table.add_row("= received", str(AttoFil(settlement["provider_received_attofil"])))
        table.add_row("+ refunded", str(AttoFil(settlement["client_refund_attofil"])))
        table.add_row("review", f"{self.review['stars']} stars, weight {self.review['weight_seconds']} s")
        back = AttoFil(self.exit["refund_attofil"])
        table.add_row("exit", f"{back} back from a dead provider, by a proof of {self.exit['prove_seconds']:.2f} s")
        table.add_row("whole demo", f"{sum(step.seconds for step in self.steps):.1f} s")
        self.console.print(table)
