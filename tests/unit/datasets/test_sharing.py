"""Mounts that containers can be let into: root's, and those of others where the machine's owner says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shale.datasets.sharing import check_sharing
from shale.errors import ConfigError


@pytest.mark.parametrize("text", ["user_allow_other\n", "# x\n user_allow_other # y"])
def test_an_ordinary_user_may_share_his_mounts_where_the_machine_says_so(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    conf = tmp_path / "fuse.conf"
    conf.write_text(text)
    check_sharing(conf)


@pytest.mark.parametrize("text", ["#user_allow_other\n", "", None])
def test_elsewhere_he_is_told_what_root_has_to_add(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    conf = tmp_path / "fuse.conf"
    if text is not None:
        conf.write_text(text)
    with pytest.raises(ConfigError) as raised:
        check_sharing(conf)
    assert f"user_allow_other to {conf}" in raised.value.hint


def test_root_needs_no_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    check_sharing(tmp_path / "none")
