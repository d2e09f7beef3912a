"""The ceremony's commands by the real kernel, up to where a size's transforms of points begin to take long."""

import json
from pathlib import Path

import pytest

from shale.client.cli.main import run
from shale.errors import Refused
from shale.paths import keys_dir
from shale.proofs import ceremony


async def test_a_file_that_has_no_powers_of_tau_begins_no_ceremony(tmp_path: Path) -> None:
    powers = tmp_path / "powers.ptau"
    powers.write_bytes(b"ptau" + bytes(100))
    with pytest.raises(Refused, match=r"powers\.ptau: version 0"):
        await ceremony.init(tmp_path / "c", 1, powers)
    assert not (tmp_path / "c").exists()


async def test_a_size_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no circuit of size 7"):
        await ceremony.init(tmp_path / "c", 7, tmp_path / "powers.ptau")


async def test_a_folder_without_a_ceremony_takes_no_contribution(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"ceremony\.json: no such file"):
        await ceremony.contribute(tmp_path, "Ada")


async def test_a_manifest_is_made_of_ceremonies_alone(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"ceremony\.json: no such file"):
        await ceremony.manifest([tmp_path], keys_dir(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_answers_in_json_and_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path)
    assert run(["ceremony", "contribute", folder, "--name", "Ada", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "refused"
    assert run(["ceremony", "verify", folder, "--powers", "none.ptau"]) == 1
    assert capsys.readouterr().err.startswith("shale: error: ")
