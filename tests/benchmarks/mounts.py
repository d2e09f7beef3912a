"""Mounts to compare: Shale's, as the provider's daemon starts it, and those of ratarmount and mfusepy."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shale.errors import Unavailable
from shale.paths import binary

KERNEL = str(binary("shale-kernel"))
PEERS = Path(__file__).parents[2] / ".tools" / "bench" / "bin"
"""The environment that scripts/bench.sh makes."""
PATIENCE = 60.0


@contextmanager
def shale(source: str | Path, point: Path, verify: str = "first-touch", *options: str) -> Iterator[int]:
    """The kernel's mount of a SOURCE; gives its process id."""
    command = [KERNEL, "mount", "--source", str(source), "--dir", str(point), "--verify", verify, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for a pipe"
        assert process.stderr is not None, "asked for a pipe"
        said = process.stdout.readline()
        if not said or json.loads(said).get("event") != "ready":
            raise Unavailable(f"the mount failed ({process.stderr.read().decode()[-200:]})", "see the message")
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(PATIENCE)


@contextmanager
def ratarmount(tar: Path, point: Path) -> Iterator[None]:
    """A plain tar, its index in memory."""
    with _peer(["ratarmount", "-f", "--index-file", ":memory:", str(tar), str(point)], point):
        yield


@contextmanager
def mfusepy(file: Path, point: Path) -> Iterator[None]:
    """The file itself under its own name, by a file system of a few lines."""
    with _peer(["python", str(Path(__file__).with_name("passthrough.py")), str(file), str(point)], point):
        yield


@contextmanager
def _peer(command: Sequence[str], point: Path) -> Iterator[None]:
    program = PEERS / command[0]
    if not program.exists():
        raise Unavailable(f"{program} is not here", "run make bench, which installs it")
    with subprocess.Popen([str(program), *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None, "asked for a pipe"
        try:
            until = time.monotonic() + PATIENCE
            while not os.path.ismount(point):
                if process.poll() is not None or time.monotonic() > until:
                    said = process.stderr.read().decode()[-200:] if process.poll() is not None else "no mount"
                    raise Unavailable(f"{command[0]} failed ({said.strip()})", "see the message")
                time.sleep(0.01)
            yield
        finally:
            if os.path.ismount(point):
                subprocess.run(["fusermount3", "-u", str(point)], check=True, capture_output=True)
            else:
                process.kill()
            process.wait(PATIENCE)
