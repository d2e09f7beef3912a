"""A command that moves money and is repeated after a kill moves none twice, on a real anvil."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.devnets import free_port

from shale.chain.bench import Bench
from shale.chain.database import Database
from shale.chain.deploy import deploy
from shale.chain.devnet import CHAIN_ID, Devnet, fund
from shale.chain.fvm import FvmChain
from shale.chain.outbox import Outbox
from shale.chain.rpc import Rpc
from shale.chain.sender import MadeBefore
from shale.client.cli.main import run
from shale.market.accounts import Account
from shale.proofs.memory import MemoryProver
from shale.units import AttoFil

FIL = 10**18
PATIENCE = 60.0


def _run_and_die(*arguments: str) -> None:
    """The command, killed in the moment in which the node has its transaction."""
    send = Rpc.call_once

    async def last(self: Rpc, method: str, *params: Any) -> Any:
        answer = await send(self, method, *params)
        if method == "eth_sendRawTransaction":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    Rpc.call_once = last  # type: ignore[method-assign]
    run(list(arguments))


def killed(*arguments: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_run_and_die, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture
def rpc_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A client's home with a wallet of 100 FIL, and a chain of its own with the contracts."""
    password, key = tmp_path / "password", tmp_path / "key"
    password.write_text("correct horse")
    password.chmod(0o600)
    key.write_text("11" * 32 + "\n")
    monkeypatch.setenv("SHALE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SHALE_PASSWORD_FILE", str(password))
    monkeypatch.setattr("shale.client.wallet.SCRYPT_WORK", 2)
    port = free_port()
    for command in (
        ["chain", "up", "--port", str(port)],
        ["chain", "deploy"],
        ["wallet", "import", str(key)],
        ["chain", "fund", "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", "100 FIL"],
    ):
        assert run(command) == 0
    yield f"http://127.0.0.1:{port}"
    run(["chain", "down"])


def ask(url: str, method: str, *params: Any) -> Any:
    async def call() -> Any:
        rpc = Rpc(url)
        try:
            return await rpc.call(method, *params)
        finally:
            await rpc.close()

    return asyncio.run(call())


