"""Network: kept by name in a private file, and checked like anything from outside."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shale.chain.chain import Deployment
from shale.chain.network import MAX_FILE, Network, checked_name, network_from_json, read_json
from shale.errors import ConfigError, InputRefused
from shale.paths import Home
from shale.units import AttoFil, checked_address

PLACES = [checked_address("0x" + f"{n:040x}") for n in range(1, 8)]
URL = "https://user:secret@node.example/rpc?token=secret"


def network(name: str = "devnet") -> Network:
    return Network(name, URL, Deployment(31415926, *PLACES[:3], tuple(PLACES[3:]), block=7))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_saved_network_is_loaded_by_name_or_alone(home: Home) -> None:
    path = network().save(home)
    assert Network.load(home, "devnet") == network()
    assert Network.load(home) == Network.load(home, "") == network()
    assert path.stat().st_mode & 0o077 == 0


def test_a_networks_finality_is_kept(home: Home) -> None:
    replace(network(), finality=30).save(home)
    assert Network.load(home).finality == 30
    assert "finality" not in network().to_json()


def test_a_networks_limit_on_gas_is_kept(home: Home) -> None:
    replace(network(), max_gas_fee=AttoFil(5 * 10**17 + 1)).save(home)
    assert Network.load(home).max_gas_fee == AttoFil(5 * 10**17 + 1)
    assert "max_gas_fee" not in network().to_json()


def test_without_a_network_the_error_says_how_to_get_one(home: Home) -> None:
    for name in ("", "devnet"):
        with pytest.raises(ConfigError, match=r"shale chain deploy, or shale network add"):
            Network.load(home, name)


def test_among_several_one_must_be_named(home: Home) -> None:
    network("one").save(home)
    network("two").save(home)
    assert Network.names(home) == ["one", "two"]
    with pytest.raises(ConfigError, match="one, two"):
        Network.load(home)
    assert Network.load(home, "two").name == "two"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Up", "-x", "x" * 33, "x.json", "x\n"])
def test_a_name_stays_within_the_folder(home: Home, name: str) -> None:
    with pytest.raises(InputRefused):
        checked_name(name)
    with pytest.raises(InputRefused):
        network(name).save(home)


BENT: list[dict[str, Any]] = [
    {"chain_id": "31415926"},
    {"chain_id": -1},
    {"chain_id": 2**64},
    {"chain_id": True},
    {"market": "0x12"},
    {"market": None},
    {"registry": 5},
    {"ledger": "0x" + "g" * 40},
    {"block": 1.5},
    {"verifiers": "0x12"},
    {"verifiers": PLACES[:3]},
    {"verifiers": [*PLACES[:3], 7]},
    {"finality": -1},
    {"finality": 1e3},
    {"finality": 10**9},
    {"rpc_url": None},
    {"rpc_url": "ftp://node.example"},
    {"rpc_url": "http://"},
    {"rpc_url": "http://node.example:99999"},
    {"rpc_url": "http://node.example/\nX: y"},
    {"rpc_url": "http://" + "a" * 600},
]


@pytest.mark.parametrize("bent", BENT)
def test_a_malformed_network_is_refused(bent: dict[str, Any]) -> None:
    with pytest.raises(InputRefused):
        network_from_json(network().to_json() | bent, "devnet")


@pytest.mark.parametrize("key", ["chain_id", "registry", "market", "ledger", "verifiers"])
def test_a_network_that_lacks_a_key_is_refused(key: str) -> None:
    raw = network().to_json()
    del raw[key]
    with pytest.raises(InputRefused, match=key):
        network_from_json(raw, "devnet")


def test_a_mixed_case_address_must_have_its_checksum() -> None:
    good = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert network_from_json(network().to_json() | {"market": good}, "x").deployment.market == good
    with pytest.raises(InputRefused):
        network_from_json(network().to_json() | {"market": good.replace("F", "f", 1)}, "x")


def test_a_broken_file_names_itself(home: Home) -> None:
    path = network().save(home)
    for text in ("", "[]", "{", "[" * 50_000, json.dumps({"a": 1}), " " * (MAX_FILE + 1)):
        path.write_text(text)
        with pytest.raises(ConfigError, match="devnet"):
            Network.load(home, "devnet")


def test_a_missing_file_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="No such file"):
        read_json(tmp_path / "nothing.json")
