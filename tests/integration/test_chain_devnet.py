"""The desk's own chain is a real anvil: it lives on, keeps its state, and what goes wrong is told in one line."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.devnets import free_port

from shale.chain.chain import Deployment
from shale.chain.database import Database
from shale.chain.deploy import deploy
from shale.chain.devnet import CHAIN_ID, Devnet, DevnetStatus, fund
from shale.chain.fvm import FvmChain
from shale.chain.outbox import Outbox
from shale.chain.rpc import Rpc
from shale.errors import ConfigError, Refused, Unavailable
from shale.market.accounts import Account
from shale.units import Address, AttoFil

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIL = AttoFil(10**18)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevnetStatus]:
    devnet = Devnet(tmp_path_factory.mktemp("devnet"))
    try:
        yield await devnet.start(free_port())
    finally:
        await devnet.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(running: DevnetStatus) -> Deployment:
    return await deploy(running.rpc_url, None)


async def test_a_restart_keeps_port_state_and_contracts(tmp_path: Path) -> None:
    devnet, someone = Devnet(tmp_path), Address(Account.create().address)
    try:
        first = await devnet.start(free_port())
        places = await deploy(first.rpc_url, None)
        await fund(first.rpc_url, someone, FIL)
        assert (await devnet.start()).pid == first.pid
        assert await devnet.stop()
        assert not (await devnet.status()).running

        second = await devnet.start()
        assert (second.rpc_url, second.pid != first.pid) == (first.rpc_url, True)
        chain = FvmChain(places, second.rpc_url, None)
        await chain.check()
        assert await chain.wallet_balance(someone) == FIL
        await chain.close()
    finally:
        await devnet.stop()
    assert not await devnet.stop()


async def test_funding_adds_and_only_anvil_makes_money(running: DevnetStatus) -> None:
    someone = Address(Account.create().address)
    assert await fund(running.rpc_url, someone, FIL) == FIL
    assert await fund(running.rpc_url, someone, AttoFil(5)) == FIL + AttoFil(5)


async def test_no_money_is_made_on_another_chain() -> None:
    """A server that is a node of Filecoin's test network, as far as anyone can ask."""

    async def calibration(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        asked = await reader.readexactly(size)
        result = b'"0x4cb2f"' if b"eth_chainId" in asked else b'"lotus/1.36"'
        body = b'{"jsonrpc":"2.0","id":1,"result":' + result + b"}"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(calibration, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(Refused, match="chain 314159"):
            await fund(url, Address(Account.create().address), FIL)
        with pytest.raises(ConfigError, match="--keystore"):
            await deploy(url, None)


async def test_a_node_that_answers_too_much_is_cut_off() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        rpc = Rpc(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(Unavailable, match="answers too much"):
            await rpc.call("eth_chainId")
        await rpc.close()


async def test_a_wrong_chain_id_names_both(running: DevnetStatus, deployment: Deployment) -> None:
    chain = FvmChain(replace(deployment, chain_id=314), running.rpc_url, None)
    with pytest.raises(ConfigError, match=f"{CHAIN_ID}.*314"):
        await chain.check()
    with pytest.raises(ConfigError, match=f"{CHAIN_ID}.*314"):
        await chain.shard(deployment.market)
    await chain.close()


async def test_missing_contracts_say_how_to_deploy(running: DevnetStatus, deployment: Deployment) -> None:
    nowhere = Address(Account.create().address)
    bent = [replace(deployment, **{name: nowhere}) for name in ("registry", "market", "ledger")]
    bent += [replace(deployment, verifiers=(*deployment.verifiers[:at], nowhere)) for at in range(4)]
    for places in bent:
        chain = FvmChain(places, running.rpc_url, None)
        with pytest.raises(ConfigError, match="shale chain deploy"):
            await chain.check()
        await chain.close()
    chain = FvmChain(replace(deployment, ledger=nowhere), running.rpc_url, None)
    with pytest.raises(ConfigError, match="shale chain deploy"):
        await chain.ledger_balance(nowhere)
    await chain.close()


async def test_a_market_with_another_ledger_is_told(running: DevnetStatus, deployment: Deployment) -> None:
    chain = FvmChain(replace(deployment, ledger=deployment.registry), running.rpc_url, None)
    with pytest.raises(ConfigError, match="another ledger"):
        await chain.check()
    await chain.close()


async def test_a_node_that_is_down_is_unavailable_and_its_token_not_shown(deployment: Deployment) -> None:
    chain = FvmChain(deployment, f"http://user:secret@127.0.0.1:{free_port()}/secret?token=secret", None)
    with pytest.raises(Unavailable, match="does not answer") as caught:
        await chain.check()
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(chain)
    await chain.close()


async def test_an_empty_wallet_is_told_what_it_has_and_needs(running: DevnetStatus, deployment: Deployment) -> None:
    account = Account.create()
    chain = FvmChain(deployment, running.rpc_url, account)
    with pytest.raises(ConfigError, match=f"{account.address} has 0 FIL, needs 1 FIL and gas: fund it"):
        await chain.deposit(FIL)
    await fund(running.rpc_url, Address(account.address), FIL)
    with pytest.raises(ConfigError, match="has 1 FIL, needs 1"):
        await chain.deposit(FIL)
    await chain.close()


async def test_two_processes_of_one_wallet_do_not_block_each_other(
    running: DevnetStatus, deployment: Deployment
) -> None:
    """Two adapters know nothing of each other's nonces, as the client's command and its agent don't."""
    account = Account.create()
    await fund(running.rpc_url, Address(account.address), FIL * 10)
    one, two = (FvmChain(deployment, running.rpc_url, account) for _ in range(2))
    await asyncio.gather(*(chain.deposit(AttoFil(7)) for chain in (one, two) for _ in range(4)))
    assert await one.ledger_balance(Address(account.address)) == AttoFil(56)
    await one.close()
    await two.close()


async def test_two_ledgers_of_one_chain_share_the_nonces_of_a_wallet(
    running: DevnetStatus, deployment: Deployment, tmp_path: Path
) -> None:
    account = Account.create()
    await fund(running.rpc_url, Address(account.address), FIL * 10)
    other = await deploy(running.rpc_url, account, tmp_path / "chain.db")
    chains = [
        FvmChain(places, running.rpc_url, account, database=tmp_path / "chain.db", finality=50)
        for places in (deployment, other)
    ]
    await asyncio.gather(*(chain.deposit(AttoFil(7)) for chain in chains for _ in range(3)))
    assert [await chain.ledger_balance(Address(account.address)) for chain in chains] == [AttoFil(21), AttoFil(21)]
    outbox = Outbox(Database(tmp_path / "chain.db"), CHAIN_ID, account.address)
    nonces = [intent.nonce for intent in outbox.open()]
    assert nonces == list(range(nonces[0], nonces[0] + 6))
    with outbox._database.read() as connection:
        rows = connection.execute("SELECT nonce, label FROM intents WHERE chain = ? ORDER BY nonce", (CHAIN_ID,))
        made = [tuple(row) for row in rows][: nonces[0]]
    assert made[0] == (0, "deployment of Verifier1")
    assert [label for _, label in made[-2:]] == ["deployment of Registry", "deployment of Market"]
    for chain in chains:
        await chain.close()


async def test_deploying_twice_gives_two_markets(running: DevnetStatus, deployment: Deployment) -> None:
    again = await deploy(running.rpc_url, None)
    assert again.market != deployment.market
    assert again.block > deployment.block


async def test_a_verifier_of_other_code_is_told_and_a_good_one_is_compared_once(
    running: DevnetStatus, tmp_path: Path
) -> None:
    places = await deploy(running.rpc_url, None)
    noted, rpc = tmp_path / "devnet.checked", Rpc(running.rpc_url)
    chain, fresh = (FvmChain(places, running.rpc_url, None, checked=path) for path in (noted, tmp_path / "other"))
    await chain.check()
    await rpc.call("anvil_setCode", places.verifiers[2], "0x00")
    await chain.check()
    with pytest.raises(ConfigError, match="batches of 64 isn't this version's"):
        await fresh.check()
    noted.write_bytes(b"0" * 64)
    with pytest.raises(ConfigError, match="batches of 64"):
        await chain.check()
    for each in (chain, fresh, rpc):
        await each.close()


async def test_a_verifier_that_the_ledger_does_not_ask_is_told(running: DevnetStatus, deployment: Deployment) -> None:
    other = await deploy(running.rpc_url, None)
    verifiers = (*deployment.verifiers[:3], other.verifiers[3])
    chain = FvmChain(replace(deployment, verifiers=verifiers), running.rpc_url, None)
    with pytest.raises(ConfigError, match="another verifier for batches of 256"):
        await chain.check()
    await chain.close()


async def test_development_keys_are_refused_on_mainnet_even_where_they_were_noted(
    running: DevnetStatus, deployment: Deployment, tmp_path: Path
) -> None:
    noted, rpc = tmp_path / "devnet.checked", Rpc(running.rpc_url)
    chain = FvmChain(deployment, running.rpc_url, None, checked=noted)
    await chain.check()
    await rpc.call("anvil_setChainId", 314)
    mainnet = FvmChain(replace(deployment, chain_id=314), running.rpc_url, None, checked=noted)
    try:
        with pytest.raises(ConfigError, match=r"development keys.*mainnet: install a version"):
            await mainnet.check()
        with pytest.raises(ConfigError, match=r"development keys.*mainnet: install a version"):
            await deploy(running.rpc_url, Account.create())
    finally:
        await rpc.call("anvil_setChainId", CHAIN_ID)
        for each in (chain, mainnet, rpc):
            await each.close()
