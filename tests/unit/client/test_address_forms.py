"""Every command that takes an address takes it as Ethereum writes it, as Filecoin does, and as an actor's number."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from shale.client.cli import chain, ledger
from shale.errors import ConfigError, InputRefused
from shale.paths import Home
from shale.provider.cli import main as provider
from shale.provider.config import load_config
from shale.tunnel import gateway

FORMS = {
    "0x52963ef50e27e06d72d59fcb4f3c2a687be3cfef": "0x52963EF50e27e06D72D59fcB4F3c2a687BE3cfEf",
    "f410fkkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxa": "0x52963EF50e27e06D72D59fcB4F3c2a687BE3cfEf",
    "f01234": "0xFf000000000000000000000000000000000004d2",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SHALE_HOME", str(tmp_path))
    return Home(tmp_path)


def outcome(command: click.Command, *words: str) -> BaseException | None:
    return CliRunner().invoke(command, words).exception


@pytest.mark.parametrize("words", [["rebuild", "--provider"], ["fund"]])
@pytest.mark.parametrize("form", [*FORMS, "f410fwrong"])
def test_a_commands_address_is_read_before_anything_else(words: list[str], form: str) -> None:
    group, more = (ledger.group, []) if words[0] == "rebuild" else (chain.chain_group, ["1 FIL"])
    error = outcome(group, *words, form, *more)
    if form in FORMS:
        assert isinstance(error, ConfigError), "what it lacks is a network"
    else:
        assert isinstance(error, InputRefused)
        assert "is not an address" in str(error)


@pytest.mark.parametrize(("form", "address"), FORMS.items())
def test_a_payout_address_may_have_any_form(
    home: Home, monkeypatch: pytest.MonkeyPatch, form: str, address: str
) -> None:
    async def nobody() -> bool:
        return False

    monkeypatch.setattr(gateway, "ensure_gateway_user", nobody)
    password = home.root / "password"
    password.write_text("secret")
    assert outcome(provider.group, "init", "--payout", form, "--password-file", str(password)) is None
    assert load_config(home).payout.lower() == address.lower()
