"""KernelProver: payment keys, vouchers and proofs by the Go kernel (docs/protocol.md, section 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shale.errors import Unavailable
from shale.market.order import PayKey
from shale.paths import binary, keys_dir
from shale.payments.batch import SIZES, SUBTREE_HEIGHT, Leaf, Operation, Proof
from shale.payments.voucher import Voucher
from shale.payments.words import FIELD, hex_word
from shale.proofs.pipe import KernelPipe
from shale.proofs.prover import Circuit, CircuitSize, KeyFile, PaySecret, Progress
from shale.proofs.subtrees import Subtrees, leaf_to_wire
from shale.units import Address, AttoFil, LeaseId

SECONDS: Mapping[str, float] = {"ledger.prove": 3600.0}
"""The time limits of methods; the others have `DEFAULT_SECONDS`."""
DEFAULT_SECONDS = 30.0
_MANY = 1024
"""How many vouchers one call verifies at most."""


class KernelProver:
    """A Prover over one `shale-kernel serve`, started at the first call; `close` ends it."""

    def __init__(self, keys: Path | None = None, program: Path | None = None) -> None:
        """`keys` is the folder of the circuit's keys. Raises ConfigError when the kernel isn't built."""
        chosen = program or binary("shale-kernel")
        self._pipe = KernelPipe([str(chosen), "serve", "--keys", str(keys or keys_dir())])
        self._circuit: Circuit | None = None
        self._subtrees = Subtrees(self._hash_subtree)

    async def keygen(self) -> PaySecret:
        result = await self._call("voucher.keygen")
        secret = _text(result, "secret", _HEX)
        return PaySecret(PayKey(_word(result, "x"), _word(result, "y")), secret)

    async def check_key(self, key: PayKey) -> bool:
        if not (_is_word(key.x) and _is_word(key.y)):
            return False
        return _truth(await self._call("voucher.check_key", x=key.x, y=key.y), "valid")

    async def sign(self, secret: PaySecret, domain: str, lease: LeaseId, amount: AttoFil, seconds: int) -> Voucher:
        values = {"lease_id": lease, "amount": str(amount.value), "seconds": seconds}
        result = await self._call("voucher.sign", secret=secret.secret, domain=domain, **values)
        return Voucher(lease, amount, seconds, _text(result, "signature", _SIGNATURE))

    async def verify(self, key: PayKey, domain: str, voucher: Voucher) -> bool:
        if not _is_formed(key, voucher):
            return False
        return _truth(await self._call("voucher.verify", **_signed(key, domain, voucher)), "valid")

    async def verify_many(self, items: Sequence[tuple[PayKey, Voucher]], domain: str) -> list[bool]:
        valid = [False] * len(items)
        formed = [at for at, (key, voucher) in enumerate(items) if _is_formed(key, voucher)]
        for first in range(0, len(formed), _MANY):
            part = formed[first : first + _MANY]
            sent = [_signed(items[at][0], domain, items[at][1]) for at in part]
            result = (await self._call("voucher.verify_many", items=sent)).get("valid")
            if not isinstance(result, list) or len(result) != len(part):
                raise _mismatch("valid")
            for at, raw in zip(part, result, strict=True):
                valid[at] = _truth({"valid": raw}, "valid")
        return valid

    async def circuit(self) -> Circuit:
        if self._circuit is None:
            result = await self._call("ledger.info")
            self._circuit = Circuit(
                sizes=_sizes(result),
                depth=_count(result, "depth"),
                keys_hash=_text(result, "keys_hash", _HASH),
                unsafe_development=_truth(result, "unsafe_development"),
                empty_root=_word(result, "empty_root"),
            )
        return self._circuit

    async def domain(self, chain_id: int, ledger: Address) -> str:
        return _word(await self._call("ledger.domain", chain_id=chain_id, ledger=ledger), "domain")

    async def root(self, leaves: Sequence[Leaf]) -> str:
        return _word(await self._call("ledger.root", **await self._subtrees.params(leaves)), "root")

    async def prove(
        self,
        domain: str,
        size: int,
        window: int,
        leaves: Sequence[Leaf],
        operations: Sequence[Operation],
        progress: Progress | None = None,
    ) -> Proof:
        params = {
            "domain": domain,
            "size": size,
            "window": window,
            "operations": [_operation(operation) for operation in operations],
        }
        params |= await self._subtrees.params(leaves, window * size >> SUBTREE_HEIGHT)
        result = await self._pipe.call("ledger.prove", params, SECONDS["ledger.prove"], progress)
        return Proof(
            size=size,
            window=window,
            old_root=_word(result, "old_root"),
            new_root=_word(result, "new_root"),
            earned=AttoFil(int(_text(result, "earned", _DECIMAL))),
            c=_word(result, "c"),
            r=_word(result, "r"),
            e=_word(result, "e"),
            proof=_words(result, "proof", 8),
            constraints=_count(result, "constraints"),
            witness_seconds=_seconds(result, "witness_seconds"),
            prove_seconds=_seconds(result, "prove_seconds"),
        )

    async def check_proof(self, proof: Proof) -> bool:
        result = await self._call(
            "ledger.verify", size=proof.size, c=proof.c, r=proof.r, e=proof.e, proof=list(proof.proof)
        )
        return _truth(result, "valid")

    async def close(self) -> None:
        await self._pipe.close()

    async def _hash_subtree(self, number: int, leaves: list[dict[str, Any]]) -> str:
        return _word(await self._call("ledger.subtree", number=number, leaves=leaves), "hash")

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._pipe.call(method, params, SECONDS.get(method, DEFAULT_SECONDS))


def _operation(operation: Operation) -> dict[str, Any]:
    return leaf_to_wire(operation.leaf) | {
        "amount": str(operation.amount.value),
        "seconds": operation.seconds,
        "insert": operation.insert,
        "claim": operation.voucher is not None,
        "close": operation.close,
        "signature": operation.voucher.signature if operation.voucher else None,
    }


def _signed(key: PayKey, domain: str, voucher: Voucher) -> dict[str, Any]:
    return {
        "x": key.x,
        "y": key.y,
        "domain": domain,
        "lease_id": voucher.lease,
        "amount": str(voucher.amount.value),
        "seconds": voucher.seconds,
        "signature": voucher.signature,
    }


def _is_formed(key: PayKey, voucher: Voucher) -> bool:
    """What the kernel would take for a signed voucher at all; it refuses a whole call for one that isn't."""
    return _is_word(key.x) and _is_word(key.y) and _SIGNATURE.fullmatch(voucher.signature) is not None


