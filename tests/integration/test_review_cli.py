"""Reviews by commands on a real anvil: signed by a client that has no FIL, posted by another, read by anyone."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.wallets import make_wallet

from shale.addresses import f410
from shale.chain.bench import Bench, Lease
from shale.chain.fvm import FvmChain
from shale.chain.network import Network
from shale.chain.rpc import Rpc
from shale.client.cli.main import run
from shale.client.rental import Gateway, Rental
from shale.client.store import Store
from shale.market.accounts import Account
from shale.market.keystore import decrypt
from shale.market.lease import EndReason, LeaseState
from shale.market.review import Review
from shale.paths import Home
from shale.proofs.memory import MemoryProver
from shale.units import ZERO, Address

SECRET = "a secret of some length"
HOSTILE = "x\x1b[2Jy\u202e"


class Scene:
    """A devnet, the homes of a client and of a poster, and leases that the provider gave back."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd
        self.client, self.poster = Home(folder / "client"), Home(folder / "poster")
        self.operator = Account.create()

    def call(self, home: Home, *arguments: str) -> tuple[int, str]:
        """The command's status, and what it wrote."""
        self._monkeypatch.setenv("SHALE_HOME", str(home.root))
        self._capfd.readouterr()
        status = run(list(arguments))
        told = self._capfd.readouterr()
        return status, told.out + told.err

    def json(self, home: Home, *arguments: str) -> Any:
        status, told = self.call(home, *arguments, "--json")
        assert status == 0, told
        return json.loads(told)

    def refused(self, home: Home, *arguments: str) -> str:
        status, told = self.call(home, *arguments)
        assert status in (1, 2), told
        assert told.count("\n") == 1, told
        return told

    def account(self, home: Home) -> Account:
        return decrypt(json.loads((home.client / "wallet.json").read_bytes()), SECRET)

    @property
    def network(self) -> Network:
        return Network.load(self.client, "devnet")

    def on_chain(self, work: Callable[[Bench], Awaitable[None]]) -> None:
        """As client, provider and poster by the port itself."""

        async def go() -> None:
            accounts = (self.account(self.client), self.operator, self.account(self.poster))
            chains = [FvmChain(self.network.deployment, self.network.rpc_url, one) for one in (*accounts, None)]
            rpc = Rpc(self.network.rpc_url)

            async def now() -> int:
                return int((await rpc.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

            async def pass_time(seconds: int) -> None:
                await rpc.call("evm_increaseTime", seconds)
                await rpc.call("evm_mine")

            try:
                await work(Bench(*chains, *accounts, MemoryProver(), now, pass_time))
            finally:
                await rpc.close()
                for chain in chains:
                    await chain.close()

        asyncio.run(go())

    def leases(self, *names: str) -> None:
        """Ended leases in the client's books that are closed on chain, with nothing paid."""

        async def work(bench: Bench) -> None:
            opened = [await bench.opened() for _ in names]
            await bench.provider.refund([lease.id for lease in opened])
            store = Store(self.client)
            for name, lease in zip(names, opened, strict=True):
                store.add(rental(name, lease))
                store.end(lease.id, EndReason.CLIENT_ENDED, 2)
            store.close()

        self.on_chain(work)

    def empty_wallet(self, owner: str) -> None:
        async def go() -> None:
            rpc = Rpc(self.network.rpc_url)
            await rpc.call("anvil_setBalance", owner, "0x0")
            await rpc.close()

        asyncio.run(go())


def rental(name: str, lease: Lease) -> Rental:
    return Rental(
        name=name, network="devnet", order=lease.order, order_hash=lease.hash,
        order_signature=lease.order_signature, acceptance=lease.acceptance,
        acceptance_signature=lease.acceptance_signature, provider_name="Fjord", endpoint="http://fjord.example",
        gateway=Gateway("fjord.example", 8422, "shale-gateway", "ssh-ed25519 DDDD"), shell=None, mount="",
        ssh_key="", state=LeaseState.RUNNING, paid=ZERO, seconds=0, end_reason=EndReason.NONE,
        created_at=1, first_paid_at=0, ended_at=0, settled_paid=None, settled_seconds=None, reviewed=False,
    )  # fmt: skip


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Scene]:
    secret = tmp_path / "password"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    monkeypatch.setenv("SHALE_PASSWORD_FILE", str(secret))
    scene = Scene(tmp_path, monkeypatch, capfd)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scene.json(scene.client, "chain", "up", "--port", str(port))
    try:
        made = scene.json(scene.client, "chain", "deploy")
        rpc_url = scene.network.rpc_url
        scene.json(scene.poster, "network", "add", "other", "--file", made["file"], "--rpc-url", rpc_url)
        for home in (scene.client, scene.poster):
            scene.json(home, "wallet", "new")
            scene.json(scene.client, "chain", "fund", scene.account(home).address, "5 FIL")
        scene.json(scene.client, "chain", "fund", scene.operator.address, "5 FIL")
        yield scene
    finally:
        scene.call(scene.client, "chain", "down")


def test_a_client_without_gas_signs_and_another_posts(scene: Scene, tmp_path: Path) -> None:
    scene.leases("one")
    me, file = scene.account(scene.client).address, tmp_path / "review.json"
    scene.empty_wallet(me)
    assert "fund" in scene.refused(scene.client, "review", "one", "--stars", "4")

    say = ("review", "one", "--stars", "4", "--comment", "steady – 快")
    status, told = scene.call(scene.client, *say, "--sign-only", str(file))
    assert status == 0, told
    assert f"shale review --post {file}" in told
    assert "is there already" in scene.refused(scene.client, *say, "--sign-only", str(file))

    raw = json.loads(file.read_text())
    bent = tmp_path / "bent.json"
    bent.write_text(json.dumps(raw | {"stars": 5}))
    assert f"a signature is not by {me}" in scene.refused(scene.poster, "review", "--post", str(bent))

    posted = scene.json(scene.poster, "review", "--post", str(file))
    assert (posted["client"], posted["provider"], posted["stars"]) == (me, scene.operator.address, 4)
    assert "is reviewed already" in scene.refused(scene.poster, "review", "--post", str(file))
    assert "is reviewed already" in scene.refused(scene.client, *say)

    for whose in (scene.operator.address, f410(Address(scene.operator.address))):
        told_of = scene.json(scene.poster, "reviews", whose)
        assert (told_of["provider"], told_of["count"], told_of["stars"]) == (scene.operator.address, 1, None)
        (found,) = told_of["reviews"]
        assert (found["client"], found["stars"], found["comment"]) == (me, 4, "steady – 快")
        assert (found["tx"], found["paid_attofil"]) == (posted["tx"], "0")


def test_a_contracts_lease_is_reviewed_by_the_key_that_signs_for_it(scene: Scene) -> None:
    contracts = []

    async def work(bench: Bench) -> None:
        network = scene.network
        contract = await make_wallet(network.rpc_url, network.deployment, bench.client_account)
        lease = await bench.agree(client=contract)
        await lease.open(bench.provider)
        await bench.provider.refund([lease.id])
        store = Store(scene.client)
        store.add(rental("ours", lease))
        store.end(lease.id, EndReason.CLIENT_ENDED, 2)
        store.close()
        contracts.append(contract)

    scene.on_chain(work)
    sent = scene.json(scene.client, "review", "ours", "--stars", "5")
    (found,) = scene.json(scene.poster, "reviews", scene.operator.address)["reviews"]
    assert (found["client"], found["stars"], found["tx"]) == (contracts[0], 5, sent["tx"])
    assert "is reviewed already" in scene.refused(scene.client, "review", "ours", "--stars", "1")


def test_the_newest_reviews_are_shown_fit_for_a_terminal(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.leases("one", "two", "three")
    for stars, name in ((1, "one"), (2, "two")):
        scene.json(scene.client, "review", name, "--stars", str(stars), "--comment", f"[bold]{name}[/bold]")

    async def shout(bench: Bench) -> None:
        """What no command of ours sends: a comment that acts on the reader's terminal."""
        store = Store(scene.client)
        order, order_hash = store.rental("three").order, store.rental("three").order_hash
        store.close()
        review = Review(order_hash, 3, "")
        object.__setattr__(review, "comment", HOSTILE)
        await bench.client.review(order, review)

    scene.on_chain(shout)
    monkeypatch.setenv("COLUMNS", "80")
    status, told = scene.call(scene.poster, "reviews", scene.operator.address, "--limit", "2")
    assert status == 0
    assert told.index("★★★☆☆") < told.index("★★☆☆☆")
    assert "x?[2Jy?" in told
    assert "[bold]two[/bold]" in told
    assert "one" not in told
    assert "and 1 before these" in told
    assert "\x1b" not in told
    assert max(len(line) for line in told.splitlines()) <= 80
    assert (scene.poster.client / "chain.db").exists(), "what was read is kept"
    assert "nobody has reviewed" in scene.call(scene.poster, "reviews", scene.account(scene.client).address)[1]


def test_what_the_command_is_asked_must_make_sense(scene: Scene, tmp_path: Path) -> None:
    file = str(tmp_path / "nothing.json")
    for words, why in (
        (["review"], "name a lease"),
        (["review", "one"], "say how many --stars"),
        (["review", "one", "--post", file], "takes the file alone"),
        (["review", "--stars", "3", "--post", file], "takes the file alone"),
        (["review", "--post", file], "can't be read"),
        (["review", "none", "--stars", "3", "--sign-only", file], "there is no lease named"),
        (["reviews", "Fjord"], "no provider is named 'Fjord' now"),
        (["reviews", "0x12"], "is not an address"),
        (["reviews", scene.operator.address, "--limit", "0"], "--limit"),
    ):
        assert why in scene.refused(scene.poster, *words)
