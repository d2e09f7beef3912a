"""A process's name: living as long as it lives, and no other's that has its number later."""

import subprocess
import sys

from shale.process import is_living, own_name, started


def test_a_process_is_living_until_it_ends_and_another_of_its_number_is_not_it() -> None:
    assert is_living(own_name())
    pid, _, began = own_name().partition(":")
    assert not is_living(f"{pid}:{int(began) + 1}")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        name = f"{other.pid}:{started(other.pid)}"
        assert is_living(name)
        other.communicate(b"\n")
    assert not is_living(name)


def test_what_is_no_name_is_nobody() -> None:
    assert not any(is_living(name) for name in ("", ":", "x:1", "0:0", "-1:5", "1", "999999999999:0"))
