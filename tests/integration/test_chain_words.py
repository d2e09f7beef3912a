"""Every error that the built contracts can raise has words of its own."""

import pytest

from shale.chain.abi import CONTRACTS, artifact
from shale.chain.reverts import WORDS

# OpenZeppelin's, of texts that are set at deployment and fit.
_NEVER = {"InvalidShortString", "StringTooLong"}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_error_of_a_contract_has_words(contract: str) -> None:
    for entry in artifact(contract).abi:
        if entry["type"] == "error" and entry["name"] not in _NEVER:
            message, hint = WORDS[entry["name"]]
            values = ["1"] * len(entry["inputs"])
            assert message.format(*values, state="open"), entry["name"]
            assert hint, entry["name"]


def test_no_words_are_for_an_error_that_is_gone() -> None:
    known = {entry["name"] for name in CONTRACTS for entry in artifact(name).abi if entry["type"] == "error"}
    assert set(WORDS) <= known
