"""What the machine tells of mounts and processes."""

from __future__ import annotations

import os

from shale.datasets.mountinfo import dataset_mounts
from shale.datasets.processes import Process
from shale.datasets.progress import bytes_read

MOUNTINFO = b"""\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
60 27 0:55 / /srv/a\\040b/data ro,nosuid,nodev - fuse.shale shale:bafyroot ro,user_id=0
61 27 0:56 / /srv/c/data ro shared:3 master:1 - fuse.shale shale:bafyother ro
62 27 0:57 / /srv/other rw - fuse.sshfs host: rw
garbage
"""


def test_only_datasets_are_found_by_their_unescaped_path() -> None:
    assert dataset_mounts(MOUNTINFO) == {"/srv/a b/data", "/srv/c/data"}


def test_a_process_is_known_again_and_never_confused() -> None:
    me = Process.of(os.getpid())
    assert me is not None
    assert me.lives
    assert not Process(me.pid, "another boot:1").lives
    assert Process.of(2**22 + 1) is None


def test_progress_counts_what_was_read() -> None:
    assert bytes_read("rchar: 1234\nwchar: 9\n") == 1234
    assert bytes_read("") == 0
