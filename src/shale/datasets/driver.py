"""Driver: the catalogue as volumes of any container of a Docker Engine, by its volume plugin protocol.

Shapes: https://docs.docker.com/engine/extend/plugins_volume/. Every dataset that can be read is a volume: nothing is
made and nothing removed. Names: ``<root or piece CID>`` is the dataset, ``<the same>.proofs`` the blocks that prove it;
``.<tag>`` behind either makes another name of the same volume, since one name belongs to one driver of an engine.

An engine asks in the midst of serving our own requests, so nothing here waits for an engine or for a lease.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shale.datasets.events import printable
from shale.datasets.holding import Holding
from shale.datasets.volumes import DATA, PROOFS, Volumes, release_everywhere
from shale.errors import InputRefused, ShaleError
from shale.units import Cid
from shale.wire import read_json

_TYPE = "application/vnd.docker.plugins.v1.1+json"
_MAX_BODY = 64 * 1024
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
        folder = await self._volumes.hold(holding, holder_of(asked["Name"], _caller(asked)))
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
        root = (await self._catalogue.find(name["cid"])).root
        holders = (await self._volumes.holders()).get(root, ())
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


def _endpoint(call: Callable[[Answer], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            answer = {**await call(await _body(request)), "Err": ""}
        except ShaleError as error:
            return _response({"Err": printable(error, 500)}, 500)
        return _response(answer)

    return answered


def _response(answer: Answer, status: int = 200) -> Response:
    return Response(json.dumps(answer).encode(), status, media_type=_TYPE)


async def _body(request: Request) -> Answer:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _MAX_BODY:
            raise InputRefused("the request is too large", f"keep it within {_MAX_BODY} bytes")
    try:
        value = read_json(raw or b"{}")
    except ValueError:
        raise InputRefused("the request is not JSON", "speak Docker's volume plugin protocol") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputRefused("the request is not a JSON object", "speak Docker's volume plugin protocol")
    return value


def _parsed(asked: Answer) -> dict[str, str | Any]:
    name = asked.get("Name")
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InputRefused(
            f"{printable(name, 60)!r} is not the name of a dataset", "name the volume by a root or piece CID"
        )
    return match.groupdict()


def _caller(asked: Answer) -> str:
    caller = asked.get("ID")
    if not isinstance(caller, str) or not _CALLER.fullmatch(caller):
        raise InputRefused("the mount has no ID", "use a Docker Engine of version 1.12 or newer")
    return caller
