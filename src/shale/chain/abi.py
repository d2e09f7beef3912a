"""Abi: the contracts' interfaces and bytecode as the build left them (artifacts/<name>.json)."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from shale.chain.codec import Kind, decode, encode, kind_of, selector
from shale.errors import ConfigError
from shale.hashes import keccak
from shale.units import Address

VERIFIERS = ("Verifier1", "Verifier8", "Verifier64", "Verifier256")
"""One for each size of a batch, in the order in which the Market takes them."""
CONTRACTS = ("Registry", "Market", "Ledger", *VERIFIERS)


@dataclass(frozen=True)
class Entry:
    """A function, an event or an error of an interface."""

    name: str
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...] = ()

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(kind_of(_type(field)) for field in self.inputs)

    @cached_property
    def signature(self) -> str:
        return f"{self.name}({','.join(_type(field) for field in self.inputs)})"

    @cached_property
    def selector(self) -> bytes:
        return selector(self.signature)

    @cached_property
    def topic(self) -> str:
        """What the first topic of an event's log is."""
        return "0x" + keccak(self.signature.encode()).hex()

    def call(self, arguments: Sequence[Any]) -> str:
        """The data of a call, 0x-hex."""
        return "0x" + (self.selector + encode(self.kinds, arguments)).hex()

    def answer(self, data: bytes) -> Any:
        """What a function answered: a value, or several as a named tuple; structs are named tuples too.

        Raises ValueError for bytes that aren't its answer.
        """
        kinds = [kind_of(_type(field)) for field in self.outputs]
        values = [_named(field, value) for field, value in zip(self.outputs, decode(kinds, data), strict=True)]
        if len(values) == 1:
            return values[0]
        return _tuple(tuple(field["name"] for field in self.outputs))(*values)

    def read_log(self, topics: Sequence[str], data: str) -> dict[str, Any]:
        """An event's values by name. Raises ValueError for a log that is not of this event."""
        if not topics or topics[0] != self.topic:
            raise ValueError("another event")
        indexed = [field for field in self.inputs if field["indexed"]]
        if len(topics) != len(indexed) + 1:
            raise ValueError("a wrong number of topics")
        found = {}
        for field_, topic in zip(indexed, topics[1:], strict=True):
            (found[field_["name"]],) = decode([kind_of(_type(field_))], bytes.fromhex(topic.removeprefix("0x")))
        plain = [field for field in self.inputs if not field["indexed"]]
        values = decode([kind_of(_type(field)) for field in plain], bytes.fromhex(data.removeprefix("0x")))
        found.update(zip((field["name"] for field in plain), values, strict=True))
        return found


@dataclass(frozen=True)
class Artifact:
    """A contract's interface, the code that deploys it, and of a verifier the code that then stands there."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: str = field(repr=False)
    runtime: str = field(default="", repr=False)

    @cached_property
    def functions(self) -> Mapping[str, Entry]:
        return self._entries("function")

    @cached_property
    def events(self) -> Mapping[str, Entry]:
        return self._entries("event")

    @cached_property
    def errors(self) -> Mapping[str, Entry]:
        return self._entries("error")

    def creation(self, arguments: Sequence[Any]) -> str:
        """The data of the transaction that deploys it, 0x-hex."""
        found: list[dict[str, Any]] = next((raw["inputs"] for raw in self.abi if raw["type"] == "constructor"), [])
        return self.bytecode + encode([kind_of(_type(field)) for field in found], arguments).hex()

    def _entries(self, kind: str) -> Mapping[str, Entry]:
        return {
            raw["name"]: Entry(raw["name"], tuple(raw["inputs"]), tuple(raw.get("outputs", ())))
            for raw in self.abi
            if raw["type"] == kind
        }


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract at its address."""

    address: Address
    artifact: Artifact

    def function(self, name: str) -> Entry:
        return self.artifact.functions[name]


@cache
def artifact(name: str) -> Artifact:
    """The contract's artifact. Raises ConfigError when the contracts aren't built."""
    try:
        raw = json.loads((files("shale.chain") / "artifacts" / f"{name}.json").read_bytes())
        return Artifact(name, tuple(raw["abi"]), raw["bytecode"], raw.get("runtime", ""))
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"the contract {name} is not built", "run make install") from None


def _type(field: Mapping[str, Any]) -> str:
    """The canonical type of a field: a struct's is the tuple of its parts'."""
    kind = str(field["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_type(part) for part in field["components"]) + ")" + kind.removeprefix("tuple")


def _named(field: Mapping[str, Any], value: Any) -> Any:
    kind = str(field["type"])
    if not kind.startswith("tuple"):
        return value
    if kind.endswith("]"):
        return [_named({**field, "type": kind[: kind.rindex("[")]}, item) for item in value]
    parts = [_named(part, item) for part, item in zip(field["components"], value, strict=True)]
    return _tuple(tuple(part["name"] for part in field["components"]))(*parts)


@cache
def _tuple(names: tuple[str, ...]) -> Any:
    return namedtuple("Values", names, rename=True)
