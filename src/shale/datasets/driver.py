"""Driver: the catalogue as volumes of any container of a Docker Engine, by its volume plugin protocol.

Shapes: https://docs.docker.com/engine/extend/plugins_volume/. Every dataset that can be read is a volume: nothing is
made and nothing removed. Names: ``<root or piece CID>`` is the dataset, ``<the same>.proofs`` the blocks that prove it;
``.<tag>`` behind either makes another name of the same volume, since one name belongs to one driver of an engine.

An engine asks in the midst of serving our own requests, so nothing here waits for an engine or for a lease.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shale.datasets.events import printable
from shale.datasets.holding import Holding
from shale.datasets.reach import servers_of
from shale.datasets.volumes import DATA, PROOFS, Volumes, release_everywhere
from shale.errors import InputRefused, ShaleError, Unavailable
from shale.units import Cid
from shale.wire import read_object

MOUNT_SECONDS = 80.0
"""An engine waits 120 s for an answer; what was begun is undone within that time too."""
_TYPE = "application/vnd.docker.plugins.v1.1+json"
_MAX_BODY = 64 * 1024
_HINT = "speak Docker's volume plugin protocol"
_NAME = re.compile(r"(?P<cid>[A-Za-z0-9]{1,128})(?P<proofs>\.proofs)?(?:\.(?P<tag>[a-z0-9][a-z0-9-]{0,63}))?")
_CALLER = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_HOLDER = "docker:"

Answer = dict[str, Any]


class Catalogue(Protocol):
    """What the driver needs of the provider's shelf."""

    async def find(self, cid: str) -> Holding:
        """The readable dataset with this root or piece CID. Raises InputRefused when it isn't here."""
        ...

    async def roots(self) -> Sequence[Cid]:
        """Those of the readable datasets."""
        ...


class VolumeDriver:
    """The protocol's calls over a catalogue and its volumes. A holder is one mount of one container."""

    def __init__(self, catalogue: Catalogue, volumes: Volumes) -> None:
        self._catalogue = catalogue
        self._volumes = volumes

    def app(self) -> Starlette:
        calls: dict[str, Callable[[Answer], Awaitable[Answer]]] = {
            "Plugin.Activate": self._activate,
            "VolumeDriver.Capabilities": self._capabilities,
            "VolumeDriver.Create": self._create,
            "VolumeDriver.Remove": self._remove,
            "VolumeDriver.Mount": self._mount,
            "VolumeDriver.Unmount": self._unmount,
            "VolumeDriver.Path": self._path,
            "VolumeDriver.Get": self._get,
            "VolumeDriver.List": self._list,
        }
        routes = [Route(f"/{name}", _endpoint(call), methods=["POST"]) for name, call in calls.items()]
        return Starlette(routes=routes)

    async def _activate(self, asked: Answer) -> Answer:
        return {"Implements": ["VolumeDriver"]}

    async def _capabilities(self, asked: Answer) -> Answer:
        return {"Capabilities": {"Scope": "local"}}

    async def _create(self, asked: Answer) -> Answer:
        """Nothing is made: the engine learns whether it is here before it makes a container."""
        options = asked.get("Opts")
        if options:
            named = printable(", ".join(options) if isinstance(options, dict) else options, 80)
            raise InputRefused(f"a dataset takes no options ({named})", "leave volume-opt out")
        await self._catalogue.find(_parsed(asked)["cid"])
        return {}

    async def _remove(self, asked: Answer) -> Answer:
        return {}

    async def _mount(self, asked: Answer) -> Answer:
        name = _parsed(asked)
        holding = await self._catalogue.find(name["cid"])
        holder = holder_of(asked["Name"], _caller(asked))
        try:
            async with asyncio.timeout(MOUNT_SECONDS):
                folder = await self._volumes.hold(holding, holder)
        except TimeoutError:
            servers = servers_of(holding.sources)
            raise Unavailable(
                f"the dataset {holding.root} was not mounted within {MOUNT_SECONDS:g} s",
                f"check {servers or 'the disk where it lies'}, and try again",
            ) from None
        return {"Mountpoint": str(folder / (PROOFS if name["proofs"] else DATA))}

    async def _unmount(self, asked: Answer) -> Answer:
        _parsed(asked)
        await release_everywhere(self._volumes, holder_of(asked["Name"], _caller(asked)))
        return {}

    async def _path(self, asked: Answer) -> Answer:
        return {"Mountpoint": (await self._volume(asked)).get("Mountpoint", "")}

    async def _get(self, asked: Answer) -> Answer:
        return {"Volume": await self._volume(asked)}

    async def _volume(self, asked: Answer) -> Answer:
        name = _parsed(asked)
        held = await self._volumes.holders()
        # What is mounted is a volume, whatever the catalogue says of it by now: an engine that is told that there is
        # none never unmounts it.
        root = _held(held, asked["Name"], name["cid"])
        if root is None:
            root = (await self._catalogue.find(name["cid"])).root
        holders = held.get(root, ())
        volume: Answer = {"Name": asked["Name"], "Status": {"root": root, "holders": len(holders)}}
        if holders:
            volume["Mountpoint"] = str(self._volumes.place(root) / (PROOFS if name["proofs"] else DATA))
        return volume

    async def _list(self, asked: Answer) -> Answer:
        held = await self._volumes.holders()
        volumes: list[Answer] = []
        for root in await self._catalogue.roots():
            mounted = {"Mountpoint": str(self._volumes.place(root) / DATA)} if root in held else {}
            volumes.append({"Name": root, **mounted})
        return {"Volumes": volumes}


def holder_of(volume: str, caller: str) -> str:
    """The holder that a mount of this volume is; `caller` is what the engine calls the mount."""
    return f"{_HOLDER}{volume}:{caller}"


def volume_of(holder: str) -> str | None:
    """The name of the volume that a holder is a mount of; None if no engine holds it."""
    return holder.removeprefix(_HOLDER).rpartition(":")[0] if holder.startswith(_HOLDER) else None


def _held(held: Mapping[Cid, frozenset[str]], volume: str, cid: str) -> Cid | None:
    """The root of the mounted dataset that a volume of this name is of; None if none is."""
    for root, holders in held.items():
        if root == cid or volume in map(volume_of, holders):
            return root
    return None


def _endpoint(call: Callable[[Answer], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            answer = {**await call(await read_object(request.stream(), _MAX_BODY, _HINT)), "Err": ""}
        except ShaleError as error:
            return _response({"Err": printable(error, 500)}, 500)
        return _response(answer)

    return answered


def _response(answer: Answer, status: int = 200) -> Response:
    return Response(json.dumps(answer).encode(), status, media_type=_TYPE)


def _parsed(asked: Answer) -> dict[str, str | Any]:
    name = asked.get("Name")
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InputRefused(
            f"{printable(name, 300)!r} is not the name of a dataset", "name the volume by a root or piece CID"
        )
    return match.groupdict()


def _caller(asked: Answer) -> str:
    caller = asked.get("ID")
    if not isinstance(caller, str) or not _CALLER.fullmatch(caller):
        raise InputRefused("the mount has no ID", "use a Docker Engine of version 1.12 or newer")
    return caller
