"""Lotus desk: a small endpoint in the shape of Lotus' JSON-RPC that serves claims from a file, for a desk and tests.

The file is what StateGetClaims answers: an object of claims by id. Whatever else is asked follows from it: the sectors
that claims name live as long as their claims, a miner is whoever has one, and the head is by the clock, as on mainnet.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shale.chain.lotus import EPOCH_SECONDS, VerifiedClaim, claims_from_json
from shale.clock import Clock
from shale.errors import ConfigError
from shale.wire import read_json

GENESIS = 1_598_306_400
"""Mainnet's first epoch, in Unix seconds."""
SECTOR_SIZE = 32 << 30
MAX_FILE = 8 << 20
_MAX_BODY = 64 << 10
_CID = {"/": "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2"}


class LotusDesk:
    """The answers. The file is read at each call, so that a claim that is added to it counts at once."""

    def __init__(self, claims: Path, clock: Clock) -> None:
        self._path = claims
        self._clock = clock
        self._methods: dict[str, Callable[..., Any]] = {
            "Filecoin.ChainHead": self._head,
            "Filecoin.StateGetClaims": self._claims,
            "Filecoin.StateSectorGetInfo": self._sector,
            "Filecoin.StateMinerInfo": self._miner,
        }
        self.load()

    def app(self) -> Starlette:
        return Starlette(routes=[Route(path, self._answer, methods=["POST"]) for path in ("/", "/rpc/v1")])

    def load(self) -> dict[str, Any]:
        """The file's claims. Raises ConfigError when it holds none."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
            raw = read_json(data) if len(data) <= MAX_FILE else None
            claims_from_json(raw)
        except OSError as error:
            raise ConfigError(f"{self._path} can't be read ({error.strerror})", "give a file of claims") from None
        except ValueError as error:
            raise ConfigError(f"{self._path} is no file of claims: {error}", "write {} for none") from None
        assert isinstance(raw, dict), "as it was checked"
        return raw

    async def _answer(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                return Response(status_code=413)
        try:
            call = read_json(body)
            number, name, params = call.get("id"), call.get("method"), call.get("params", [])
        except (ValueError, AttributeError):
            return JSONResponse(_error(None, -32700, "parse error"), status_code=400)
        method = self._methods.get(str(name))
        if method is None:
            return JSONResponse(_error(number, -32601, f"method '{str(name)[:80]}' not found"))
        try:
            return JSONResponse({"jsonrpc": "2.0", "id": number, "result": method(*params)})
        except (TypeError, ValueError, KeyError):
            return JSONResponse(_error(number, -32602, "invalid params, or no such actor"))
        except ConfigError as error:
            return JSONResponse(_error(number, 1, str(error)))

    def _head(self) -> dict[str, Any]:
        height = (self._clock.now() - GENESIS) // EPOCH_SECONDS
        block = {"Miner": "f01000", "Height": height, "Timestamp": GENESIS + height * EPOCH_SECONDS}
        return {"Cids": [_CID], "Blocks": [block], "Height": height}

    def _claims(self, miner: str, tipset: None) -> dict[str, Any]:
        number = _actor(miner)
        return {key: claim for key, claim in self.load().items() if claim["Provider"] == number}

    def _sector(self, miner: str, number: int, tipset: None) -> dict[str, Any] | None:
        held = [claim for claim in self._of(miner) if claim.sector == number]
        if not held:
            return None
        start, end = min(claim.term_start for claim in held), max(claim.term_end for claim in held)
        return {
            "SectorNumber": number,
            "SealProof": 8,
            "SealedCID": _CID,
            "DeprecatedDealIDs": None,
            "Activation": start,
            "Expiration": end,
            "DealWeight": "0",
            "VerifiedDealWeight": str(sum(claim.size * claim.term_max for claim in held)),
            "InitialPledge": "0",
            "Flags": 1,
        }

    def _miner(self, miner: str, tipset: None) -> dict[str, Any]:
        if not self._of(miner):
            raise KeyError(miner)
        return {
            "Owner": miner,
            "Worker": miner,
            "ControlAddresses": [],
            "PeerId": None,
            "Multiaddrs": [],
            "SectorSize": SECTOR_SIZE,
            "Beneficiary": miner,
        }

    def _of(self, miner: str) -> list[VerifiedClaim]:
        number = _actor(miner)
        return [claim for claim in claims_from_json(self.load()) if claim.provider == number]


async def serve(desk: LotusDesk, port: int, ready: Callable[[str], None]) -> None:
    """Serve on 127.0.0.1 until cancelled; `ready` is told the URL. Raises ConfigError when the port is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"port {port} is not free ({error.strerror})", "give another --port") from None
        listener.listen()  # from here on it answers, if only a moment later
        config = uvicorn.Config(desk.app(), log_config=None, access_log=False, lifespan="off", limit_concurrency=64)
        server = _Server(config)
        ready(f"http://127.0.0.1:{listener.getsockname()[1]}/rpc/v1")
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to its caller."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _actor(miner: str) -> int:
    return int(miner.removeprefix("f0").removeprefix("t0"))


def _error(number: object, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
