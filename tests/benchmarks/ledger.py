"""ledger: vouchers a second, the proof of a full batch, and what it costs on chain."""

from __future__ import annotations

import asyncio
import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from coincurve import PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount
from tests.benchmarks import proving
from tests.benchmarks.frame import Row, medians, row, timed

from shale.chain.bench import Bench, Lease
from shale.chain.deploy import deploy
from shale.chain.devnet import Devnet, fund
from shale.chain.fvm import FvmChain
from shale.chain.rpc import Rpc
from shale.market.lease import EndReason
from shale.market.order import End
from shale.payments.batch import Claimable, Operation, Proof, plan_batch
from shale.proofs.kernel import KernelProver
from shale.units import Address, AttoFil, LeaseId

CALLS = 300
PROOFS = 3
RAPIDSNARK = 65_000
"""Constraints a second that rapidsnark proved on two cores of this kind; it is not run here."""
BARE_VERIFIER = 249_000
"""Gas of a Groth16 verification by itself on an EVM."""


def measure() -> list[Row]:
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    async with AsyncExitStack() as stack:
        prover = KernelProver()
        stack.push_async_callback(prover.close)
        rows = await _vouchers(prover)
        with tempfile.TemporaryDirectory(prefix="shale-bench-") as folder:
            async with _world(Path(folder), prover) as (bench, rpc):
                rows += await _batch(bench, rpc, prover)
    return rows + proving.rows()


async def _vouchers(prover: KernelProver) -> list[Row]:
    secret = await prover.keygen()
    domain = await prover.domain(31415926, Address("0x" + "11" * 20))
    lease = LeaseId("0x" + "22" * 31)
    voucher = await prover.sign(secret, domain, lease, AttoFil(5), 5)
    keygen = await _rate(prover.keygen)
    sign = await _rate(lambda: prover.sign(secret, domain, lease, AttoFil(5), 5))
    verify = await _rate(lambda: prover.verify(secret.public, domain, voucher))
    key, message = PrivateKey(), secrets.token_bytes(32)
    signature = key.sign_recoverable(message, hasher=None)
    signed, checked = medians(
        lambda: CALLS / timed(lambda: [key.sign_recoverable(message, hasher=None) for _ in range(CALLS)]),
        lambda: CALLS / timed(lambda: [key.public_key.verify(_der(signature), message, None) for _ in range(CALLS)]),
        runs=3,
    )
    return [
        row("voucher key", keygen, "/s"),
        row("voucher sign, through the pipe", sign, "/s", peer="secp256k1 in process", peer_value=signed),
        row("voucher verify, through the pipe", verify, "/s", peer="secp256k1 in process", peer_value=checked),
    ]


def _der(signature: bytes) -> bytes:
    """A recoverable signature in the form that libsecp256k1's verify takes."""
    from coincurve.ecdsa import cdata_to_der, deserialize_recoverable, recoverable_convert

    return bytes(cdata_to_der(recoverable_convert(deserialize_recoverable(signature))))


async def _rate(call: Callable[[], Awaitable[Any]]) -> float:
    """Calls a second, one after the other."""
    began = time.perf_counter()
    for _ in range(CALLS):
        await call()
    return CALLS / (time.perf_counter() - began)


async def _batch(bench: Bench, rpc: Rpc, prover: KernelProver) -> list[Row]:
    """Eight ended leases, inserted, claimed and closed by one proof."""
    circuit = await prover.circuit()
    await bench.provider.register(0, "http://one.example", "0x" + "ab" * 32, "0x" + "cd" * 32, bench.fresh_address())
    leases = [await bench.opened() for _ in range(circuit.batch)]
    operations = plan_batch([await _ended(bench, lease) for lease in leases], [], circuit.batch)
    proofs = [await bench.prove([], operations) for _ in range(PROOFS)]
    proof = sorted(proofs, key=lambda item: item.prove_seconds)[PROOFS // 2]
    began = time.perf_counter()
    assert await prover.check_proof(proof), "the proof does not verify"
    checked = time.perf_counter() - began
    verify, settle = await _gas(bench, rpc, operations, proof)
    return [
        row("prove a batch of 8", proof.prove_seconds, "s"),
        row(
            "constraints proven", proof.constraints / proof.prove_seconds, "/s",
            peer="rapidsnark, measured before", peer_value=RAPIDSNARK, at_least=RAPIDSNARK,
        ),
        row("constraints of an update", circuit.constraints / circuit.batch, "constraints"),
        row("verify a proof, kernel", checked * 1000, "ms"),
        row("verify in the EVM", verify, "gas", peer="a bare Groth16 verifier", peer_value=BARE_VERIFIER),
        row("settle 8 leases", settle, "gas", peer="verify in the EVM", peer_value=verify),
        row("settle, each lease", settle / circuit.batch, "gas"),
    ]  # fmt: skip


async def _ended(bench: Bench, lease: Lease) -> Claimable:
    """The lease, ended by its client after 123 paid seconds, as the provider's books have it."""
    paid = await bench.voucher(lease, 123)
    final = End(lease.hash, paid.amount, paid.seconds, EndReason.CLIENT_ENDED, await bench.now())
    await bench.provider.end_lease(final, bench.signing.sign(final, bench.client_account))
    record = await bench.reader.lease(lease.id)
    assert record is not None, "the lease was opened"
    return Claimable(lease.id, lease.order.pay_key, record.collateral, True, paid, record.queued, None)


async def _gas(bench: Bench, rpc: Rpc, operations: list[Operation], proof: Proof) -> tuple[int, int]:
    """Gas of the verifier's own call, and of the whole transaction."""
    receipt = await bench.provider.settle(bench.provider_address, operations, proof)
    trace = await rpc.call("debug_traceTransaction", receipt.tx, {"tracer": "callTracer"})
    verifier = bench.reader.deployment.verifier.lower()
    calls = [trace]
    while calls:
        call = calls.pop()
        if str(call.get("to", "")).lower() == verifier:
            return int(call["gasUsed"], 16), receipt.gas
        calls += call.get("calls", [])
    raise AssertionError("the settlement did not call the verifier")


@asynccontextmanager
async def _world(folder: Path, prover: KernelProver) -> AsyncIterator[tuple[Bench, Rpc]]:
    """A chain of its own with the contracts, and funded wallets."""
    devnet = Devnet(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(devnet.stop)
        url = (await devnet.start(port)).rpc_url
        deployment = await deploy(url, None)
        client, provider, stranger = (Account.create() for _ in range(3))
        for account in (client, provider, stranger):
            await fund(url, Address(account.address), AttoFil(10**19))

        def seen_by(account: LocalAccount | None) -> FvmChain:
            chain = FvmChain(deployment, url, account)
            stack.push_async_callback(chain.close)
            return chain

        rpc = Rpc(url)
        stack.push_async_callback(rpc.close)

        async def now() -> int:
            return int((await rpc.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

        chains = (seen_by(client), seen_by(provider), seen_by(stranger), seen_by(None))
        yield Bench(*chains, client, provider, stranger, prover, now), rpc
