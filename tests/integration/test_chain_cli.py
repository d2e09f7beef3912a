"""shale chain and shale network, on a real anvil: one line for each thing that goes wrong, JSON for programs."""

import io
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shale.client.cli.main import run
from shale.market.accounts import Account
from shale.market.keystore import encrypt

Shale = Callable[..., tuple[int, Any]]


@pytest.fixture
def shale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Shale]:
    """Runs a command with --json in a home of its own: its status and answer."""
    monkeypatch.setenv("SHALE_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> tuple[int, Any]:
        capfd.readouterr()
        status = run([*arguments, "--json"])
        return status, json.loads(capfd.readouterr().out)

    yield call
    run(["chain", "down"])


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def message(answer: dict[str, Any]) -> str:
    return f"{answer['error']['message']}: {answer['error']['hint']}"


def test_a_chain_is_raised_deployed_to_and_stopped(shale: Shale, port: str, tmp_path: Path) -> None:
    assert shale("chain", "status")[1]["running"] is False
    _, up = shale("chain", "up", "--port", port)
    assert (up["running"], up["rpc_url"]) == (True, f"http://127.0.0.1:{port}")

    status, made = shale("chain", "deploy")
    assert (status, made["name"], made["chain_id"]) == (0, "devnet", 31415926)
    assert Path(made["file"]).parent == tmp_path / "home" / "networks"
    status, again = shale("chain", "deploy")
    assert (status, again["error"]["code"]) == (1, "refused")
    assert "--force" in message(again)
    _, forced = shale("chain", "deploy", "--force")
    assert forced["market"] != made["market"]
    assert shale("network", "show")[1]["market"] == forced["market"]

    someone = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert shale("chain", "fund", someone, "2 FIL")[1]["balance_attofil"] == str(2 * 10**18)

    file = made["file"]
    assert shale("network", "add", "other", "--file", file, "--rpc-url", up["rpc_url"])[0] == 0
    assert [entry["name"] for entry in shale("network", "list")[1]] == ["devnet", "other"]
    assert "choose one with --network" in message(shale("network", "show")[1])

    assert shale("chain", "down")[1] == {"stopped": True}
    assert shale("chain", "down")[1] == {"stopped": False}
    status, gone = shale("network", "add", "third", "--file", file)
    assert (status, gone["error"]["code"]) == (1, "unavailable")
    assert not (tmp_path / "home" / "networks" / "third.json").exists()


def test_money_goes_to_the_ledger_and_back(
    shale: Shale, port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse")
    password.chmod(0o600)
    monkeypatch.setenv("SHALE_PASSWORD_FILE", str(password))
    monkeypatch.setattr("shale.client.wallet.SCRYPT_WORK", 2)
    shale("chain", "up", "--port", port)
    shale("chain", "deploy")
    key = tmp_path / "key"
    key.write_text("11" * 32 + "\n")
    status, made = shale("wallet", "import", str(key))
    assert (status, made["address"]) == (0, "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A")
    assert made["f410"].startswith("f410f")
    assert shale("wallet", "address")[1] == made

    _, funded = shale("chain", "fund", made["f410"], "2 FIL")
    assert (funded["address"], funded["f410"]) == (made["address"], made["f410"])
    _, moved = shale("wallet", "deposit", "0.5 FIL")
    assert moved["deposited_attofil"] == str(5 * 10**17)
    _, held = shale("wallet", "balance")
    assert (held["ledger_attofil"], held["f410"]) == (str(5 * 10**17), made["f410"])
    assert "0.5 FIL" not in message(shale("wallet", "withdraw", "0.6 FIL")[1])
    assert "give an amount, or --all" in message(shale("wallet", "withdraw")[1])
    assert "give an amount, or --all" in message(shale("wallet", "withdraw", "1 FIL", "--all")[1])
    assert shale("wallet", "withdraw", "--all")[1]["withdrawn_attofil"] == str(5 * 10**17)
    assert shale("wallet", "balance")[1]["ledger_attofil"] == "0"
    assert "nothing to move" in message(shale("wallet", "withdraw", "--all")[1])
    book = tmp_path / "home" / "client" / "chain.db"
    assert book.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("bare", [True, False])
def test_a_key_comes_in_on_standard_input(
    shale: Shale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse")
    password.chmod(0o600)
    monkeypatch.setattr("shale.client.wallet.SCRYPT_WORK", 2)
    account = Account.create()
    text = account.key.hex() if bare else json.dumps(encrypt(account, "correct horse", 2))
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    status, made = shale("wallet", "import", "--password-file", str(password))
    assert (status, made["address"]) == (0, account.address)


def test_a_port_in_use_leaves_nothing_behind(shale: Shale, port: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(port)))
        taken.listen()
        status, answer = shale("chain", "up", "--port", port)
    assert (status, answer["error"]["code"]) == (1, "config")
    assert message(answer).startswith(f"port {port} is in use: ")
    assert shale("chain", "status")[1]["running"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("chain", "deploy"), "shale chain up"),
        (("chain", "deploy", "--rpc-url", "ftp://x"), "not an RPC URL"),
        (("chain", "deploy", "--rpc-url", "http://127.0.0.1:1"), "does not answer"),
        (("chain", "fund", "0x12", "1 FIL"), "not an address"),
        (("chain", "fund", "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za", "1 FIL"), "give its f0 number"),
        (("chain", "fund", "0x5FbDB2315678afecb367f032d93F642f64180aa3", "lots"), "not an amount"),
        (("chain", "fund", "0x5FbDB2315678afecb367f032d93F642f64180aa3", "1 FIL"), "shale chain up"),
        (("network", "show"), "shale chain deploy, or shale network add"),
        (("network", "show", "../x"), "not a network's name"),
        (("network", "add", "x", "--file", "/dev/null"), "not JSON"),
        (("network", "add", "x", "--file", "/nowhere.json"), "No such file"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(shale: Shale, arguments: tuple[str, ...], words: str) -> None:
    status, answer = shale(*arguments)
    assert status == 1
    assert words in message(answer)
    assert "\n" not in message(answer)
