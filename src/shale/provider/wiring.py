"""Wiring: puts the daemon's parts together; the one place of this role that names adapters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from shale.addresses import parse_address
from shale.chain.chain import MAINNET, Chain
from shale.chain.fvm import FvmChain
from shale.chain.network import Network
from shale.chain.rpc import place_of
from shale.clock import Clock, SystemClock
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
from shale.provider.anchoring import Anchoring
from shale.provider.api import PublicApi
from shale.provider.catalogue import Catalogue
from shale.provider.claims import Claims
from shale.provider.config import ProviderConfig
from shale.provider.dataset_routes import DatasetRoutes
from shale.provider.desk import Desk
from shale.provider.earnings import Earnings
from shale.provider.faults import Faults
from shale.provider.identity import Identity, key_hash, open_identity
from shale.provider.inventory import survey
from shale.provider.lease_keys import LeaseKeys
from shale.provider.lease_volumes import LeaseVolumes, Offered
from shale.provider.ledger_books import LedgerBooks
from shale.provider.lifecycle import Lifecycle, LifecycleParts
from shale.provider.lookout import Lookout
from shale.provider.metering import MeterParts
from shale.provider.metrics import LeaseMetrics
from shale.provider.offers import Offers
from shale.provider.published import PublishedOrders
from shale.provider.renewal import Renewal
from shale.provider.search import Search
from shale.provider.settle_routes import SettleRoutes
from shale.provider.settlement import Settlement
from shale.provider.settling import Service
from shale.provider.shelf import Shelf
from shale.provider.signatures import Signatures
from shale.provider.store import Store, sqlite_url
from shale.provider.till import Till
from shale.provider.topups import TopUps
from shale.tunnel.gateway import Gateway, gateway_folder
from shale.tunnel.meters import MeterSockets
from shale.units import Address, Cid

log = logging.getLogger("shale.provider")

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
    renewal: Renewal
    public: Starlette
    admin: Starlette
    service: Service
    topups: TopUps
    published: PublishedOrders

    async def announce(self, step: Step = lambda name: None) -> None:
        """Write this provider's record to the registry, if what stands there is not what is true."""
        operator = self.identity.operator
        offer = self.signing.offer_hash(await self.offers.current(await self.desk.free()))
        payout = parse_address(self.config.payout) if self.config.payout else operator
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
        chain = FvmChain(
            network.deployment,
            network.rpc_url,
            identity.account,
            database=private_dir(home.provider) / "chain.db",
            finality=network.finality,
            max_gas_fee=network.max_gas_fee if config.gas_fee is None else config.gas_fee,
            checked=network.checked(home),
        )
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
        await _check_keys(chain, prover)
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
        machine, folder = survey(config, home.provider), gateway_folder(home.provider, operator)
        gateway = Gateway(folder, config.host, config.gateway_port, identity.host_key.private)
        sockets = MeterSockets(folder / "meters", gateway.gid)
        signatures, keys = Signatures(chain, signing), LeaseKeys(private_dir(home.provider / "leases"))
        desk = Desk(
            config, machine.resources, store, shelf, engine, chain, prover, clock, identity.account, signing,
            signatures, keys,
        )  # fmt: skip
        leased = LeaseVolumes(volumes, engine, config.volume_driver)
        ledger_books, topups = LedgerBooks(store), TopUps(store, chain, config.topup_risk_seconds)
        meter = MeterParts(
            store, engine, Till(store, prover, domain), clock, identity.account, signing, signatures, topups
        )  # fmt: skip
        lifecycle = Lifecycle(
            LifecycleParts(
                config=config,
                store=store,
                shelf=shelf,
                engine=engine,
                volumes=leased,
                chain=chain,
                anchoring=Anchoring(chain, ledger_books, clock, config.anchor_seconds),
                gateway=gateway,
                sockets=sockets,
                meter=meter,
                keys=keys,
                guest=binary("shale-guest").parent,
                gpu_ids=machine.gpu_ids,
            )
        )
        offers = Offers(
            config, machine, shelf, clock, identity.account, signing, gateway.user, identity.host_key.public,
            miner,
        )  # fmt: skip
        settlement = Settlement(store, ledger_books, chain, prover, clock, operator, domain)
        service = _service(settlement, config, chain, lifecycle, topups, clock)
        renewal, metrics = Renewal(shelf, clock, catalogue.renew), CollectorRegistry()
        metrics.register(LeaseMetrics(lifecycle))
        faults = Faults(shelf, lifecycle, clock, metrics, renewal.doubt)
        volumes.on_fault = faults.report
        yield _provider(
            config,
            identity,
            chain,
            gateway,
            engine,
            lifecycle,
            settlement,
            service,
            topups,
            PublishedOrders(desk, lifecycle, ledger_books),
            Earnings(store, ledger_books, chain, operator),
            desk,
            offers,
            signing,
            Search(store, shelf),
            catalogue,
            renewal,
            leased,
            faults,
            VolumeDriver(Offered(shelf), volumes),
            metrics,
            stop,
        )