@pytest.mark.parametrize("waits", [True, False])
def test_a_deposit_that_is_repeated_after_a_kill_is_made_once(
    rpc_url: str, waits: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    if waits:
        ask(rpc_url, "evm_setAutomine", False)
    killed("wallet", "deposit", "4 FIL")
    if waits:
        ask(rpc_url, "evm_setIntervalMining", 1)

    def shale(*arguments: str) -> tuple[int, Any]:
        capfd.readouterr()
        status = run([*arguments, "--json"])
        return status, json.loads(capfd.readouterr().out)

    for _ in range(2):
        status, answer = shale("wallet", "deposit", "8 FIL")
        assert (status, answer["error"]["code"]) == (1, "refused")
        assert "a deposit of 4 FIL by an earlier command" in answer["error"]["message"]
        assert "repeat it with --again" in answer["error"]["hint"]
        assert shale("wallet", "balance")[1]["ledger_attofil"] == str(4 * FIL)
    assert shale("wallet", "deposit", "8 FIL", "--again")[0] == 0
    assert shale("wallet", "balance")[1]["ledger_attofil"] == str(12 * FIL)
    assert shale("wallet", "withdraw", "5 FIL")[0] == 0
    assert shale("wallet", "deposit", "1 FIL")[0] == 0
    assert shale("wallet", "balance")[1]["ledger_attofil"] == str(8 * FIL)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def test_a_step_that_a_command_takes_by_itself_is_not_held_back_and_holds_nothing_back(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    """A lease's own deposit, after somebody's deposit that nobody knows of; and that one, after the lease's own."""
    devnet, account, file = Devnet(tmp_path), Account.create(), tmp_path / "chain.db"
    stack.push_async_callback(devnet.stop)
    url = (await devnet.start(free_port())).rpc_url
    await fund(url, account.address, AttoFil(10 * FIL))
    chain = FvmChain(await deploy(url, None), url, account, database=file)
    stack.push_async_callback(chain.close)

    def leave() -> None:
        with Database(file).write() as connection:  # as a process that was killed left it
            connection.execute("UPDATE intents SET told = 0, owner = '1:1'")

    await chain.deposit(AttoFil(3 * FIL), by_itself=True)
    await chain.withdraw(AttoFil(FIL), by_itself=True)
    leave()
    await chain.deposit(AttoFil(FIL))
    await chain.withdraw(AttoFil(FIL))
    leave()
    await chain.deposit(AttoFil(FIL), by_itself=True)
    await chain.withdraw(AttoFil(FIL), by_itself=True)
    with pytest.raises(MadeBefore, match="a deposit of 1 FIL"):
        await chain.deposit(AttoFil(2 * FIL))
    with pytest.raises(MadeBefore, match="a withdrawal of 1 FIL"):
        await chain.withdraw(AttoFil(FIL))
    await chain.tell_deposits()
    await chain.deposit(AttoFil(2 * FIL))
    with pytest.raises(MadeBefore, match="a withdrawal of 1 FIL"):
        await chain.withdraw(AttoFil(FIL))
    assert await chain.ledger_balance(account.address) == AttoFil(4 * FIL)


@pytest.mark.parametrize(("before", "waits"), [(["deposit"], False), (["deposit", "withdraw"], True)])
async def test_what_lowers_the_balance_is_waited_for_where_nothing_will_be_sent(
    tmp_path: Path, stack: AsyncExitStack, before: list[str], waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    devnet, account = Devnet(tmp_path), Account.create()
    stack.push_async_callback(devnet.stop)
    url = (await devnet.start(free_port())).rpc_url
    await fund(url, account.address, AttoFil(10 * FIL))
    places, rpc = await deploy(url, None), Rpc(url)
    chain, other = (FvmChain(places, url, account, database=tmp_path / "chain.db", finality=9) for _ in range(2))
    for each in (chain, other, rpc):
        stack.push_async_callback(each.close)
    await chain.deposit(AttoFil(2 * FIL))
    await rpc.call("evm_setAutomine", False)
    sent = [asyncio.ensure_future(getattr(chain, name)(AttoFil(FIL))) for name in before]
    outbox = Outbox(Database(tmp_path / "chain.db"), CHAIN_ID, account.address)
    # Two that share a file tell each other nothing: it is looked into.
    async with asyncio.timeout(PATIENCE):
        while len(outbox.open()) < 1 + len(before):
            await asyncio.sleep(0.01)
        taken = asyncio.ensure_future(other.take_up(to_send=False))
        while not taken.done() and "(withdrawal of 1 FIL) of an earlier command still waits" not in caplog.text:
            await asyncio.sleep(0.01)
    assert taken.done() is not waits
    await rpc.call("evm_setIntervalMining", 1)
    await asyncio.gather(taken, *sent)
    assert await other.ledger_balance(account.address) == AttoFil((2 if waits else 3) * FIL)


async def test_a_top_up_is_held_back_for_its_own_lease_alone(tmp_path: Path) -> None:
    """After a command that ended before it knew; then no deposit is made for it either."""
    devnet = Devnet(tmp_path)
    url = (await devnet.start(free_port())).rpc_url
    accounts = [Account.create() for _ in range(3)]
    for account in accounts:
        await fund(url, account.address, AttoFil(10 * FIL))
    places, rpc, file = await deploy(url, None), Rpc(url), tmp_path / "chain.db"
    chains = [FvmChain(places, url, account) for account in (*accounts, None)]

    async def now() -> int:
        return int((await rpc.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

    async def pass_time(seconds: int) -> None:
        await rpc.call("evm_increaseTime", seconds)
        await rpc.call("evm_mine")

    bench = Bench(*chains, *accounts, MemoryProver(), now, pass_time)
    one, two = await bench.opened(), await bench.opened()
    await bench.client.deposit(AttoFil(FIL))
    kept = FvmChain(places, url, bench.client_account, database=file)
    await kept.top_up(one.order, 60)
    with Database(file).write() as connection:  # as a process that was killed left it
        connection.execute("UPDATE intents SET told = 0, owner = '1:1'")
    for again in (kept.check_top_up(one.order), kept.top_up(one.order, 600)):
        with pytest.raises(MadeBefore, match=f"a top-up of 60 s for the lease {one.id[:14]}"):
            await again
    await kept.check_top_up(two.order)
    await kept.top_up(two.order, 60)
    # Another lease is begun meanwhile, and leave is given to repeat other things.
    for to_send in (False, True):
        await kept.take_up(to_send=to_send)
    for known in (kept.tell_top_ups(two.order), kept.tell_deposits(), kept.tell_withdrawals()):
        await known
    with pytest.raises(MadeBefore, match=f"a top-up of 60 s for the lease {one.id[:14]}"):
        await kept.top_up(one.order, 600)
    await kept.tell_top_ups(one.order)
    await kept.top_up(one.order, 600)
    assert Outbox(Database(file), CHAIN_ID, bench.client_account.address).untold() == []
    for each in (*chains, kept, rpc):
        await each.close()
    await devnet.stop()
