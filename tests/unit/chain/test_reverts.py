"""Reverts: every error of the contracts has words, and hostile data is only ever shown short and plain."""

import pytest
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector as selector

from shale.chain import reverts
from shale.chain.reverts import WORDS, refusal

OURS = {
    "StaleRoot": ("uint256",),
    "InsufficientBalance": ("uint256", "uint256"),
    "WrongState": ("uint256", "uint8"),
    "NothingOwed": (),
}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors as an ABI would give them: the unit tests need no build of the contracts."""
    table = {selector(f"{name}({','.join(types)})"): (name, types) for name, types in OURS.items()}
    monkeypatch.setattr(reverts, "_errors", lambda: table)


def data(name: str, *values: int) -> str:
    types = OURS[name]
    return "0x" + (selector(f"{name}({','.join(types)})") + encode(types, values)).hex()


def test_a_custom_error_becomes_words_with_its_values() -> None:
    assert "10 attoFIL, 11 are needed: deposit" in str(refusal(data("InsufficientBalance", 10, 11)))
    assert "already" not in str(refusal(data("NothingOwed")))
    assert "ended" in str(refusal(data("WrongState", 5, 4)))


def test_a_state_that_nobody_knows_does_not_break_the_words() -> None:
    assert "the lease is" in str(refusal(data("WrongState", 5, 200)))


def test_the_data_is_found_in_a_nodes_text() -> None:
    text = f"message execution failed (exit=[33], vm error=[{data('StaleRoot', 5)}])"
    assert "root has moved" in str(refusal(text))


@pytest.mark.parametrize(
    "raw",
    [None, "", "0x", "0x12", "no hex", 7, {"a": 1}, "0xdeadbeef" + "00" * 5000, data("WrongState", 1, 1)[:20]],
)
def test_unknown_or_broken_data_is_one_short_line(raw: object) -> None:
    text = str(refusal(raw))
    assert text.isprintable()
    assert len(text) < 250


def test_a_reason_in_text_is_shown_plain() -> None:
    reason = "0x08c379a0" + encode(["string"], ["\x1b[31mboo\n" + "a" * 5000]).hex()
    text = str(refusal(reason))
    assert "boo" in text
    assert text.isprintable()
    assert len(text) < 300


def test_every_words_entry_says_what_happened_and_what_to_do() -> None:
    for name, (message, hint) in WORDS.items():
        assert message, name
        assert hint, name
        message.format("a", "b", "c", state="s")