def _provider(
    config: ProviderConfig,
    identity: Identity,
    chain: Chain,
    gateway: Gateway,
    engine: Engine,
    lifecycle: Lifecycle,
    settlement: Settlement,
    service: Service,
    topups: TopUps,
    published: PublishedOrders,
    earnings: Earnings,
    desk: Desk,
    offers: Offers,
    signing: SigningDomain,
    search: Search,
    catalogue: Catalogue,
    renewal: Renewal,
    volumes: LeaseVolumes,
    faults: Faults,
    driver: VolumeDriver,
    metrics: CollectorRegistry,
    stop: asyncio.Event,
) -> Provider:
    settling = SettleRoutes(settlement, service, earnings)

    async def left_out() -> frozenset[Cid]:
        return await offers.left_out(await desk.free())

    return Provider(
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
        lookout=Lookout(catalogue.shelf, catalogue.claims, desk.clock, renewal),
        renewal=renewal,
        public=PublicApi(desk, lifecycle, offers, search, topups, published, metrics).app(),
        admin=AdminApi(
            identity.operator, desk, DatasetRoutes(catalogue, left_out), settling, lifecycle, settlement, chain, stop
        ).app(),
        service=service,
        topups=topups,
        published=published,
    )


async def _miner(chain: Chain, operator: Address) -> str:
    record = await chain.provider(operator)
    return f"f0{record.miner}" if record is not None and record.miner else ""


def _service(
    settlement: Settlement, config: ProviderConfig, chain: Chain, lifecycle: Lifecycle, topups: TopUps, clock: Clock
) -> Service:
    """What settles by itself; it hears of each lease that ends, as the leases hear of what was topped up."""
    service = Service(settlement, config.rules, clock, chain.gas_price)
    lifecycle.on_ended = service.ended.set
    topups.on_raised = lifecycle.lengthen
    return service


async def _check_keys(chain: Chain, prover: Prover) -> None:
    """Raise ConfigError unless this machine can prove for the ledger on chain, where nobody can forge proofs."""
    circuit = await prover.circuit()
    if circuit.unsafe_development and chain.deployment.chain_id == MAINNET:
        raise ConfigError(
            "proofs would use development keys, with which anyone can forge them: they take no money on mainnet",
            "install a version with a ceremony's keys (docs/guide/ceremony.md), or choose another network",
        )
    if int(circuit.keys_hash, 16) != int(await chain.keys_hash(), 16):
        raise ConfigError(
            "the ledger was deployed for other proving keys than this machine's", "run make install, or redeploy"
        )
    if not circuit.provable:
        way = "make" if circuit.unsafe_development else "fetch SOURCE"
        raise ConfigError("there is no proving key on this machine", f"run shale provider keys {way} --size 8")
    if circuit.unsafe_development:
        log.warning("proofs use the unsafe development key: for the desk only")