def _sizes(result: Mapping[str, Any]) -> tuple[CircuitSize, ...]:
    raw = result.get("sizes")
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise _mismatch("sizes")
    sizes = tuple(
        CircuitSize(
            _count(entry, "size"),
            _count(entry, "constraints"),
            _text(entry, "vk_hash", _HASH),
            _truth(entry, "provable"),
            _files(entry),
        )
        for entry in raw
    )
    if sorted(size.size for size in sizes) != sorted(SIZES):
        raise _mismatch("sizes")
    return sizes


def _files(size: Mapping[str, Any]) -> tuple[KeyFile, ...]:
    raw = size.get("files")
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise _mismatch("files")
    return tuple(
        KeyFile(_text(entry, "name", _FILE), _text(entry, "sha256", _SHA256), _count(entry, "most")) for entry in raw
    )


# The kernel is our own program, but a wrong version of it must be told at once, not crash us later.

_HEX = re.compile(r"0x(?:[0-9a-f]{2}){1,128}")
_WORD = re.compile(r"0x[0-9a-f]{1,64}")
_HASH = re.compile(r"0x[0-9a-f]{64}")
_SIGNATURE = re.compile(r"0x[0-9a-f]{128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"window-[0-9]{1,4}(\.unsafe-development)?\.(pk|r1cs)")
_DECIMAL = re.compile(r"[0-9]{1,29}")


def _is_word(text: str) -> bool:
    """What the kernel takes as a word: a field element, which other people's keys need not be."""
    return _WORD.fullmatch(text) is not None and int(text, 16) < FIELD


def _mismatch(name: str) -> Unavailable:
    return Unavailable(f"the prover answered without a proper {name}", "run make install to rebuild it")


def _text(result: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    raw = result.get(name)
    if not isinstance(raw, str) or not form.fullmatch(raw):
        raise _mismatch(name)
    return raw


def _word(result: Mapping[str, Any], name: str) -> str:
    return hex_word(int(_text(result, name, _WORD), 16))


def _words(result: Mapping[str, Any], name: str, many: int) -> tuple[str, ...]:
    raw = result.get(name)
    if not isinstance(raw, list) or len(raw) != many:
        raise _mismatch(name)
    return tuple(_word({name: entry}, name) for entry in raw)


def _truth(result: Mapping[str, Any], name: str) -> bool:
    raw = result.get(name)
    if not isinstance(raw, bool):
        raise _mismatch(name)
    return raw


def _count(result: Mapping[str, Any], name: str) -> int:
    raw = result.get(name)
    if type(raw) is not int or not 0 <= raw < 2**53:
        raise _mismatch(name)
    return raw


def _seconds(result: Mapping[str, Any], name: str) -> float:
    raw = result.get(name)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise _mismatch(name)
    return float(raw)
