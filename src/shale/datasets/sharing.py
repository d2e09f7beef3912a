"""Sharing: whether containers may be let into this user's mounts, as the machine's owner has it in fuse.conf."""

from __future__ import annotations

import os
from pathlib import Path

from shale.errors import ConfigError

FUSE_CONF = Path("/etc/fuse.conf")


def check_sharing(conf: Path = FUSE_CONF) -> None:
    """Raises ConfigError where nobody but this user could read his mounts (mount.fuse3(8), user_allow_other)."""
    if os.geteuid() == 0:
        return
    try:
        lines = conf.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    except OSError:
        return  # the program that mounts, which root owns, sees it
    if not any(line.partition("#")[0].strip() == "user_allow_other" for line in lines):
        raise ConfigError(
            "containers can't be let into the mounts of datasets",
            f"have root add the line user_allow_other to {conf}, or run the provider as root",
        )
