"""cli: how long a person waits for the command itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.benchmarks.frame import Row, medians, row, timed

RUNS = 9
SHALE = str(Path(sys.executable).with_name("shale"))


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="shale-bench-") as folder:
        environment = {**os.environ, "SHALE_HOME": folder}

        def milliseconds(*command: str) -> float:
            run = partial(subprocess.run, command, env=environment, capture_output=True, check=True)
            return timed(run) * 1000

        # Python compiles what it imports for the first time, and the disk's cache is cold: neither is counted.
        for words in (["--help"], ["ps"], ["up", "--help"]):
            milliseconds(SHALE, *words)
        bare, click, helped, docker_help, listed, docker_listed, one = medians(
            partial(milliseconds, sys.executable, "-c", "pass"),
            partial(milliseconds, sys.executable, "-c", "import click"),
            partial(milliseconds, SHALE, "--help"),
            partial(milliseconds, "docker", "--help"),
            partial(milliseconds, SHALE, "ps"),
            partial(milliseconds, "docker", "ps"),
            partial(milliseconds, SHALE, "up", "--help"),
            runs=RUNS,
        )
    return [
        row("shale --help", helped, "ms", peer="docker --help", peer_value=docker_help, at_most=200),
        row("shale up --help", one, "ms", peer='python -c "import click"', peer_value=click, at_most=200),
        row("shale ps", listed, "ms", peer="docker ps", peer_value=docker_listed),
        row("import click", click, "ms", peer="python -c pass", peer_value=bare),
    ]
