"""Loader: finds the probes of all installed plugins; the built-in ones come in by the same door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from shale.clock import Clock
from shale.quality import hookspecs
from shale.quality.hookspecs import Probe, Session
from shale.quality.verdict import Status, Verdict

log = logging.getLogger("shale.quality")

GROUP = "shale.plugins"
SHORTEST_INTERVAL = 1.0


def load_probes(entries: Iterable[EntryPoint] | None = None) -> list[Probe]:
    """The probes of the plugins at these entry points, by default of all that are installed.

    A plugin that doesn't load, or gives no proper probe, is left out with a warning: the rest goes on without it.
    """
    manager = plugin_manager()
    for entry in entry_points(group=GROUP) if entries is None else entries:
        try:
            manager.register(entry.load(), name=entry.name)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything while it is imported
            log.warning("plugin %s is left out: %s: %s", entry.name, type(error).__name__, error)
    return probes_of(manager)


def plugin_manager() -> pluggy.PluginManager:
    """A manager that knows Shale's hooks and no plugin yet."""
    manager = pluggy.PluginManager("shale")
    manager.add_hookspecs(hookspecs)
    return manager


def probes_of(manager: pluggy.PluginManager) -> list[Probe]:
    """What the manager's plugins give, each asked by itself."""
    probes: list[Probe] = []
    for implementation in manager.hook.shale_probes.get_hookimpls():
        try:
            answer: Any = implementation.function()
            given = list(answer)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("plugin %s is left out: %s: %s", implementation.plugin_name, type(error).__name__, error)
            continue
        for probe in given:
            if _is_probe(probe):
                probes.append(probe)
            else:
                log.warning("plugin %s gives no proper probe: %.80r", implementation.plugin_name, probe)
    return probes


def _is_probe(value: object) -> bool:
    """Named, and with times by which it can't keep the agent busy."""
    interval, timeout = getattr(value, "interval", None), getattr(value, "timeout", None)
    return (
        isinstance(getattr(value, "name", None), str)
        and isinstance(interval, int | float)
        and isinstance(timeout, int | float)
        and interval >= SHORTEST_INTERVAL
        and timeout > 0
        and callable(getattr(value, "run", None))
    )


async def run_probe(probe: Probe, session: Session, clock: Clock) -> Verdict:
    """One run within the probe's own time. A probe that breaks, or hangs, is a failed verdict and nothing worse."""
    try:
        verdict: object = await asyncio.wait_for(probe.run(session), probe.timeout)
        if isinstance(verdict, Verdict):
            # Under its own name, whatever it says: a probe can't speak for another one.
            return replace(verdict, probe=probe.name)
        detail = f"the probe gave {type(verdict).__name__}, not a verdict"
    except TimeoutError:
        detail = f"no answer within {probe.timeout:g} s"
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it must not stop the payments
        detail = f"{type(error).__name__}: {error}"[:200]
    return Verdict(probe.name, Status.FAIL, detail, clock.now())
