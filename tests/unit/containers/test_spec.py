"""What a client may name: images and mount points."""

from __future__ import annotations

import pytest

from shale.containers.spec import check_image, check_target
from shale.errors import InputRefused


@pytest.mark.parametrize(
    "name",
    ["busybox", "shale/base:latest", "localhost:5000/a/b-c_d:1.2", "a@sha256:" + "0" * 64, "sha256:" + "f" * 64],
)
def test_an_image_reference_passes(name: str) -> None:
    check_image(name)


@pytest.mark.parametrize(
    "name", ["", "../containers/x", "a/../b", "a//b", "/a", "a/", "a b", "a?x=1", "a#b", "a%2e", "a\n", "ä", "a" * 257]
)
def test_what_could_leave_its_place_in_a_url_is_refused(name: str) -> None:
    with pytest.raises(InputRefused):
        check_image(name)


@pytest.mark.parametrize("target", ["/data", "/mnt/data set", "/home/me/data", "/srv/ü"])
def test_a_mount_point_passes(target: str) -> None:
    check_target(target)


@pytest.mark.parametrize("target", ["", "data", "/", "//data", "/a/", "/a/./b", "/a/..", "/dev/shm", "/usr", "/a\0"])
def test_a_mount_point_that_is_not_plain_or_not_free_is_refused(target: str) -> None:
    with pytest.raises(InputRefused):
        check_target(target)
