"""proving: the kernel's prover and setup beside gnark's own, in one process, taking turns."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.benchmarks.frame import Row, row

from shale.errors import Unavailable

SOURCES = Path(__file__).parents[2] / "kernel"
SIZES = (64, 256)
BY_THE_CLOCK = 130_000
"""Constraints a second on two cores that nobody else uses: twice what rapidsnark proved on two cores of this kind."""
PER_CPU = 65_000
MEMORY = 12 << 10
"""MiB that proving the largest batch may take."""
WITNESS = 10
"""Per cent of a proof's time that its witness may take."""

Figures = dict[str, dict[str, float]]


def rows() -> list[Row]:
    found = _figures()
    table: list[Row] = []
    for size in SIZES:
        ours, gnark = found[f"Prove/{size}/shale"], found[f"Prove/{size}/gnark"]
        clock, cpu = "constraints/s", "constraints/CPU-s"
        table += [
            row(
                f"prove a full batch of {size}", ours[clock], clock,
                peer="gnark", peer_value=gnark[clock], at_least=BY_THE_CLOCK,
            ),
            row(
                f"prove a full batch of {size}, processor time", ours[cpu], cpu,
                peer="gnark", peer_value=gnark[cpu], at_least=PER_CPU,
            ),
            row(f"witness of {size}, of the whole time", ours["witness-%"], "%", at_most=WITNESS),
            row(
                f"most memory, proving {size}", ours["peak-MiB"], "MiB",
                peer="gnark", peer_value=gnark["peak-MiB"], at_most=MEMORY,
            ),
        ]  # fmt: skip
    ours, gnark = found["Setup/8/shale"], found["Setup/8/gnark"]
    return [
        *table,
        row("make the keys of 8", ours["CPU-s"], "CPU-s", peer="gnark", peer_value=gnark["CPU-s"]),
        row("load the keys of 256", found["Load"]["s"], "s", at_most=2),
        row("load the keys of 256, processor time", found["Load"]["CPU-s"], "CPU-s"),
    ]


def _figures() -> Figures:
    """Each benchmark's figures by unit."""
    command = ["go", "test", "./ledger", "-run=^$", "-bench=^Benchmark(Prove|Setup|Load)$"]
    command += ["-benchtime=2x", "-timeout=20m"]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False, timeout=1200)
    figures = {
        name: {unit: float(value) for value, unit in re.findall(r"([\d.]+) (\S+)", rest)}
        for name, rest in re.findall(r"^Benchmark(\S+?)(?:-\d+)?\s+\d+\s(.*)$", done.stdout, re.MULTILINE)
    }
    if done.returncode != 0 or "Load" not in figures:
        raise Unavailable(f"go test failed ({(done.stdout + done.stderr)[-200:].strip()})", "see the message")
    return figures
