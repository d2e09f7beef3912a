"""Offer: what a provider signs and publishes: resources, prices, datasets, how to reach its gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shale.errors import InputRefused
from shale.market.resources import Resources
from shale.units import Address, AttoFil, Cid, Price, checked_address
from shale.wire import read_json

MAX_OFFER_BYTES = 1 << 20
MAX_DATASETS = 256
MAX_ENTRIES = 64
MAX_PIECES = 1024
MAX_DESCRIPTION = 1000
MAX_LICENCE = 128


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices of single resources for each second; an order pays at least their sum."""

    per_cpu: AttoFil
    per_gib: AttoFil
    per_gpu: AttoFil

    def quote(self, wanted: Resources) -> Price:
        """The price of a lease with these resources, each part rounded up to a whole attoFIL."""
        cpu = -(-self.per_cpu.value * wanted.cpu_millis // 1000)
        memory = -(-self.per_gib.value * wanted.memory_bytes // 2**30)
        return Price(AttoFil(cpu + memory + self.per_gpu.value * wanted.gpus))


@dataclass(frozen=True, slots=True)
class Entry:
    """A top part of a dataset's file tree: a file, or a folder with the sums of what is below it."""

    path: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A verified claim of Filecoin's chain: its id, the sector that holds the piece, the epoch at which it expires."""

    id: int
    sector: int
    term_end: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a dataset: its CID (version 1), its padded size, and the provider's claim on chain if there is one."""

    cid: Cid
    padded_size: int
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset that the provider holds and can mount; `piece` is the one of `pieces` that holds the root.

    `description`, `licence` and `signer` come from a signed manifest, and are empty without one. `checked_at`: when
    the provider last computed the commitments of all pieces.
    """

    name: str
    root: Cid
    piece: Cid
    size: int
    files: int
    entries: tuple[Entry, ...]
    description: str = ""
    licence: str = ""
    signer: str = ""
    pieces: tuple[Piece, ...] = ()
    checked_at: int = 0

    def is_named(self, cid: str) -> bool:
        """Whether this is the CID of its root or of one of its pieces."""
        return cid in (self.root, self.piece) or any(cid == piece.cid for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as its driver names it."""

    model: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a provider leases. `host_key` is the gateway's SSH host key line; `endpoint` its HTTP URL."""

    provider: Address
    miner: str
    name: str
    endpoint: str
    gateway_host: str
    gateway_port: int
    gateway_user: str
    host_key: str
    total: Resources
    free: Resources
    cpu_model: str
    gpus: tuple[Gpu, ...]
    tariff: Tariff
    tick_seconds: int
    max_seconds: int
    images: tuple[str, ...]
    datasets: tuple[Dataset, ...]

    def dataset(self, root: str) -> Dataset | None:
        """The dataset with this root CID, or one that a piece with this CID belongs to."""
        named = [entry for entry in self.datasets if entry.is_named(root)]
        return min(named, key=lambda entry: entry.root != root, default=None)


@dataclass(frozen=True, slots=True)
class SignedOffer:
    """An offer with the provider's signature over the hash of its canonical contents."""

    offer: Offer
    contents: bytes
    issued_at: int
    expires_at: int
    signature: str


def canonical(raw: dict[str, Any]) -> bytes:
    """The one JSON text that is hashed: sorted keys, no spaces, UTF-8, no floats."""
    return json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def offer_to_json(offer: Offer) -> dict[str, Any]:
    return {
        "provider": offer.provider,
        "miner": offer.miner,
        "name": offer.name,
        "endpoint": offer.endpoint,
        "gateway": {"host": offer.gateway_host, "port": offer.gateway_port, "user": offer.gateway_user},
        "host_key": offer.host_key,
        "total": offer.total.to_json(),
        "free": offer.free.to_json(),
        "cpu_model": offer.cpu_model,
        "gpus": [{"model": gpu.model, "memory_bytes": gpu.memory_bytes} for gpu in offer.gpus],
        "tariff": {
            "per_cpu": str(offer.tariff.per_cpu.value),
            "per_gib": str(offer.tariff.per_gib.value),
            "per_gpu": str(offer.tariff.per_gpu.value),
        },
        "tick_seconds": offer.tick_seconds,
        "max_seconds": offer.max_seconds,
        "images": list(offer.images),
        "datasets": [dataset_to_json(dataset) for dataset in offer.datasets],
    }


def dataset_to_json(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "root": dataset.root,
        "piece": dataset.piece,
        "size": dataset.size,
        "files": dataset.files,
        "entries": [{"path": e.path, "files": e.files, "size": e.size} for e in dataset.entries],
        "description": dataset.description,
        "licence": dataset.licence,
        "signer": dataset.signer,
        "pieces": [_piece_to_json(piece) for piece in dataset.pieces],
        "checked_at": dataset.checked_at,
    }


def _piece_to_json(piece: Piece) -> dict[str, Any]:
    claim = piece.claim
    return {
        "piece": piece.cid,
        "padded_size": piece.padded_size,
        "claim": None if claim is None else {"id": claim.id, "sector": claim.sector, "term_end": claim.term_end},
    }


def offer_from_contents(contents: bytes) -> Offer:
    """Read a provider's offer. Hostile input: every field is bounded and typed. Raises InputRefused."""
    if len(contents) > MAX_OFFER_BYTES:
        raise InputRefused("the offer is too large", "the provider must list fewer datasets")
    try:
        return _read_offer(read_json(contents))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputRefused(f"the offer is malformed ({type(error).__name__})", "skip this provider") from None


def _read_offer(raw: dict[str, Any]) -> Offer:
    datasets = tuple(_read_dataset(entry) for entry in _bounded(raw["datasets"], MAX_DATASETS))
    return Offer(
        provider=checked_address(_text(raw["provider"])),
        miner=_text(raw["miner"], 32),
        name=_text(raw["name"], 64),
        endpoint=_text(raw["endpoint"], 256),
        gateway_host=_hostname(raw["gateway"]["host"]),
        gateway_port=_number(raw["gateway"]["port"], 65535),
        gateway_user=_word(raw["gateway"]["user"]),
        host_key=key_line(raw["host_key"]),
        total=Resources.from_json(raw["total"]),
        free=Resources.from_json(raw["free"]),
        cpu_model=_text(raw["cpu_model"], 128),
        gpus=tuple(
            Gpu(_text(gpu["model"], 128), _number(gpu["memory_bytes"], 2**63)) for gpu in _bounded(raw["gpus"], 64)
        ),
        tariff=Tariff(
            AttoFil(int(_text(raw["tariff"]["per_cpu"], 30))),
            AttoFil(int(_text(raw["tariff"]["per_gib"], 30))),
            AttoFil(int(_text(raw["tariff"]["per_gpu"], 30))),
        ),
        tick_seconds=max(1, _number(raw["tick_seconds"], 3600)),
        max_seconds=_number(raw["max_seconds"], 2**40),
        images=tuple(_text(image, 256) for image in _bounded(raw["images"], 256)),
        datasets=datasets,
    )


def _read_dataset(raw: dict[str, Any]) -> Dataset:
    return Dataset(
        name=_text(raw["name"], 128),
        root=Cid(_word(raw["root"], 128)),
        piece=Cid(_word(raw["piece"], 128)),
        size=_number(raw["size"], 2**63),
        files=_number(raw["files"], 2**63),
        entries=tuple(
            Entry(_text(e["path"], 256), _number(e["files"], 2**63), _number(e["size"], 2**63))
            for e in _bounded(raw["entries"], MAX_ENTRIES)
        ),
        description=_text(raw.get("description", ""), MAX_DESCRIPTION),
        licence=_text(raw.get("licence", ""), MAX_LICENCE),
        signer=checked_address(_text(raw["signer"])) if raw.get("signer") else "",
        pieces=tuple(_read_piece(entry) for entry in _bounded(raw.get("pieces", []), MAX_PIECES)),
        checked_at=_number(raw.get("checked_at", 0), 2**40),
    )


def _read_piece(raw: dict[str, Any]) -> Piece:
    claim = raw.get("claim")
    return Piece(
        cid=Cid(_word(raw["piece"], 128)),
        padded_size=_number(raw["padded_size"], 2**63),
        claim=None
        if claim is None
        else Claim(
            _number(claim["id"], 2**63 - 1), _number(claim["sector"], 2**63 - 1), _number(claim["term_end"], 2**63 - 1)
        ),
    )


def key_line(raw: object) -> str:
    """An SSH public key as one line without its comment. Raises InputRefused for options, newlines and junk."""
    text = _text(raw, 1024)
    parts = text.split(" ")
    if len(parts) < 2 or not parts[0].startswith(("ssh-", "ecdsa-", "sk-")):
        raise InputRefused("that is not an SSH public key", "give the one-line form: ssh-ed25519 AAAA…")
    if not all(char.isalnum() or char in "+/=" for char in parts[1]) or not _is_word(parts[0]):
        raise InputRefused("that SSH public key is malformed", "give the one-line form: ssh-ed25519 AAAA…")
    return f"{parts[0]} {parts[1]}"


def _bounded(raw: object, most: int) -> list[Any]:
    if not isinstance(raw, list) or len(raw) > most:
        raise InputRefused(f"a list of the offer is missing or has over {most} entries", "skip this provider")
    return raw


def _text(raw: object, most: int = 256) -> str:
    if not isinstance(raw, str) or len(raw) > most or not raw.isprintable():
        raise InputRefused("a text is missing, too long or not printable", f"give at most {most} characters")
    return raw


def _is_word(text: str) -> bool:
    return bool(text) and all(char.isascii() and (char.isalnum() or char in "-_.@") for char in text)


def _word(raw: object, most: int = 64) -> str:
    text = _text(raw, most)
    if not _is_word(text) or text.startswith("-"):
        raise InputRefused(f"{text!r} is not a name", "use letters, digits, '-', '_' and '.'")
    return text


def _hostname(raw: object) -> str:
    text = _text(raw, 253)
    if not all(char.isascii() and (char.isalnum() or char in "-.:") for char in text) or text.startswith(("-", ".")):
        raise InputRefused(f"{text!r} is not a host name", "give a name or an IP address")
    return text


def _number(raw: object, most: int) -> int:
    if type(raw) is not int or not 0 <= raw <= most:
        raise InputRefused("a number is missing or out of range", f"give 0 to {most}")
    return raw
