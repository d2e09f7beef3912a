"""containers: from the order to an answering shell and back, the image being present."""

from __future__ import annotations

import statistics
import subprocess
from itertools import count

from tests.benchmarks.frame import Row, medians, row, timed
from tests.benchmarks.stand import IMAGE, answer, rent, stand

from shale.demo.stage import Stage

RUNS = 3


def measure() -> list[Row]:
    with stand() as stage:
        numbers = count(1)
        ends: list[float] = []
        removals: list[float] = []

        def ours() -> float:
            name = f"bench-{next(numbers)}"
            seconds = timed(lambda: _enter(stage, name))
            ends.append(timed(lambda: stage.client("end", name)))
            return seconds

        def plain() -> float:
            began: list[str] = []
            seconds = timed(lambda: began.append(_docker_shell()))
            removals.append(timed(lambda: _docker("rm", "--force", began[0])))
            return seconds

        shell, docker = medians(ours, plain, runs=RUNS)
        end, removal = statistics.median(ends), statistics.median(removals)
    return [
        row("order → shell", shell, "s", peer="docker run -d, docker exec true", peer_value=docker, at_most=5),
        row("end → container gone, both signed", end, "s", peer="docker rm --force", peer_value=removal),
    ]


def _enter(stage: Stage, name: str) -> None:
    rent(stage, name)
    answer(stage, name)


def _docker_shell() -> str:
    """A container of the same image and size, once a command in it has answered."""
    container = _docker("run", "--detach", "--cpus", "1", "--memory", "2g", IMAGE, "sleep", "infinity")
    _docker("exec", container, "true")
    return container


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=120).stdout.strip()
