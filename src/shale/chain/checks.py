"""The suite that every Chain must pass: subclass `ChainChecks` and give it a `bench` fixture, new for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from shale.chain.bench import Bench
from shale.errors import ConfigError, Refused, ShaleError
from shale.market.lease import EndReason
from shale.market.order import End
from shale.market.review import Review, Standing
from shale.payments.batch import Leaf, Operation
from shale.units import ZERO, AttoFil, OrderHash

FIL = AttoFil(10**18)
HOST_KEY = "0x" + "ab" * 32
OFFER = "0x" + "cd" * 32


class ChainChecks:
    """What callers rely on: balances, the registry, leases, settlement, reviews; and who is refused what."""

    async def test_a_deposit_moves_money_to_the_ledger_and_a_withdrawal_back(self, bench: Bench) -> None:
        client, me = bench.client, bench.client_address
        before = await client.wallet_balance(me)
        await client.deposit(FIL)
        await client.deposit(AttoFil(5))
        assert await client.ledger_balance(me) == FIL + AttoFil(5)
        assert await client.wallet_balance(me) <= before - FIL - AttoFil(5)
        await client.withdraw(FIL)
        assert await client.ledger_balance(me) == AttoFil(5)
        assert await client.wallet_balance(me) > before - FIL

    async def test_withdrawing_more_than_the_balance_is_refused(self, bench: Bench) -> None:
        await bench.client.deposit(AttoFil(10))
        await is_refused(bench.client.withdraw(AttoFil(11)), "10 attoFIL", "11")
        assert await bench.client.ledger_balance(bench.client_address) == AttoFil(10)

    async def test_an_unfunded_wallet_is_told_what_it_has_and_needs(self, bench: Bench) -> None:
        for amount in (AttoFil(10**6 * 10**18), await bench.client.wallet_balance(bench.client_address) + FIL):
            await fails(ConfigError, bench.client.deposit(amount), bench.client_address)

    async def test_without_a_wallet_reads_work_and_sends_do_not(self, bench: Bench) -> None:
        assert bench.reader.account is None
        assert await bench.reader.ledger_balance(bench.client_address) == ZERO
        assert await bench.reader.lease(bench.unknown_lease) is None
        await fails(ConfigError, bench.reader.deposit(FIL), "wallet")

    async def test_sends_at_the_same_time_all_land(self, bench: Bench) -> None:
        receipts = await asyncio.gather(*(bench.client.deposit(AttoFil(n)) for n in range(1, 7)))
        assert len({receipt.tx for receipt in receipts}) == 6
        assert await bench.client.ledger_balance(bench.client_address) == AttoFil(21)

    async def test_a_provider_registers_changes_and_retires(self, bench: Bench) -> None:
        provider, me = bench.provider, bench.provider_address
        assert await bench.client.provider(me) is None
        await provider.register(0, "http://one.example:9000", HOST_KEY, OFFER, me)
        record = await bench.client.provider(me)
        assert record is not None
        assert record in await bench.client.providers()
        assert (record.operator, record.endpoint, record.active) == (me, "http://one.example:9000", True)
        assert (record.host_key, record.offer, record.payout) == (HOST_KEY, OFFER, me)

        await provider.register(0, "http://two.example", HOST_KEY, OFFER, bench.client_address)
        record = await bench.client.provider(me)
        assert record is not None
        assert (record.endpoint, record.payout) == ("http://two.example", bench.client_address)

        await provider.retire()
        record = await bench.client.provider(me)
        assert record is not None
        assert not record.active
        assert me not in [entry.operator for entry in await bench.client.providers()]
        await is_refused(provider.retire())
        await provider.register(0, "http://three.example", HOST_KEY, OFFER, me)
        assert me in [entry.operator for entry in await bench.client.providers()]

    async def test_a_miner_of_somebody_else_is_refused(self, bench: Bench) -> None:
        await is_refused(bench.provider.register(1234, "http://one.example", HOST_KEY, OFFER, bench.provider_address))

    async def test_an_endpoint_without_bounds_is_refused(self, bench: Bench) -> None:
        for endpoint in ("", "http://" + "a" * 250):
            await is_refused(bench.provider.register(0, endpoint, HOST_KEY, OFFER, bench.provider_address))

    async def test_three_signatures_open_a_lease_whoever_sends_them(self, bench: Bench) -> None:
        lease = await bench.agree()
        await bench.client.deposit(lease.order.collateral + AttoFil(7))
        assert not await bench.reader.order_nonce_used(bench.client_address, lease.order.nonce)
        await lease.open(bench.stranger)
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert (record.client, record.provider) == (bench.client_address, bench.provider_address)
        assert (record.collateral, record.queued, record.closed) == (lease.order.collateral, 0, False)
        assert (record.ended_at, record.end_reason, record.reviewed) == (0, EndReason.NONE, False)
        assert await bench.reader.ledger_balance(bench.client_address) == AttoFil(7)
        shard = await bench.reader.shard(bench.provider_address)
        assert (shard.head, shard.tail, shard.owed) == (0, 1, ZERO)
        assert await bench.reader.order_nonce_used(bench.client_address, lease.order.nonce)

    async def test_a_lease_opens_once_and_its_nonce_serves_no_other(self, bench: Bench) -> None:
        lease = await bench.opened()
        await bench.client.deposit(FIL)
        await is_refused(lease.open(bench.provider))
        again = await bench.agree(nonce=lease.order.nonce, image="another")
        await is_refused(again.open(bench.provider), "nonce")

    async def test_without_collateral_no_lease_opens(self, bench: Bench) -> None:
        lease = await bench.agree()
        await bench.client.deposit(lease.order.collateral - AttoFil(1))
        await is_refused(lease.open(bench.provider), "needed")
        assert await bench.reader.lease(lease.id) is None

    async def test_a_forged_signature_opens_nothing(self, bench: Bench) -> None:
        lease = await bench.agree()
        await bench.client.deposit(FIL)
        for forged in (
            replace(lease, order_signature=lease.confirmation_signature),
            replace(lease, acceptance_signature=lease.order_signature),
            replace(lease, confirmation_signature=lease.acceptance_signature),
            replace(lease, order=replace(lease.order, image="dearer")),
            replace(lease, confirmation=replace(lease.confirmation, collateral=AttoFil(1))),
        ):
            await is_refused(forged.open(bench.provider))
        assert await bench.reader.ledger_balance(bench.client_address) == FIL

    async def test_parts_of_different_leases_open_nothing(self, bench: Bench) -> None:
        one, two = await bench.agree(), await bench.agree(nonce=77)
        await bench.client.deposit(FIL)
        await is_refused(
            replace(one, acceptance=two.acceptance, acceptance_signature=two.acceptance_signature).open(bench.provider)
        )
        await is_refused(
            replace(one, confirmation=two.confirmation, confirmation_signature=two.confirmation_signature).open(
                bench.provider
            )
        )

    async def test_a_deadline_that_has_passed_opens_nothing(self, bench: Bench) -> None:
        await bench.client.deposit(FIL)
        lease = await bench.agree(lasting=-10)
        await is_refused(lease.open(bench.provider), "deadline")

    async def test_either_party_ends_a_lease_once(self, bench: Bench) -> None:
        for account in (bench.client_account, bench.provider_account):
            lease = await bench.opened()
            end = End(lease.hash, ZERO, 0, EndReason.CLIENT_ENDED, await bench.now())
            await bench.stranger.end_lease(end, bench.signing.sign(end, account))
            record = await bench.reader.lease(lease.id)
            assert record is not None
            assert record.end_reason is EndReason.CLIENT_ENDED
            assert abs(record.ended_at - await bench.now()) < 60
            await is_refused(bench.client.end_lease(end, bench.signing.sign(end, account)), "ended")

    async def test_a_stranger_ends_no_lease(self, bench: Bench) -> None:
        lease = await bench.opened()
        end = End(lease.hash, ZERO, 0, EndReason.VERDICT, await bench.now())
        await is_refused(bench.stranger.end_lease(end, bench.signing.sign(end, bench.stranger_account)))
        unknown = replace(end, order=OrderHash("0x" + "77" * 32))
        await is_refused(bench.client.end_lease(unknown, bench.signing.sign(unknown, bench.client_account)))

    async def test_a_lease_is_redeemed_refunded_and_reviewed_to_the_last_attofil(self, bench: Bench) -> None:
        """Inserted and claimed while it runs; claimed again and closed at the end."""
        payout = bench.fresh_address()
        await bench.provider.register(0, "http://one.example", HOST_KEY, OFFER, payout)
        lease = await bench.opened()
        collateral = lease.order.collateral
        first = await bench.voucher(lease, 40)
        leaf = Leaf(0, lease.id, lease.order.pay_key, collateral)
        insert = [Operation(leaf, True, False, first)]
        await bench.provider.settle(bench.provider_address, insert, await bench.prove([], insert))
        shard = await bench.reader.shard(bench.provider_address)
        standing = replace(leaf, amount=first.amount, seconds=40)
        assert shard.root == await bench.prover.root([standing])
        assert (shard.head, shard.tail, shard.owed) == (1, 1, first.amount)
        await is_refused(bench.client.review(Review(lease.id, 5, "too early")), "settled")

        last = await bench.voucher(lease, 250)
        close = [Operation(standing, False, True, last)]
        await bench.provider.settle(bench.provider_address, close, await bench.prove([standing], close))
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert (record.closed, record.paid, record.seconds) == (True, last.amount, 250)
        refund = await bench.reader.ledger_balance(bench.client_address)
        assert (await bench.reader.shard(bench.provider_address)).root == await bench.prover.root([])

        await is_refused(bench.client.collect(bench.provider_address))
        await bench.provider.collect(bench.provider_address)
        received = await bench.reader.wallet_balance(payout)
        assert (received, received + refund) == (last.amount, collateral)
        assert (await bench.reader.shard(bench.provider_address)).owed == ZERO
        await is_refused(bench.provider.collect(bench.provider_address), "owes nothing")
        await bench.client.withdraw(refund)

        await is_refused(bench.stranger.review(Review(lease.id, 1, "spite")))
        await bench.client.review(Review(lease.id, 4, "steady, and near the data"))
        assert await bench.reader.standing(bench.provider_address) == Standing(1, 250, 1000)
        await is_refused(bench.client.review(Review(lease.id, 5, "again")), "one review")
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert record.reviewed

    async def test_a_batch_that_the_proof_does_not_show_is_refused(self, bench: Bench) -> None:
        """One good proof; everything about it is bent in turn, and the money stays where it was."""
        lease = await bench.opened()
        voucher = await bench.voucher(lease, 30)
        leaf = Leaf(0, lease.id, lease.order.pay_key, lease.order.collateral)
        honest = Operation(leaf, True, True, voucher)
        proof = await bench.prove([], [honest])
        me, settle = bench.provider_address, bench.provider.settle
        dearer = replace(voucher, amount=voucher.amount + AttoFil(1))
        for batch in (
            [replace(honest, voucher=dearer)],
            [replace(honest, voucher=replace(voucher, seconds=31))],
            [replace(honest, close=False)],
            [replace(honest, voucher=None)],
            [replace(honest, leaf=replace(leaf, index=1))],
            [replace(honest, leaf=replace(leaf, deposit=leaf.deposit + AttoFil(1)))],
            [replace(honest, insert=False)],
            [honest, honest],
            [],
        ):
            await is_refused(settle(me, batch, proof))
        await is_refused(settle(me, [honest], replace(proof, c=proof.e)))
        await is_refused(settle(me, [honest], replace(proof, proof=proof.proof[::-1])))
        await is_refused(settle(me, [honest], replace(proof, new_root=proof.c)))
        await is_refused(settle(me, [honest], replace(proof, old_root=proof.c)), "root")
        await is_refused(settle(bench.client_address, [honest], proof))
        await is_refused(bench.stranger.settle(me, [honest], proof), "only the provider")
        assert (await bench.reader.shard(me)).owed == ZERO

        await settle(me, [honest], proof)
        assert (await bench.reader.shard(me)).owed == voucher.amount
        await is_refused(settle(me, [honest], proof), "closed")

    async def test_deposits_are_inserted_in_the_order_of_the_queue(self, bench: Bench) -> None:
        one, two = await bench.opened(), await bench.opened()
        leaves = [Leaf(n, x.id, x.order.pay_key, x.order.collateral) for n, x in enumerate((one, two))]
        jumping = [Operation(leaves[1], True, False, None)]
        proof = await bench.prove([], jumping)
        await is_refused(bench.provider.settle(bench.provider_address, jumping, proof), "queue")


async def is_refused(call: Awaitable[object], *words: str) -> None:
    await fails(Refused, call, *words)


async def fails(kind: type[ShaleError], call: Awaitable[object], *words: str) -> None:
    """The call must raise this kind of error; its message or hint must hold these words."""
    said: str | None = None
    try:
        await call
    except kind as error:
        said = str(error)
    assert said is not None, "it went through"
    assert not [word for word in words if word not in said], said
