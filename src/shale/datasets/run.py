"""One run of the kernel's program: its answer, its one-line failure, its progress; nothing of it stays behind."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from shale.datasets.progress import report_reads
from shale.errors import Refused, Unavailable
from shale.paths import binary
from shale.process import put_down

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and their expected total."""

Source = Path | str
"""A path, or the text of a source: a URL, `sector:PATH?offset=N&size=N`, `park:PATH`, `aggregate:SOURCE#N`."""

Waiting = Callable[[str, int], None]
"""Called with the name of a server and the seconds for which nothing has come from it, about once a second."""

_waiting: ContextVar[Waiting | None] = ContextVar("waiting", default=None)

_TELLING = frozenset(
    ("inspect", "verify", "ls", "outline", "cat", "commp", "index", "materialise", "pad", "unpad", "audit")
)
"""The kernel's commands that read: with --progress they tell how far they are, and what they wait for."""

_MAX_OUTPUT = 16 << 20
"""Of an answer in one piece: its author is whoever made the dataset."""
_MAX_LINE = 1 << 16
_GRACE = 5.0
_SCHEME = re.compile(r"(https?|sector|park|aggregate):")


@contextmanager
def telling_of_waits(waiting: Waiting) -> Iterator[None]:
    """Within it, whatever this task runs tells of the servers that it waits for."""
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)


def is_source(text: str) -> bool:
    """Whether a text is a source by its form, and not a path."""
    return _SCHEME.match(text) is not None


def source_text(source: Source) -> str:
    """A source as the kernel takes it: a path made absolute, so that no option parser takes it for an option."""
    if isinstance(source, str) and is_source(source):
        return source
    return str(Path(source).absolute())


async def answer(arguments: Sequence[str], progress: Progress | None = None, total: int = 0) -> Any:
    """The JSON that a run answers. Without a `total` the kernel itself tells how far it is."""
    output = await run(arguments, progress=progress, total=total)
    return _parsed(output, arguments[0])


async def lines(arguments: Sequence[str], read: Callable[[Any], T], take: Callable[[list[T]], None]) -> None:
    """Hand what `read` makes of each line of JSON that a run writes to `take`, some at a time, however many there are.

    They are read in a thread, a line at a time, so that whoever else is served by this loop waits for none of it.
    """

    def parsed(some: list[bytes]) -> list[T]:
        return [read(_parsed(line, arguments[0])) for line in some]

    async def consume(stream: asyncio.StreamReader) -> bytes:
        pending = b""
        while chunk := await stream.read(1 << 16):
            *some, pending = (pending + chunk).split(b"\n")
            if len(pending) > _MAX_LINE:
                raise Unavailable(f"the kernel's answer to {arguments[0]} is malformed", "run make install again")
            if some:
                take(await asyncio.to_thread(parsed, some))
        return b""

    try:
        await _run(arguments, consume, fine=(0,))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def events(arguments: Sequence[str], report: Callable[[Mapping[str, Any]], None]) -> None:
    """Report each line of JSON that a long run writes, until it ends. Cancelling ends it as its caller would.

    Its standard input is a pipe that ends with this process, however that ends.
    """

    async def each(stream: asyncio.StreamReader) -> bytes:
        while True:
            try:
                if not (line := await stream.readline()):
                    return b""
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue  # a path so long that the line was cut: the mount goes on
            if isinstance(value, dict):
                report(value)

    await _run(arguments, each, stdin=asyncio.subprocess.PIPE, fine=(0, -signal.SIGTERM))


async def run(
    arguments: Sequence[str],
    *,
    out: int = asyncio.subprocess.PIPE,
    progress: Progress | None = None,
    total: int = 0,
    fine: Sequence[int] = (0,),
) -> bytes:
    """Run to the end; what it wrote. Raises Refused with its reason when its status isn't `fine`."""
    output = await _run(arguments, _whole, out=out, progress=progress, total=total, fine=fine)
    if output is None:
        raise Refused(f"the answer to {arguments[0]} is over {_MAX_OUTPUT >> 20} MiB", "the dataset has too many files")
    return output


async def _run(
    arguments: Sequence[str],
    consume: Callable[[asyncio.StreamReader], Awaitable[bytes | None]],
    *,
    stdin: int = asyncio.subprocess.DEVNULL,
    out: int = asyncio.subprocess.PIPE,
    progress: Progress | None = None,
    total: int = 0,
    fine: Sequence[int],
) -> bytes | None:
    waiting = _waiting.get()
    told = arguments[0] in _TELLING and (waiting is not None or (progress is not None and not total))
    process = await asyncio.create_subprocess_exec(
        binary("shale-kernel"),
        arguments[0],
        *(["--progress"] if told else []),
        *arguments[1:],
        stdin=stdin,
        stdout=out,
        stderr=asyncio.subprocess.PIPE,
    )
    output: bytes | None = b""
    try:
        async with asyncio.TaskGroup() as group:
            errors = group.create_task(_last_line(process.stderr, progress, waiting))
            reporter = group.create_task(report_reads(process.pid, total, progress))
            if process.stdout is not None:
                output = await consume(process.stdout)
            await process.wait()
            reporter.cancel()
    finally:
        if process.returncode is None:
            # It clears up its half-written file first, but not for long.
            await asyncio.shield(put_down(process, _GRACE))
    if process.returncode not in fine:
        raise Refused(_reason(arguments[0], errors.result(), process.returncode or 0))
    return output


async def _whole(stream: asyncio.StreamReader) -> bytes | None:
    """All of the stream, read to its end; None if that is more than is allowed."""
    kept = bytearray()
    whole = True
    while chunk := await stream.read(1 << 16):
        whole = whole and len(kept) + len(chunk) <= _MAX_OUTPUT
        if whole:
            kept += chunk
    return bytes(kept) if whole else None


async def _last_line(
    stream: asyncio.StreamReader | None, progress: Progress | None, waiting: Waiting | None = None
) -> bytes:
    """The last line that isn't empty, cut if it is absurdly long.

    Lines ``progress DONE TOTAL`` go to `progress`, ``waiting HOST SECONDS`` to `waiting`.
    """
    last, pending = b"", b""
    while stream is not None and (chunk := await stream.read(1 << 12)):
        *lines, pending = (pending + chunk)[-_MAX_LINE:].split(b"\n")
        for line in lines:
            words = line.split()
            if len(words) == 3 and words[0] == b"progress" and words[1].isdigit() and words[2].isdigit():
                if progress is not None:
                    progress(int(words[1]), int(words[2]))
            elif words and words[0] == b"waiting":
                if waiting is not None and len(words) == 3 and words[2].isdigit():
                    waiting(words[1].decode(errors="replace"), int(words[2]))
            elif words:
                last = line
    return pending if pending.strip() else last


def _parsed(output: bytes, command: str) -> Any:
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        raise Unavailable(f"the kernel's answer to {command} is not JSON", "run make install again") from None


def _reason(command: str, error: bytes, status: int) -> str:
    text = error.decode(errors="replace").strip()
    if not text:
        return f"shale-kernel {command} ended with status {status}"
    line = "".join(char if char.isprintable() else "?" for char in text)
    return line.removeprefix(f"shale-kernel {command}: ")[:500]
