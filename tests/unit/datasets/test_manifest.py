"""The manifest: signed by who prepared a dataset; whatever else comes is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from shale.datasets.manifest import (
    MAX_MANIFEST,
    Manifest,
    ManifestPiece,
    manifest_from_json,
    manifest_to_json,
    read_manifest,
    sign,
)
from shale.errors import InputRefused
from shale.units import Cid

ACCOUNT = Account.from_key("0x" + "11" * 32)
ROOT = Cid("bafybeigfpimyrrtb7aaei57vsuqcy7vyeygahidhopqey3pzdphn6o6jqy")
PIECES = (
    ManifestPiece(Cid("baga6ea4seaqmbyfu7hfsg7tqgvwcytynjib6zow3wyffwhdsto74ildovhnucby"), 300, 512),
    ManifestPiece(Cid("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"), 127, 128),
)
MANIFEST = Manifest("Zahlen, handgeschrieben", "8×8 pixels", "CC-BY-4.0", ROOT, PIECES)


def written(**changes: Any) -> dict[str, Any]:
    """The signed manifest as JSON, with some of its inner fields replaced after it was signed."""
    raw = manifest_to_json(sign(MANIFEST, ACCOUNT))
    raw["manifest"] |= changes
    return raw


def test_a_signed_manifest_is_read_with_its_signer() -> None:
    data = json.dumps(manifest_to_json(sign(MANIFEST, ACCOUNT)), indent=2).encode()
    read = read_manifest(data)
    assert read.manifest == MANIFEST
    assert read.signer == ACCOUNT.address


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"licence": "none"},
        {"root": "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"},
        {"pieces": list(reversed(manifest_to_json(sign(MANIFEST, ACCOUNT))["manifest"]["pieces"]))},
    ],
)
def test_what_was_changed_after_signing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputRefused, match="signed by"):
        manifest_from_json(written(**change))


def test_another_signer_than_the_stated_one_is_refused() -> None:
    with pytest.raises(InputRefused, match="signed by"):
        manifest_from_json(written() | {"signer": Account.create().address})


def piece(**changes: Any) -> list[dict[str, Any]]:
    return [{"piece": PIECES[0].piece, "raw_size": 300, "padded_size": 512} | changes]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"format": "tar"},
        {"name": ""},
        {"name": "x" * 129},
        {"name": "two\nlines"},
        {"description": "\x1b[2J"},
        {"description": None},
        {"root": "../../etc"},
        {"root": 7},
        {"pieces": []},
        {"pieces": {}},
        {"pieces": piece() * 2},
        {"pieces": piece() * 1025},
        {"pieces": piece(piece="bafy")},
        {"pieces": piece(padded_size=500)},
        {"pieces": piece(raw_size=509)},
        {"pieces": piece(raw_size=0)},
        {"pieces": piece(raw_size=1.5)},
        {"pieces": piece(extra=1)},
        {"extra": 1},
    ],
)
def test_a_malformed_manifest_is_refused_in_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(InputRefused, match="malformed") as caught:
        manifest_from_json(written(**change))
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 9999, b"{}", b" " * (MAX_MANIFEST + 1), b'{"manifest": 1}'])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(InputRefused):
        read_manifest(data)


def test_nothing_is_signed_that_could_not_be_read() -> None:
    with pytest.raises(InputRefused):
        sign(replace(MANIFEST, name="two\nlines"), ACCOUNT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from([*written()["manifest"], "other"]), json_values, max_size=3),
    st.dictionaries(st.sampled_from(["signer", "signature", "other"]), json_values, max_size=2),
)
def test_any_change_of_a_manifest_is_refused(inner: dict[str, Any], outer: dict[str, Any]) -> None:
    raw = written(**inner) | outer
    if raw == written():
        return
    with pytest.raises(InputRefused):
        manifest_from_json(raw)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    with pytest.raises(InputRefused):
        read_manifest(data)
