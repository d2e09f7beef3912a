"""Screens: what `shale provider status` and `settle` show a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shale.datasets.events import printable
from shale.market.resources import Resources
from shale.units import AttoFil, format_bytes, format_duration


def show_status(raw: dict[str, Any]) -> None:
    console = Console()
    total, free = Resources.from_json(raw["total"]), Resources.from_json(raw["free"])
    console.print(f"[bold]{raw['name']}[/]  {raw['provider']}  {raw['endpoint']}")
    console.print(f"[dim]{raw['provider_f410']}[/]")
    console.print(
        f"free {free.cpu_millis / 1000:g} of {total.cpu_millis / 1000:g} CPUs, "
        f"{format_bytes(free.memory_bytes)} of {format_bytes(total.memory_bytes)} memory, "
        f"{free.gpus} of {total.gpus} GPUs, {format_bytes(free.disk_bytes)} disk"
    )
    console.print(f"wallet {_fil(raw['balance_attofil'])}, owed by the ledger {_fil(raw['owed_attofil'])}")
    if raw["datasets"]:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("dataset", "root", "files", "size", "readable"):
            # A CID is there to be copied: it wraps rather than lose its end.
            table.add_column(column, overflow="fold")
        for item in raw["datasets"]:
            if not item["best"]:
                continue  # a copy in reserve, of which the list of datasets tells
            readable = Text("yes") if item["readable"] else Text(f"no: {item['why']}", "red")
            if item["readable"] and not item["offered"]:
                readable.append(f", {item['why']}", "yellow")
            table.add_row(Text(item["name"]), item["root"], str(item["files"]), format_bytes(item["size"]), readable)
        console.print(table)
    table = Table("lease", "state", "client", "paid", "time", "ended", box=None, header_style="bold", pad_edge=False)
    for item in raw["leases"]:
        ended = "" if item["end_reason"] == "none" else item["end_reason"]
        paid = _fil(item["paid_attofil"])
        table.add_row(
            item["lease_id"][:12],
            item["state"],
            item["client"][:10],
            paid,
            format_duration(item["seconds"]),
            ended,
        )
    console.print(table if raw["leases"] else "no leases yet")


def show_datasets(items: list[dict[str, Any]], trouble: str) -> None:
    """A block for each: CIDs are there to be copied, and no table holds two of them in a row."""
    console = Console(highlight=False)
    if not items:
        console.print("no datasets yet: shale provider datasets add SOURCE")
    if trouble:
        console.print(Text(f"claims are as they were last known: {trouble}", "yellow"))
    roots: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        roots.setdefault(item["root"], []).append(item)
    for number, copies in enumerate(roots.values()):
        if number:
            console.print()
        _show_dataset(console, copies)


def _show_dataset(console: Console, copies: list[dict[str, Any]]) -> None:
    first = next((copy for copy in copies if copy["offered"]), copies[0])
    several = len(copies) > 1
    head = Text(first["name"], "bold")
    head.append(f"  {first['files']} files, {format_bytes(first['size'])}  ", "not bold")
    if first["offered"]:
        head.append(f"offered from copy {first['copy']}" if several else "offered", "green")
    elif full := next((copy["why"] for copy in copies if copy["best"] and copy["readable"]), ""):
        head.append(full, "yellow")
    else:
        head.append("not offered" if several else f"not offered: {first['why']}", "red")
    console.print(head, soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=8)
    table.add_column(overflow="fold")
    table.add_row("  root", Text(first["root"], "cyan"))
    for copy in copies:
        if several:
            said = Text("offered", "green") if copy["offered"] else Text("in reserve")
            table.add_row(f"  copy {copy['copy']}", Text(copy["why"], "red") if copy["why"] else said)
        for piece in copy["pieces"]:
            table.add_row("  piece", Text(piece["piece"], "cyan"))
            table.add_row("", Text(f"{format_bytes(piece['padded_size'])}, {_claim(piece)}"))
            readable = Text(", readable") if piece["readable"] else Text(f", not readable: {piece['why']}", "red")
            table.add_row("", Text(printable(piece["source"], 4096)).append_text(readable))
        signed = f", manifest signed by {copy['signer']}" if copy["signer"] else ""
        checked = f"commitment {_date(copy['checked_at'])}, blocks {_date(copy['blocks_checked_at'])}"
        table.add_row("  checked", Text(checked + signed))
    console.print(table)


def _claim(piece: dict[str, Any]) -> str:
    if piece["claim"] is None:
        held = f" (sector {piece['held_in']})" if piece["held_in"] is not None else ""
        return f"no claim known{held}"
    ends = f" ({_date(piece['term_end_at'])})" if piece["term_end_at"] else ""
    return f"claim {piece['claim']}, sector {piece['sector']}, term ends at epoch {piece['term_end']}{ends}"


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}" if seconds else "never"


def show_settlements(batches: list[dict[str, Any]], unclaimed: list[dict[str, Any]]) -> None:
    console = Console()
    for lease in unclaimed:
        console.print(
            f"lease {lease['lease_id'][:12]}: {_fil(lease['unclaimed_attofil'])} could not be claimed: {lease['why']}",
            style="red",
        )
    if not batches and not unclaimed:
        console.print("nothing to settle")
    for batch in batches:
        console.print(
            f"settled {batch['operations']} leases with one proof of size {batch['size']} "
            f"({batch['constraints']} constraints, {batch['prove_seconds']} s, {batch['gas']} gas): "
            f"earned {_fil(batch['earned_attofil'])}, refunded {_fil(batch['refunded_attofil'])}"
        )
        console.print(f"  transaction {batch['tx']}", style="dim")


def stage_text(raw: dict[str, Any]) -> str:
    """What a settlement does now: `proving 5 leases, size 8: proof 40 %`."""
    text = str(raw["stage"])
    if raw.get("leases"):
        text += f" {raw['leases']} leases"
        text += f", size {raw['size']}" if raw["size"] else ""
    return text + (f": {raw['part']} {raw['done'] * 100:.0f} %" if raw.get("part") else "")


def show_settling(raw: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(stage_text(raw))
    if raw["ended"]:
        console.print(f"{raw['ended']} leases have ended, the first at {_date(raw['oldest_ended_at'])}: {raw['why']}")
        wait = format_duration(int(raw["max_wait_seconds"]))
        console.print(f"settled {wait} after an end, or once {raw['min_leases']} have ended; at once: --now")
    else:
        console.print("nothing has ended; vouchers of running leases are redeemed every 6 h, or now with --now")
    if raw["trouble"]:
        console.print(Text(f"the last try failed: {raw['trouble']}", "red"))


def show_earnings(raw: dict[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    for name, label in (
        ("earned", "earned"),
        ("collected", "collected"),
        ("owed", "owed by the ledger"),
        ("unredeemed", "in vouchers, not redeemed"),
        ("refunded", "refunded to clients"),
        ("forgone", "not redeemed before others closed the lease"),
        ("fees", "fees"),
    ):
        if name == "forgone" and raw["forgone_attofil"] == "0":
            continue
        table.add_row(label, _fil(raw[f"{name}_attofil"]))
    console.print(table)
    if raw["batches"]:
        table = Table("batch", "leases", "size", "earned", "refunded", "fee", box=None, header_style="bold")
        for item in raw["batches"]:
            table.add_row(
                _date(item["at"]), str(item["leases"]), str(item["size"]), _fil(item["earned_attofil"]),
                _fil(item["refunded_attofil"]), _fil(item["fee_attofil"]),
            )  # fmt: skip
        console.print(table)
    if raw["leases"]:
        table = Table("lease", "state", "client", "earned", "fees", "not redeemed", box=None, header_style="bold")
        for item in raw["leases"]:
            table.add_row(
                item["lease_id"][:12], item["state"], item["client"][:10], _fil(item["earned_attofil"]),
                _fil(item["fees_attofil"]), _fil(item["unredeemed_attofil"]),
            )  # fmt: skip
        console.print(table)


def _fil(text: str) -> str:
    return str(AttoFil(int(text)))
