"""Door: how the commands ask the running daemon, through its private socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from shale.errors import ConfigError, InputRefused, Unavailable, from_wire
from shale.paths import Home

as_json = click.option("--json", "json_output", is_flag=True, help="Print JSON for programs.")


def ask(method: str, path: str, body: dict[str, Any] | None = None, timeout: float = 60) -> Any:
    """The daemon's answer. Raises what it answers as an error, and ConfigError when it doesn't run."""
    import httpx

    _check_text(path, body)
    try:
        with _client(timeout) as client:
            answer = client.request(method, f"http://provider{path}", json=body or {})
            raw = answer.json()
    except (httpx.HTTPError, ValueError):
        raise _absent() from None
    if answer.status_code >= 400:
        raise _reported(raw)
    return raw


def follow(path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The daemon's reports of long work, one by one. To stop reading them cancels the work.

    Raises what the work ends with, if that is an error.
    """
    import httpx

    _check_text(path, body)
    try:
        with (
            _client(None) as client,
            client.stream("POST", f"http://provider{path}", json=body) as answer,
        ):
            if answer.status_code >= 400:
                answer.read()
                raise _reported(answer.json())
            for line in answer.iter_lines():
                raw = json.loads(line)
                if "error" in raw:
                    raise _reported(raw)
                if "end" in raw:
                    return
                yield raw
    except httpx.ConnectError:
        raise _absent() from None
    except (httpx.HTTPError, ValueError):
        pass
    raise Unavailable("the daemon has gone in the middle of it", "see its log, and try again")


def _check_text(path: str, body: dict[str, Any] | None) -> None:
    """Raises InputRefused for arguments that are no text: the daemon takes UTF-8 alone."""
    try:
        f"{path}{json.dumps(body, ensure_ascii=False)}".encode()
    except UnicodeEncodeError:
        raise InputRefused("an argument is not UTF-8", "give a path of UTF-8, that of a symlink perhaps") from None


def _client(timeout: float | None) -> Any:
    import httpx

    socket = Home.default().provider / "admin.sock"
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=timeout)


def _absent() -> ConfigError:
    return ConfigError("the provider doesn't run", "start it with shale provider up")


def _reported(raw: dict[str, Any]) -> Exception:
    error = raw["error"]
    return from_wire(error["code"], error["message"], error["hint"])
