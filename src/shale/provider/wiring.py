"""Wiring: puts the daemon's parts together; the one place of this role that names adapters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from shale.chain.chain import Chain
from shale.chain.fvm import FvmChain
from shale.chain.network import Network
from shale.chain.rpc import place_of
from shale.clock import SystemClock
from shale.containers.docker import DockerEngine
from shale.containers.engine import Engine
from shale.datasets.driver import VolumeDriver
from shale.datasets.fuse import FuseVolumes
from shale.errors import ConfigError
from shale.market.signing import SigningDomain
from shale.paths import Home, binary, private_dir
from shale.proofs.kernel import KernelProver
from shale.proofs.prover import Prover
from shale.provider.admin import AdminApi
from shale.provider.api import PublicApi
from shale.provider.catalogue import Catalogue
from shale.provider.claims import Claims
from shale.provider.config import ProviderConfig
from shale.provider.dataset_routes import DatasetRoutes
from shale.provider.desk import Desk
from shale.provider.faults import Faults
from shale.provider.identity import Identity, key_hash, open_identity
from shale.provider.inventory import survey
from shale.provider.lease_volumes import LeaseVolumes, Offered
from shale.provider.lifecycle import Lifecycle, LifecycleParts
from shale.provider.lookout import Lookout
from shale.provider.metering import MeterParts
from shale.provider.metrics import LeaseMetrics
from shale.provider.offers import Offers
from shale.provider.search import Search
from shale.provider.settlement import Settlement
from shale.provider.shelf import Shelf
from shale.provider.store import Store, sqlite_url
from shale.tunnel.gateway import Gateway, gateway_folder
from shale.tunnel.meters import MeterSockets
from shale.units import Address, checked_address

log = logging.getLogger("shale.provider")

SETTLE_AFTER_SECONDS = 60.0
"""How long after the last lease's end a batch waits for company."""

Step = Callable[[str], None]
"""Told of each step of the start as it begins, in words for a person."""


@dataclass(slots=True)
class Provider:
    """The daemon's parts, ready to be brought up."""

    config: ProviderConfig
    identity: Identity
    chain: Chain
    gateway: Gateway
    engine: Engine
    lifecycle: Lifecycle
    settlement: Settlement
    desk: Desk
    offers: Offers
    signing: SigningDomain
    volumes: LeaseVolumes
    faults: Faults
    driver: Starlette
    lookout: Lookout
    public: Starlette
    admin: Starlette
    settle_after: float = SETTLE_AFTER_SECONDS
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def announce(self, step: Step = lambda name: None) -> None:
        """Write this provider's record to the registry, if what stands there is not what is true."""
        operator = self.identity.operator
        offer = self.signing.offer_hash(await self.offers.current(await self.desk.free()))
        payout = checked_address(self.config.payout) if self.config.payout else operator
        host_key = key_hash(self.identity.host_key.public)
        known = await self.chain.provider(operator)
        if (
            known is None
            or not known.active
            or (known.endpoint, known.host_key, known.payout) != (self.config.endpoint, host_key, payout)
        ):
            step("registering on the chain")
            await self.chain.register(0, self.config.endpoint, host_key, offer, payout)
            log.info("registered as %s at %s", operator, self.config.endpoint)


