"""Development keys are told by the code of their verifiers, and take no money on mainnet."""

import json
from pathlib import Path

import pytest

from shale.chain.abi import VERIFIERS, artifact
from shale.chain.verifiers import DEVELOPMENT_ALPHAS, refuse_development_keys
from shale.errors import ConfigError

LEDGER = json.loads((Path(__file__).parents[2] / "vectors" / "ledger.json").read_text())


def test_development_keys_are_known_by_the_points_that_the_kernel_knows_them_by() -> None:
    assert ["0x" + alpha for alpha in DEVELOPMENT_ALPHAS] == LEDGER["development_alphas"]


@pytest.mark.skipif(not LEDGER["unsafe_development"], reason="the committed keys are a ceremony's")
def test_every_verifier_of_a_development_key_has_its_point() -> None:
    for name, alpha in zip(VERIFIERS, DEVELOPMENT_ALPHAS, strict=True):
        assert [other for other in DEVELOPMENT_ALPHAS if other in artifact(name).runtime] == [alpha]


def test_mainnet_takes_the_built_verifiers_only_if_they_are_no_development_keys() -> None:
    refuse_development_keys(314159)
    if LEDGER["unsafe_development"]:
        with pytest.raises(ConfigError, match="mainnet: install a version with a ceremony's keys"):
            refuse_development_keys(314)
    else:
        refuse_development_keys(314)
