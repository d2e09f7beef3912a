"""Loader: finds the probes of all installed plugins; the built-in ones come in by the same door."""

from __future__ import annotations

import asyncio

import pluggy

from shale.clock import Clock
from shale.quality import hookspecs
from shale.quality.hookspecs import Probe, Session
from shale.quality.verdict import Status, Verdict


def load_probes(manager: pluggy.PluginManager | None = None) -> list[Probe]:
    """The probes of every plugin in the entry-point group `shale.plugins`, or of the given manager's."""
    if manager is None:
        manager = plugin_manager()
        manager.load_setuptools_entrypoints("shale.plugins")
    return [probe for probes in manager.hook.shale_probes() for probe in probes]


def plugin_manager() -> pluggy.PluginManager:
    """A manager that knows Shale's hooks and no plugin yet."""
    manager = pluggy.PluginManager("shale")
    manager.add_hookspecs(hookspecs)
    return manager


async def run_probe(probe: Probe, session: Session, clock: Clock) -> Verdict:
    """One run within the probe's own time. A probe that breaks, or hangs, is a failed verdict and nothing worse."""
    try:
        return await asyncio.wait_for(probe.run(session), probe.timeout)
    except TimeoutError:
        detail = f"no answer within {probe.timeout:g} s"
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it must not stop the payments
        detail = f"{type(error).__name__}: {error}"[:200]
    return Verdict(probe.name, Status.FAIL, detail, clock.now())