@asynccontextmanager
async def wire(
    home: Home, config: ProviderConfig, password: str, stop: asyncio.Event, step: Step = lambda name: None
) -> AsyncIterator[Provider]:
    """The daemon's parts on the real adapters, checked; let go of at the end. Raises what the user must set up."""
    async with AsyncExitStack() as stack:
        step("opening the operator's key")
        network = Network.load(home, config.network)
        identity = open_identity(home, password)
        operator = identity.operator
        clock = SystemClock()
        step(f"asking the chain at {place_of(network.rpc_url)}")
        chain = FvmChain(network.deployment, network.rpc_url, identity.account)
        stack.push_async_callback(chain.close)
        await chain.check()
        step("asking the Docker Engine")
        engine = DockerEngine(operator)
        stack.push_async_callback(engine.close)
        log.info("containers: %s", await engine.check())
        if not Path("/dev/fuse").exists():
            raise ConfigError("there is no /dev/fuse, datasets can't be mounted", "load it with modprobe fuse")
        step("loading the proving keys")
        prover = KernelProver()
        stack.push_async_callback(prover.close)
        await _check_prover(prover, chain)
        domain = await prover.domain(network.deployment.chain_id, network.deployment.ledger)
        step("opening the books")
        store = await Store.open(config.database or sqlite_url(private_dir(home.provider) / "provider.db"))
        stack.push_async_callback(store.close)
        indexes = private_dir(home.provider / "indexes")
        shelf = Shelf(store, indexes)
        miner = await _miner(chain, operator) or config.miner
        volumes = FuseVolumes(home.provider / "mounts")
        stack.push_async_callback(volumes.close)
        catalogue = Catalogue(shelf, indexes, clock, Claims(config.lotus, miner), volumes.look_anew)
        await catalogue.sweep()
        signing = SigningDomain(network.deployment.chain_id, network.deployment.market)
        machine = survey(config, home.provider)
        folder = gateway_folder(home.provider, operator)
        gateway = Gateway(folder, config.host, config.gateway_port, identity.host_key.private)
        sockets = MeterSockets(folder / "meters", gateway.gid)
        desk = Desk(
            config, machine.resources, store, shelf, engine, chain, prover, clock, identity.account, signing
        )  # fmt: skip
        leased = LeaseVolumes(volumes, engine, config.volume_driver)
        meter = MeterParts(store, engine, prover, clock, identity.account, signing, domain)
        lifecycle = Lifecycle(
            LifecycleParts(
                config=config,
                store=store,
                shelf=shelf,
                engine=engine,
                volumes=leased,
                chain=chain,
                gateway=gateway,
                sockets=sockets,
                meter=meter,
                leases_dir=private_dir(home.provider / "leases"),
                guest=binary("shale-guest").parent,
                gpu_ids=machine.gpu_ids,
            )
        )
        offers = Offers(
            config, machine, shelf, clock, identity.account, signing, gateway.user, identity.host_key.public,
            miner,
        )  # fmt: skip
        settlement = Settlement(store, chain, prover, clock, identity.account, signing, operator, domain)
        metrics = CollectorRegistry()
        metrics.register(LeaseMetrics(lifecycle))
        faults = Faults(shelf, lifecycle, clock, metrics)
        volumes.on_fault = faults.report
        yield _provider(
            config,
            identity,
            chain,
            gateway,
            engine,
            lifecycle,
            settlement,
            desk,
            offers,
            signing,
            Search(store, shelf),
            catalogue,
            leased,
            faults,
            VolumeDriver(Offered(shelf), volumes),
            metrics,
            stop,
        )


async def _check_prover(prover: Prover, chain: Chain) -> None:
    """Raises ConfigError unless the ledger takes what it proves."""
    circuit = await prover.circuit()
    if int(circuit.vk_hash, 16) != int(await chain.verifying_key_hash(), 16):
        raise ConfigError(
            "the ledger was deployed for other proving keys than this machine's", "run make install, or redeploy"
        )
    if circuit.unsafe_development:
        log.warning("proofs use the unsafe development key: for the desk only")


def _provider(
    config: ProviderConfig,
    identity: Identity,
    chain: Chain,
    gateway: Gateway,
    engine: Engine,
    lifecycle: Lifecycle,
    settlement: Settlement,
    desk: Desk,
    offers: Offers,
    signing: SigningDomain,
    search: Search,
    catalogue: Catalogue,
    volumes: LeaseVolumes,
    faults: Faults,
    driver: VolumeDriver,
    metrics: CollectorRegistry,
    stop: asyncio.Event,
) -> Provider:
    provider = Provider(
        config=config,
        identity=identity,
        chain=chain,
        gateway=gateway,
        engine=engine,
        lifecycle=lifecycle,
        settlement=settlement,
        desk=desk,
        offers=offers,
        signing=signing,
        volumes=volumes,
        faults=faults,
        driver=driver.app(),
        lookout=Lookout(catalogue.shelf, catalogue.claims, desk.clock),
        public=PublicApi(desk, lifecycle, offers, search, metrics).app(),
        admin=AdminApi(identity.operator, desk, DatasetRoutes(catalogue), lifecycle, settlement, chain, stop).app(),
    )
    lifecycle.on_ended = provider.ended.set
    return provider


async def _miner(chain: Chain, operator: Address) -> str:
    record = await chain.provider(operator)
    return f"f0{record.miner}" if record is not None and record.miner else ""
