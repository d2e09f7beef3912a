"""Where Shale keeps its files: one home folder, the parts of it, and the binaries that the package ships."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from shale.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of everything that this user's Shale keeps; `SHALE_HOME` names another one."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        chosen = os.environ.get("SHALE_HOME")
        if chosen:
            return cls(Path(chosen).absolute())
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(Path(data) / "shale")

    @property
    def networks(self) -> Path:
        """A JSON file for each network: its RPC URL and the contracts' addresses."""
        return self.root / "networks"

    @property
    def devnet(self) -> Path:
        """The desk's own chain: its state, log and pid."""
        return self.root / "devnet"

    @property
    def client(self) -> Path:
        return self.root / "client"

    @property
    def provider(self) -> Path:
        return self.root / "provider"


def private_dir(path: Path) -> Path:
    """The folder, made if need be, that only its owner can enter."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file in one step that survives a crash; never readable by others, not even for a moment."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            # A tight umask must not close what others have to read.
            os.fchmod(descriptor, mode)
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keys_dir() -> Path:
    """Where the circuit's keys are cached; `SHALE_KEYS` names another folder."""
    chosen = os.environ.get("SHALE_KEYS")
    if chosen:
        return Path(chosen)
    return cache_dir() / "keys"


def cache_dir() -> Path:
    """Where what can be made again is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")) / "shale"


def binary(name: str) -> Path:
    """A program that the package ships, such as ``shale-kernel``."""
    path = Path(str(files("shale"))) / "bin" / name
    if not path.is_file():
        raise ConfigError(f"{name} is not built", "run make install")
    return path
