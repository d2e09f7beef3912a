"""The installed command, as a person or a program types it: help, errors, exit statuses, JSON, and start-up time."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from shale.client.cli.main import COMMANDS, cli, run

SHALE = Path(sys.executable).with_name("shale")
HEAVY = ("web3", "eth_account", "sqlalchemy", "httpx", "rich", "textual", "cryptography", "aiodocker", "starlette")


@dataclass(frozen=True)
class Done:
    """What a call came to."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("SHALE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHALE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("shale.client.wallet.SCRYPT_WORK", 2)
    return tmp_path / "home"


Shale = Callable[..., Done]


@pytest.fixture
def shale(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shale:
    """The command line, run in this process: loading Python anew for each line would take a second."""

    def call(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capfd.readouterr()
        status = run(list(arguments))
        out, err = capfd.readouterr()
        return Done(status, out, err)

    return call


def program(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed program, as a process of its own."""
    return subprocess.run(
        [SHALE, *arguments], capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment
    )


def password_file(home: Path, mode: int = 0o600, text: str = "correct horse battery\n") -> str:
    path = home.parent / f"password-{mode:o}"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def commands() -> list[tuple[str, click.Command]]:
    """Every command there is, groups opened."""
    found: list[tuple[str, click.Command]] = []

    def visit(path: str, command: click.Command, context: click.Context) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                visit(f"{path} {name}", inner, click.Context(inner, info_name=name, parent=context))
        else:
            found.append((path, command))

    visit("shale", cli, click.Context(cli, info_name="shale"))
    return found


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from shale.client.cli.main import run; status = run(['--help']); "
        f"print(status, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_help_comes_at_once(home: Path) -> None:
    best = 9.0
    for _ in range(5):
        began = os.times()
        assert program(home, "--help").returncode == 0
        ended = os.times()
        # CPU seconds of the child, not wall time: the machine may have other work.
        best = min(best, ended.children_user + ended.children_system - began.children_user - began.children_system)
    assert best < 0.4


def test_help_names_every_command_and_each_loads(home: Path, shale: Shale) -> None:
    text = shale("--help").stdout
    for name, entry in COMMANDS.items():
        assert f"  {name} " in text
        assert entry.help in text
    assert len(commands()) > len(COMMANDS)


def test_every_command_answers_in_json_when_asked() -> None:
    without = [path for path, command in commands() if "--json" not in [o for p in command.params for o in p.opts]]
    assert without == []


def test_no_command_takes_a_secret_as_an_argument() -> None:
    for path, command in commands():
        for parameter in command.params:
            for option in parameter.opts:
                assert option not in ("--password", "--private-key", "--key", "--secret"), path


def test_an_unknown_command_suggests_a_near_one(home: Path, shale: Shale) -> None:
    done = shale("dataset")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "shale: error: there is no command 'dataset', did you mean datasets?: see shale --help\n"


def test_a_wrong_option_is_one_line_with_status_2(home: Path, shale: Shale) -> None:
    done = shale("up", "--cpu", "1")
    assert done.returncode == 2
    assert done.stderr.startswith("shale: error: no such option '--cpu'")
    assert done.stderr.endswith("see shale up --help\n")
    assert done.stderr.count("\n") == 1


def test_an_error_is_one_line_that_says_what_to_do(home: Path, shale: Shale) -> None:
    done = shale("wallet", "address")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "shale: error: there is no wallet: run shale wallet new\n"


def test_an_error_is_json_when_json_was_asked_for(home: Path, shale: Shale) -> None:
    done = shale("wallet", "address", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "error": {"code": "config", "message": "there is no wallet", "hint": "run shale wallet new"}
    }
    assert done.stderr == ""


def test_a_group_without_a_command_shows_its_help(home: Path, shale: Shale) -> None:
    done = shale("wallet")
    assert done.returncode == 2
    assert "Make a new key" in done.stderr


@pytest.mark.parametrize("arguments", [["ls"], ["datasets"], ["wallet", "balance"], ["up", "-y"]])
def test_without_a_network_the_way_to_one_is_named(
    home: Path, shale: Shale, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = password_file(home)
    monkeypatch.setenv("SHALE_PASSWORD_FILE", secret)
    shale("wallet", "new", "--password-file", secret)
    done = shale(*arguments)
    assert done.returncode == 1
    assert done.stderr == "shale: error: no network is set up: run shale chain deploy, or shale network add\n"


def test_a_wallet_is_made_shown_and_kept(home: Path, shale: Shale) -> None:
    secret = password_file(home)
    made = json.loads(shale("wallet", "new", "--password-file", secret, "--json").stdout)
    assert json.loads(shale("wallet", "address", "--json").stdout) == made
    assert made["f410"].startswith("f410f")
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    again = shale("wallet", "new", "--password-file", secret)
    assert "there is a wallet already" in again.stderr


def test_a_private_key_comes_in_by_stdin_and_is_never_shown(home: Path, shale: Shale) -> None:
    key = "11" * 32
    done = shale("wallet", "import", "--password-file", password_file(home), stdin=key + "\n")
    assert done.returncode == 0
    assert done.stdout.startswith("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\n")
    assert all(key not in path.read_text() for path in home.rglob("*") if path.is_file())
    (home / "client" / "wallet.json").unlink()
    bad = shale("wallet", "import", "--password-file", password_file(home), stdin=key + "zz\n")
    assert bad.returncode == 1
    assert key not in bad.stdout + bad.stderr


@pytest.mark.parametrize(
    ("mode", "text", "why"),
    [
        (0o644, "correct horse battery", "others can read"),
        (0o600, "", "holds no password"),
        (0o600, "x" * 9000, "too large"),
    ],
)
def test_a_password_file_that_is_unsafe_or_useless_is_refused(
    home: Path, shale: Shale, mode: int, text: str, why: str
) -> None:
    done = shale("wallet", "new", "--password-file", password_file(home, mode, text))
    assert done.returncode == 1
    assert why in done.stderr
    assert not (home / "client" / "wallet.json").exists()


def test_without_a_terminal_a_password_file_is_asked_for(home: Path, shale: Shale) -> None:
    done = shale("wallet", "new")
    assert done.stderr == "shale: error: the wallet's password is needed: give --password-file FILE\n"


def test_no_lease_is_an_empty_list_and_a_hint(home: Path, shale: Shale) -> None:
    assert json.loads(shale("ps", "--json").stdout) == []
    assert "begin one with shale up" in shale("ps").stdout


@pytest.mark.parametrize("arguments", [["run", "x", "--", "ls"], ["end", "x"], ["review", "x", "--stars", "5"]])
def test_an_unknown_lease_is_one_line(home: Path, shale: Shale, arguments: list[str]) -> None:
    done = shale(*arguments)
    assert done.returncode == 1
    assert done.stderr == "shale: error: there is no lease named 'x': see shale ps --all\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--dataset", "nope"], "is not a CID"),
        (["--dataset", "bafkqaaa:data"], "can't be a mount point"),
        (["--cpus", "many"], "is not a number of CPUs"),
        (["--memory", "1"], "of memory is too little"),
        (["--hours", "0"], "out of range"),
        (["--hours", "1", "--max", "2h"], "the same thing"),
        (["--name", "../x"], "can't be a lease's name"),
        (["--max-price", "cheap"], "is not an amount"),
        (["--ssh-key", "/nowhere/key"], "can't be read"),
    ],
)
def test_bad_input_of_up_is_refused_before_anything_is_opened(
    home: Path, shale: Shale, arguments: list[str], why: str
) -> None:
    done = shale("up", "-y", *arguments)
    assert done.returncode == 1
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (home / "client" / "leases").exists()


def test_settings_with_an_unknown_key_name_it(home: Path, shale: Shale) -> None:
    (home / "client").mkdir(parents=True)
    (home / "client" / "config.toml").write_text('netwrk = "devnet"\n')
    assert "netwrk is no setting" in shale("ps").stderr


def test_ssh_config_asks_before_it_touches_the_users_own(home: Path, shale: Shale) -> None:
    user = home.parent / ".ssh" / "config"
    assert "nobody is there to confirm" in shale("ssh-config", "--install").stderr
    assert not user.exists()
    done: dict[str, Any] = json.loads(shale("ssh-config", "--install", "-y", "--json").stdout)
    assert (done["installed"], done["changed"]) == (True, True)
    assert user.read_text() == done["include"] + "\n"
    assert json.loads(shale("ssh-config", "--remove", "--json").stdout)["installed"] is False
    assert user.read_text() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_completes_commands(home: Path, shell: str) -> None:
    assert "_SHALE_COMPLETE" in program(home, "completion", shell).stdout
    words = program(home, _SHALE_COMPLETE="bash_complete", COMP_WORDS="shale wal", COMP_CWORD="1").stdout
    assert words.strip() == "plain,wallet"


def test_a_reader_that_goes_away_is_no_crash(home: Path) -> None:
    done = subprocess.run(
        f"{SHALE} completion bash | true", shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_colours_stay_out_of_pipes(home: Path) -> None:
    done = program(home, "ps", "--all", TERM="xterm-256color")
    assert "\x1b" not in done.stdout


def test_the_version_is_the_packages(home: Path, shale: Shale) -> None:
    from importlib.metadata import version

    assert version("shale") in shale("--version").stdout
