"""Metrics of the provider for Prometheus: living leases, tunnels, seconds served."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shale.provider.lifecycle import Lifecycle


class LeaseMetrics(Collector):
    """Read off the lifecycle at each scrape."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def collect(self) -> Iterable[Metric]:
        meters = self._lifecycle.meters
        yield GaugeMetricFamily("shale_leases_living", "Leases with a container", value=len(meters))
        yield GaugeMetricFamily(
            "shale_tunnels_connected",
            "Leases whose payer is connected",
            value=sum(m.connected for m in meters),
        )
        served = GaugeMetricFamily("shale_lease_served_seconds", "Seconds served in a lease", labels=["lease"])
        for meter in meters:
            served.add_metric([meter.lease[:18]], meter.served)
        yield served
