"""ledger: vouchers a second, proofs beside gnark's own, and what a lease's life costs on chain."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from coincurve import PrivateKey
from tests.benchmarks import gas, proving
from tests.benchmarks.frame import Row, medians, row, timed

from shale.proofs.kernel import KernelProver
from shale.units import Address, AttoFil, LeaseId

CALLS = 300
MANY = 1024
"""Vouchers in one call, the most that the kernel takes."""
VOUCHERS_PER_CORE = 5_000


def measure() -> list[Row]:
    return asyncio.run(_vouchers()) + proving.rows() + gas.rows()


async def _vouchers() -> list[Row]:
    prover = KernelProver()
    try:
        return await _voucher_rows(prover)
    finally:
        await prover.close()


async def _voucher_rows(prover: KernelProver) -> list[Row]:
    secret = await prover.keygen()
    domain = await prover.domain(31415926, Address("0x" + "11" * 20))
    lease = LeaseId("0x" + "22" * 31)
    voucher = await prover.sign(secret, domain, lease, AttoFil(5), 5)
    batch = [(secret.public, await prover.sign(secret, domain, lease, AttoFil(n), n)) for n in range(1, MANY + 1)]
    keygen = await _rate(prover.keygen)
    sign = await _rate(lambda: prover.sign(secret, domain, lease, AttoFil(5), 5))
    verify = await _rate(lambda: prover.verify(secret.public, domain, voucher))
    many = MANY * await _rate(lambda: prover.verify_many(batch, domain), calls=5)
    key, message = PrivateKey(), secrets.token_bytes(32)
    signature = key.sign_recoverable(message, hasher=None)
    signed, checked = medians(
        lambda: CALLS / timed(lambda: [key.sign_recoverable(message, hasher=None) for _ in range(CALLS)]),
        lambda: CALLS / timed(lambda: [key.public_key.verify(_der(signature), message, None) for _ in range(CALLS)]),
        runs=3,
    )
    cores = len(os.sched_getaffinity(0))
    return [
        row("voucher key", keygen, "/s"),
        row("voucher sign, through the pipe", sign, "/s", peer="secp256k1 in process", peer_value=signed),
        row("voucher verify, through the pipe", verify, "/s", peer="secp256k1 in process", peer_value=checked),
        row(
            f"vouchers verified, {MANY} in one call, each core", many / cores, "/s",
            peer="secp256k1 in process", peer_value=checked, at_least=VOUCHERS_PER_CORE,
        ),
    ]  # fmt: skip


def _der(signature: bytes) -> bytes:
    """A recoverable signature in the form that libsecp256k1's verify takes."""
    from coincurve.ecdsa import cdata_to_der, deserialize_recoverable, recoverable_convert

    return bytes(cdata_to_der(recoverable_convert(deserialize_recoverable(signature))))


async def _rate(call: Callable[[], Awaitable[Any]], calls: int = CALLS) -> float:
    """Calls a second, one after the other."""
    began = time.perf_counter()
    for _ in range(calls):
        await call()
    return calls / (time.perf_counter() - began)
