"""False vouchers through the real tunnel: refused with the reason, never stored, and the lease goes on unharmed."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.lines import Lines
from tests.e2e.world import Json, World

from shale.chain.network import Network
from shale.market.order import PayKey
from shale.proofs.kernel import KernelProver
from shale.proofs.prover import PaySecret
from shale.tunnel.messages import Ack, Hello, Message, RefuseVoucher, VoucherSent, Welcome, decode, encode
from shale.units import AttoFil, LeaseId


@pytest.fixture(scope="module")
def lease(world: World) -> Iterator[Json]:
    """A lease that was paid for a while; then its agent is stopped, and the tunnel is ours."""
    found = world.lease("liar")
    with world.watch() as watch:
        watch.until("liar", lambda view: view["seconds"] >= 3)
    key = json.loads((world.client.home.client / "leases" / "liar" / "pay_key.json").read_text())
    assert world.client.json("agent", "stop") == {"stopped": True}
    yield found | {"key": key}
    world.client.json("end", "liar")


@contextmanager
def tunnel(world: World, hello: str) -> Iterator[Lines]:
    """The joined meter of the lease `liar`, greeted as the lease `hello`."""
    command = ["ssh", "-F", world.client.ssh_config, "-T", "shale-gateway-liar"]
    with Lines(command, world.client.env, errors=False) as joined:
        joined.say(encode(Hello(LeaseId(hello), secrets.token_hex(32))).decode())
        yield joined


def answer(joined: Lines, kind: type[Message], since: int = 0) -> Message:
    return decode(joined.wait(lambda line: isinstance(decode(line.encode()), kind), since).encode())


def signed(world: World, lease: Json, seconds: int, amount: int, *, of: str = "", key: Json | None = None) -> str:
    """The voucher's signature as `of` (this lease without), with its own key or another one."""
    raw = key or lease["key"]
    secret = PaySecret(PayKey(raw["x"], raw["y"]), raw["secret"])
    places = Network.load(world.client.home).deployment

    async def sign() -> str:
        prover = KernelProver()
        try:
            domain = await prover.domain(places.chain_id, places.ledger)
            voucher = await prover.sign(secret, domain, LeaseId(of or lease["lease_id"]), AttoFil(amount), seconds)
            return voucher.signature
        finally:
            await prover.close()

    return asyncio.run(sign())


def another_key() -> Json:
    async def make() -> Json:
        prover = KernelProver()
        try:
            made = await prover.keygen()
            return {"x": made.public.x, "y": made.public.y, "secret": made.secret}
        finally:
            await prover.close()

    return asyncio.run(make())


def test_false_vouchers_are_refused_and_change_nothing(world: World, lease: Json) -> None:
    price = int(lease["price_per_second_attofil"])
    before = world.held(lease["lease_id"])
    paid = before["seconds"]
    more, other = paid + 1, "0x" + "5" * 62
    most = int(lease["collateral_attofil"]) // price
    false = {
        "a signature by another key": (more, price * more, signed(world, lease, more, price * more, key=another_key())),
        "a signature over another lease": (more, price * more, signed(world, lease, more, price * more, of=other)),
        "a signature over less": (more, price * more, signed(world, lease, paid, price * paid)),
        "no signature at all": (more, price * more, "0x" + "00" * 64),
        "a lower amount": (paid - 1, price * (paid - 1), signed(world, lease, paid - 1, price * (paid - 1))),
        "less than the price": (more, price * more - 1, signed(world, lease, more, price * more - 1)),
        "beyond the collateral": (most + 1, price * (most + 1), signed(world, lease, most + 1, price * (most + 1))),
    }
    said = {}
    with tunnel(world, lease["lease_id"]) as joined:
        answer(joined, Welcome)
        for why, (seconds, amount, signature) in false.items():
            since = len(joined.seen)
            joined.say(encode(VoucherSent(seconds, AttoFil(amount), seconds, signature)).decode())
            refusal = answer(joined, RefuseVoucher, since)
            assert isinstance(refusal, RefuseVoucher)
            said[why] = refusal.reason
    after = world.held(lease["lease_id"])
    assert (after["paid"], after["seconds"]) == (before["paid"], before["seconds"])
    wrong = "the voucher's signature is wrong: sign it with the lease's key"
    assert [said[why] for why in list(false)[:4]] == [wrong] * 4
    assert "is already paid: sign a higher one" in said["a lower amount"]
    assert "sign amount = seconds x price" in said["less than the price"]
    assert "exceeds the collateral" in said["beyond the collateral"]


def test_the_stored_voucher_said_again_is_acknowledged_and_pays_nothing(world: World, lease: Json) -> None:
    before = world.held(lease["lease_id"])
    seconds, amount = before["seconds"], int(before["paid"])
    with tunnel(world, lease["lease_id"]) as joined:
        answer(joined, Welcome)
        signature = signed(world, lease, seconds, amount)
        joined.say(encode(VoucherSent(seconds, AttoFil(amount), seconds, signature)).decode())
        ack = answer(joined, Ack)
    assert isinstance(ack, Ack)
    assert (ack.amount.value, ack.seconds) == (amount, seconds)
    assert world.held(lease["lease_id"])["paid"] == before["paid"]


def test_a_hello_for_another_lease_is_not_welcomed(world: World, lease: Json) -> None:
    with tunnel(world, "0x" + "5" * 62) as joined:
        joined.gone()
        assert joined.seen == []


@pytest.mark.parametrize("junk", ["not json\n", "[]\n", '{"type": "reading"}\n', "x" * 20_000 + "\n"])
def test_junk_in_the_tunnel_ends_that_connection_only(world: World, lease: Json, junk: str) -> None:
    with tunnel(world, lease["lease_id"]) as joined:
        answer(joined, Welcome)
        joined.say(junk)
        joined.gone()
    assert world.held(lease["lease_id"])["state"] in ("running", "frozen")


def test_after_all_that_the_agent_pays_on(world: World, lease: Json) -> None:
    world.client.json("agent", "status")
    paid = world.held(lease["lease_id"])["seconds"]
    with world.watch() as watch:
        watch.until("liar", lambda view: view["seconds"] > paid and view["state"] == "running")
    assert world.client.ssh("ssh", "shale-liar", "echo still here").stdout == "still here\n"
