"""Who speaks for a miner, by commands on a real anvil with a stand-in for FEVM's precompile, and how one retires."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shale.addresses import f410
from shale.chain.fvm import FvmChain
from shale.chain.network import Network
from shale.chain.rpc import Rpc
from shale.client.cli.main import run
from shale.market.keystore import decrypt
from shale.paths import Home
from shale.provider.config import ProviderConfig, save_config
from shale.provider.identity import create_identity

SECRET = "a secret of some length"
CALL_ACTOR_ID = "0xfe00000000000000000000000000000000000005"
Shale = Callable[..., tuple[int, Any]]


def precompile(controls: bool) -> str:
    """EVM code that answers each request: of f04 (the word at 0xa0) with a claim, of any other actor with a bool.

    The answer is (exit 0, codec 0x51, offset 0x60, length, value); length and value follow from whether it was f04.
    """
    yes = (0xF5 if controls else 0xF4) << 248
    claim = (0x8240F4 << 232) - yes
    value = f"7f{claim % 2**256:064x}027f{yes:064x}01608052"
    length = "600202600101606052"
    return f"0x60a03560041480{value}{length}6051602052606060405260a05ff3"


@pytest.fixture
def shale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Shale]:
    monkeypatch.setenv("SHALE_HOME", str(tmp_path / "home"))
    (tmp_path / "password").write_text(SECRET)
    (tmp_path / "password").chmod(0o600)
    monkeypatch.setenv("SHALE_PASSWORD_FILE", str(tmp_path / "password"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(*arguments: str) -> tuple[int, Any]:
        capfd.readouterr()
        status = run([*arguments, "--json"])
        return status, json.loads(capfd.readouterr().out)

    assert call("chain", "up", "--port", str(port))[0] == 0
    try:
        assert call("chain", "deploy")[0] == 0
        yield call
    finally:
        run(["chain", "down"])


async def answers(network: Network, controls: bool) -> None:
    rpc = Rpc(network.rpc_url)
    await rpc.call("anvil_setCode", CALL_ACTOR_ID, precompile(controls))
    await rpc.close()


async def register(home: Home, network: Network) -> None:
    account = decrypt(json.loads((home.provider / "operator.json").read_text()), SECRET)
    chain = FvmChain(network.deployment, network.rpc_url, account)
    await chain.register(0, "http://one.example", "0x" + "ab" * 32, "0x" + "cd" * 32, chain.account or "")
    await chain.close()


def test_a_miner_is_bound_and_unbound_by_commands_and_its_provider_retires(shale: Shale) -> None:
    home = Home.default()
    network = Network.load(home)
    operator = create_identity(home, SECRET)
    save_config(home, ProviderConfig(name="one", network=network.name))
    owner = shale("wallet", "new")[1]["address"]
    for each in (operator, owner):
        shale("chain", "fund", each, "1 FIL")
    asyncio.run(register(home, network))

    status, refused = shale("provider", "miner", "bind", "f01234")
    assert (status, refused["error"]["code"]) == (1, "refused")
    asyncio.run(answers(network, True))
    assert shale("wallet", "authorize-miner", "f01234", operator)[0] == 0
    assert shale("provider", "miner", "bind", "f01234")[1]["miner"] == "f01234"
    assert shale("provider", "miner", "recheck")[1]["miner"] == "f01234"
    assert shale("provider", "miner", "unbind")[1]["miner"] is None
    assert shale("wallet", "revoke-miner", "f01234", operator)[0] == 0
    assert shale("wallet", "revoke-miner", "f01234", operator)[0] == 1

    assert shale("provider", "miner", "bind", "f01234")[1]["miner"] == "f01234"
    asyncio.run(answers(network, False))
    assert shale("provider", "miner", "recheck", f410(operator))[1]["miner"] is None

    status, asked = shale("provider", "retire")
    assert (status, asked["error"]["code"]) == (1, "config")
    assert shale("provider", "retire", "-y")[0] == 0
    assert shale("provider", "retire", "-y")[0] == 1


def test_what_an_owner_that_is_no_ethereum_account_sends_is_printed(shale: Shale) -> None:
    network = Network.load(Home.default())
    _, said = shale("wallet", "authorize-miner", "f01234", "f02000", "--calldata")
    # keccak256("authorize(uint64,address)"), the miner, and f02000 as the EVM sees it
    words = f"{1234:064x}" + "00" * 12 + "ff" + f"{2000:038x}"
    assert said["calldata"][10:] == words
    assert said["params"] == "5844" + said["calldata"][2:]
    assert (said["to"], said["method"]) == (network.deployment.registry, 3844450837)
    _, taken = shale("wallet", "revoke-miner", "f01234", "f02000", "--calldata")
    assert taken["calldata"][10:] == words
    assert taken["calldata"][:10] != said["calldata"][:10]
