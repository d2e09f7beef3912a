"""The examples in the guides work: the claims file and the manifest, over the dataset that they are of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests import foreign
from tests.rooms import open_room

from shale.datasets.manifest import read_manifest

GUIDES = Path(__file__).parents[2] / "docs" / "guide"


def example(page: str, key: str) -> dict[str, Any]:
    """The JSON block of a page that has this key."""
    blocks = re.findall(r"^```json\n(.*?)^```", (GUIDES / page).read_text(), re.MULTILINE | re.DOTALL)
    (found,) = [block for block in map(json.loads, blocks) if key in block]
    return dict(found)


async def test_the_examples_of_claims_and_manifest_are_of_one_dataset_and_work(tmp_path: Path) -> None:
    one, two = foreign.Block(foreign.RAW, b"hello\n"), foreign.Block(foreign.RAW, b"world\n")
    root = foreign.folder_of({"a.txt": one, "b.txt": two})
    (tmp_path / "words.car").write_bytes(foreign.car(root, [root, one, two]))
    manifest = example("datasets.md", "manifest")
    assert read_manifest(json.dumps(manifest).encode()).manifest.root == root.text
    async with open_room(tmp_path) as room:
        room.claims.write_text(json.dumps(example("provider.md", "5000")))
        (added,), left_out = await room.add(tmp_path / "words.car", manifest=manifest)
    assert left_out == []
    assert (added["name"], added["licence"], added["files"]) == ("Two words", "CC0-1.0", 2)
    assert [(piece["claim"], piece["sector"]) for piece in added["pieces"]] == [(5000, 7)]
