"""KernelPipe: calls find their answers, a dead or stuck kernel fails them and is replaced."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shale.errors import Closed, ConfigError, InputRefused, Refused, Unavailable
from shale.proofs.pipe import MAX_LINE, KernelPipe

KERNEL = """
import json, os, sys
held = []
for line in sys.stdin:
    request = json.loads(line)
    method, params = request["method"], request["params"]
    answer = {"id": request["id"]}
    if method == "pid":
        answer["result"] = {"pid": os.getpid()}
    elif method == "hold":
        held.append(answer | {"result": params})
        continue
    elif method == "release":
        for late in reversed(held):
            print(json.dumps(late), flush=True)
        answer["result"] = {}
    elif method == "refuse":
        answer["error"] = {"code": params["code"], "message": "operation 0: no"}
    elif method == "die":
        print("panic: out of luck", file=sys.stderr, flush=True)
        os._exit(3)
    elif method == "garbage":
        print("this is no JSON", flush=True)
        continue
    elif method == "flood":
        print("x" * params["bytes"], flush=True)
        continue
    elif method == "strange":
        print(json.dumps({"id": 999_999, "result": {}}), flush=True)
        answer["result"] = {"arguments": sys.argv[1:]}
    elif method == "empty":
        pass
    elif method == "work":
        for done in (0, 400, 1000):
            print(json.dumps({"id": request["id"], "progress": {"stage": "proof", "done": done}}), flush=True)
        answer["result"] = {}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
async def pipe(tmp_path: Path) -> AsyncIterator[KernelPipe]:
    program = tmp_path / "kernel.py"
    program.write_text(KERNEL)
    pipe = KernelPipe([sys.executable, "-S", "-E", str(program)])
    yield pipe
    await pipe.close()


async def pid(pipe: KernelPipe) -> int:
    return int((await pipe.call("pid", {}, 30))["pid"])


async def test_one_process_serves_every_call(pipe: KernelPipe) -> None:
    assert await pid(pipe) == await pid(pipe)
    assert "running" in repr(pipe)


async def test_answers_out_of_order_find_their_calls(pipe: KernelPipe) -> None:
    first = asyncio.create_task(pipe.call("hold", {"which": 1}, 30))
    second = asyncio.create_task(pipe.call("hold", {"which": 2}, 30))
    await pid(pipe)
    await pipe.call("release", {}, 30)
    assert await first == {"which": 1}
    assert await second == {"which": 2}


async def test_an_answer_that_nobody_waits_for_is_dropped(pipe: KernelPipe) -> None:
    assert await pipe.call("strange", {}, 30) == {"arguments": []}


@pytest.mark.parametrize(("code", "kind"), [("refused", Refused), ("config", ConfigError), ("bug", Unavailable)])
async def test_the_kernels_no_is_our_error(pipe: KernelPipe, code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="operation 0: no"):
        await pipe.call("refuse", {"code": code}, 30)


async def test_death_fails_the_calls_under_way_and_the_next_has_a_new_kernel(pipe: KernelPipe) -> None:
    before = await pid(pipe)
    waiting = asyncio.create_task(pipe.call("hold", {}, 30))
    await pid(pipe)
    with pytest.raises(Unavailable, match="out of luck"):
        await pipe.call("die", {}, 30)
    with pytest.raises(Unavailable):
        await waiting
    assert await pid(pipe) != before


@pytest.mark.parametrize("method", ["garbage", "flood"])
async def test_what_is_not_the_protocol_ends_that_kernel(pipe: KernelPipe, method: str) -> None:
    with pytest.raises(Unavailable, match="not the protocol"):
        await pipe.call(method, {"bytes": MAX_LINE + 1}, 60)
    assert await pid(pipe) > 0


async def test_a_stuck_kernel_is_replaced(pipe: KernelPipe) -> None:
    before = await pid(pipe)
    with pytest.raises(Unavailable, match="took over"):
        await pipe.call("hold", {}, 0.01)
    assert await pid(pipe) != before


async def test_an_answer_without_a_result_is_unavailable(pipe: KernelPipe) -> None:
    with pytest.raises(Unavailable, match="without a result"):
        await pipe.call("empty", {}, 30)


async def test_a_call_over_the_line_limit_is_refused_unsent(pipe: KernelPipe) -> None:
    with pytest.raises(InputRefused, match="over the prover's limit"):
        await pipe.call("pid", {"blob": "x" * MAX_LINE}, 30)
    assert "idle" in repr(pipe)


async def test_closing_twice_is_fine_and_calls_after_it_are_closed(pipe: KernelPipe) -> None:
    await pid(pipe)
    await pipe.close()
    await pipe.close()
    with pytest.raises(Closed):
        await pid(pipe)


async def test_a_kernel_that_cannot_run_says_what_to_do(tmp_path: Path) -> None:
    pipe = KernelPipe([str(tmp_path / "nothing")])
    with pytest.raises(ConfigError, match="make install"):
        await pid(pipe)
    await pipe.close()


async def test_how_far_a_long_call_is_comes_to_the_one_who_asked_for_it(pipe: KernelPipe) -> None:
    mine: list[tuple[str, int]] = []
    yours: list[tuple[str, int]] = []
    await asyncio.gather(
        pipe.call("work", {}, 30, lambda stage, done: mine.append((stage, done))),
        pipe.call("pid", {}, 30, lambda stage, done: yours.append((stage, done))),
        pipe.call("work", {}, 30),
    )
    assert mine == [("proof", 0), ("proof", 400), ("proof", 1000)]
    assert yours == []
