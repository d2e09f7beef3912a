"""JSON from outside: deep nesting is refused before Python's reader meets it, and everything else reads as ever."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shale.errors import ShaleError
from shale.market.offer import offer_from_contents
from shale.tunnel.messages import decode
from shale.wire import MAX_DEPTH, read_json

DEEP = [b"[" * 60_000, b'{"a":' * 12_000, b'["\\"[",' * 9_000, b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@pytest.mark.parametrize("raw", DEEP)
def test_deep_nesting_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="nested"):
        read_json(raw)


def test_the_deepest_allowed_is_read() -> None:
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_brackets_in_texts_do_not_count() -> None:
    text = "[{" * 1000 + '\\"' + "[" * 1000
    assert read_json(json.dumps([text]).encode()) == [text]


@given(VALUES, st.booleans())
def test_what_python_reads_is_read_the_same(value: object, plain: bool) -> None:
    raw = json.dumps(value, ensure_ascii=plain, indent=1).encode(errors="replace")
    assert read_json(raw) == json.loads(raw)


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"]" * 1000, b'"open', b'{"a": 1', b"[1,]"])
def test_what_is_no_json_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the library's own words
        read_json(raw)


@pytest.mark.parametrize("junk", [b'\\"', b'"\\', b'"a', b"\\"])
def test_hostile_texts_cost_a_time_that_grows_with_their_length_only(junk: bytes) -> None:
    raw = b'"' + junk * 200_000
    began = time.process_time()
    with pytest.raises(ValueError):  # noqa: PT011 - the library's own words
        read_json(raw + b"[")
    assert time.process_time() - began < 5


def test_deep_nesting_in_a_message_or_an_offer_is_refused_in_one_line() -> None:
    for raw in (b"[" * 16_000, b"[" * 60_000):
        with pytest.raises(ShaleError):
            decode(raw)
        with pytest.raises(ShaleError):
            offer_from_contents(raw)


def test_a_library_that_raises_the_recursion_limit_opens_no_way_to_a_crash() -> None:
    script = (
        "import sys\nsys.setrecursionlimit(10**6)\n"
        "from shale.wire import read_json\n"
        "try:\n    read_json(b'[' * 10**6)\nexcept ValueError:\n    print('refused')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "refused")
