"""tunnel: bytes and connects through a lease's tunnel, beside plain ssh to the same container's address."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.benchmarks.frame import Row, medians, row, timed
from tests.benchmarks.stand import answer, rent, stand

from shale.demo.stage import Stage
from shale.errors import Unavailable

MIB = 128
RUNS = 3
CONNECTS = 7


def measure() -> list[Row]:
    with stand() as stage:
        rent(stage, "bench")
        answer(stage, "bench")
        bulk, back = stage.folder / "bulk", stage.folder / "back"
        bulk.write_bytes(os.urandom(MIB << 20))
        config = stage.client_home.client / "ssh" / "config"
        through = ["-F", str(config)]
        direct = _direct(stage, config)

        def send(options: list[str]) -> float:
            return MIB / timed(lambda: _run("scp", "-q", *options, str(bulk), "shale-bench:/dev/shm/bulk"))

        def fetch(options: list[str]) -> float:
            return MIB / timed(lambda: _run("scp", "-q", *options, "shale-bench:/dev/shm/bulk", str(back)))

        def connect(options: list[str]) -> float:
            return timed(lambda: _run("ssh", *options, "shale-bench", "true"))

        sent, plain_sent = medians(lambda: send(through), lambda: send(direct), runs=RUNS)
        fetched, plain_fetched = medians(lambda: fetch(through), lambda: fetch(direct), runs=RUNS)
        if back.read_bytes() != bulk.read_bytes():
            raise Unavailable("the bytes that came back are others", "this is a bug: please report it")
        entered, plain_entered = medians(lambda: connect(through), lambda: connect(direct), runs=CONNECTS)
    return [
        row("scp up", sent, "MiB/s", peer="plain scp to the container", peer_value=plain_sent, at_least=42),
        row("scp down", fetched, "MiB/s", peer="plain scp to the container", peer_value=plain_fetched, at_least=42),
        row("ssh true", entered, "s", peer="plain ssh to the container", peer_value=plain_entered, at_most=1),
    ]


def _direct(stage: Stage, config: Path) -> list[str]:
    """Options that reach the container's own address from this machine: same keys, no gateway."""
    shown = subprocess.run(
        ["ssh", "-G", "-F", str(config), "shale-bench"], capture_output=True, text=True, check=True, timeout=30
    )
    known = dict(line.split(" ", 1) for line in shown.stdout.splitlines() if " " in line)
    plain = stage.folder / "plain_config"
    kept = ("hostname", "port", "user", "identityfile", "identitiesonly", "hostkeyalias", "userknownhostsfile")
    lines = [f"    {name} {known[name]}\n" for name in kept]
    plain.write_text("Host shale-bench\n" + "".join(lines) + "    StrictHostKeyChecking yes\n")
    return ["-F", str(plain)]


def _run(*words: str) -> None:
    """Run to the end. Raises Unavailable with its last words."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300)
    if done.returncode != 0:
        raise Unavailable(f"{words[0]} failed ({done.stderr.strip()[-200:]})", "see the provider's log")
