"""Stand: a chain, a provider's daemon and a funded client, for the parts that lease; cleared away afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shale.demo.stage import Stage
from shale.errors import Unavailable

IMAGE = "shale/base:latest"


@contextmanager
def stand() -> Iterator[Stage]:
    """Everything up to, and without, the first order; by the installed commands."""
    with Stage() as stage:
        stage.provider("chain", "up", "--port", str(stage.rpc_port))
        stage.provider("chain", "deploy")
        stage.share_network()
        made = stage.provider(
            "provider", "init", "--name", "bench", "--port", str(stage.api_port),
            "--gateway-port", str(stage.gateway_port), "--image", IMAGE, "--tick", "1s",
            "--volume-driver", stage.volume_driver,
        )  # fmt: skip
        stage.provider("chain", "fund", made["operator"], "100 FIL")
        stage.raise_provider()
        wallet = stage.client("wallet", "new")
        stage.provider("chain", "fund", wallet["address"], "100 FIL")
        yield stage


def rent(stage: Stage, name: str) -> dict[str, Any]:
    """Order and start a container; returns when `shale up` does."""
    lease: dict[str, Any] = stage.client(
        "up", "--cpus", "1", "--memory", "2Gi", "--max", "30m", "--image", IMAGE, "--name", name, "-y"
    )
    return lease


def answer(stage: Stage, name: str) -> None:
    """A command in the lease by plain ssh. Raises Unavailable if it fails."""
    done = stage.ssh("ssh", f"shale-{name}", "true")
    if done.returncode != 0:
        raise Unavailable(f"ssh shale-{name} failed ({done.stderr.strip()[-200:]})", "see the provider's log")
