"""Key files: what lies in the keys' folder, by its digests, and the temporary file that becomes one of them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from shale.errors import ConfigError, Refused
from shale.proofs.prover import CircuitSize, KeyFile

Moved = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes of it that are done, and their total where that is known."""

_CHUNK = 1 << 20
_PREFIX, _SUFFIX = ".window-", ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class State(StrEnum):
    """What a key file is, or the files of a size together."""

    GOOD = "good"
    MISSING = "missing"
    DAMAGED = "damaged"


def state_of(folder: Path, file: KeyFile, moved: Moved) -> State:
    """What lies under the file's name, read whole. Raises ConfigError when it can't be read."""
    with _touching(folder, file.name, "can't be read"):
        try:
            handle = open_regular(folder / file.name)
        except (FileNotFoundError, NotADirectoryError):
            return State.MISSING
        if handle is None:
            return State.DAMAGED
        with handle:
            total = os.fstat(handle.fileno()).st_size
            if total > file.most:
                return State.DAMAGED
            digest = _digest(handle, file.most, lambda done: moved(file.name, done, total))
            return State.GOOD if digest.hexdigest() == file.sha256 else State.DAMAGED


def state_of_size(states: Iterable[State]) -> State:
    """What a size is by the states of its files: proofs need them all."""
    found = set(states)
    return next((state for state in (State.DAMAGED, State.MISSING) if state in found), State.GOOD)


def open_regular(path: Path) -> BinaryIO | None:
    """A file to be read; None if that is none: a pipe is not waited for. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


@contextmanager
def reserved(folder: Path, sizes: Iterable[CircuitSize]) -> Iterator[None]:
    """The keys' folder, made if need be, for one fetch at a time; what earlier ones left of other keys is removed.

    The lock is the folder's own: it goes with the process, however that ends. Raises Refused when another has it.
    """
    with _touching(folder.parent, folder.name, "can't be used"):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"keys are being fetched into {folder} already", "wait for the other fetch") from None
        meant = {part_name(file) for size in sizes for file in size.files}
        with _touching(folder.parent, folder.name, "can't be used"):
            for path in folder.iterdir():
                if path.name.startswith(_PREFIX) and path.name.endswith(_SUFFIX) and path.name not in meant:
                    path.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def part_name(file: KeyFile) -> str:
    """Of the temporary file. The digest is in it: what was fetched of one key is never taken for another's."""
    return f".{file.name}.{file.sha256[:16]}{_SUFFIX}"


class Part:
    """The temporary file of one key, in the keys' folder, with the digest of what it holds; for use in `with`.

    It stays when that is left, to be resumed, unless it is empty, was kept or discarded. Raises ConfigError, one line,
    when it can't be written; where there is no room for it it is removed.
    """

    def __init__(self, folder: Path, file: KeyFile) -> None:
        self._folder, self._file = folder, file
        self._path = folder / part_name(file)
        self.size = 0
        self.joined = False
        """Whether it is of more than one transfer: those may have been of different files."""
        self._digest = hashlib.sha256()

    def __enter__(self) -> Part:
        with self._writing():
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.fdopen(os.open(self._path, flags, 0o644), "r+b", buffering=0)
        with self._writing():
            self._digest = _digest(self._handle, self._file.most, lambda done: None)
            self.size = self._handle.tell()
            self._handle.truncate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()
        if self.size == 0:
            self.discard()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        with self._writing():
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._handle.write(rest) :]
        self._digest.update(chunk)
        self.size += len(chunk)

    def clear(self) -> None:
        """Begin anew."""
        with self._writing():
            self._handle.seek(0)
            self._handle.truncate()
        self.size, self.joined, self._digest = 0, False, hashlib.sha256()

    def keep(self) -> None:
        """Put it into its place in one step that survives a crash."""
        with self._writing():
            os.fchmod(self._handle.fileno(), 0o644)
            os.fsync(self._handle.fileno())
            self._path.replace(self._folder / self._file.name)
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def discard(self) -> None:
        """Remove it."""
        with suppress(OSError):
            self._path.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with _touching(self._folder, self._file.name, "can't be written"):
                yield
        except ConfigError as error:
            if isinstance(error.__context__, OSError) and error.__context__.errno in _FULL:
                self.discard()  # what fills a disk doesn't stay on it
            raise


def _digest(handle: BinaryIO, most: int, moved: Callable[[int], None]) -> hashlib._Hash:
    """Of what follows, up to `most` bytes."""
    digest, done = hashlib.sha256(), 0
    while chunk := handle.read(min(_CHUNK, most - done)):
        digest.update(chunk)
        done += len(chunk)
        moved(done)
    return digest


@contextmanager
def _touching(folder: Path, name: str, what: str) -> Iterator[None]:
    """The disk's errors as ours."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        hint = "make room" if error.errno in _FULL else "see what is there, and whose it is"
        raise ConfigError(f"{folder / name} {what} ({why})", f"{hint}, or name another folder in SHALE_KEYS") from None
