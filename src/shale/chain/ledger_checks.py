"""The ledger's part of the suite that every Chain must pass: batches, refunds, overdue leases, history."""

from __future__ import annotations

from dataclasses import replace

from shale.chain.bench import Bench, fails, is_refused
from shale.chain.chain import OnLedger, Shard
from shale.errors import Unavailable
from shale.market.lease import EndReason
from shale.market.order import End
from shale.market.review import Review, Standing
from shale.payments.batch import Leaf, Operation
from shale.payments.history import tree_of
from shale.units import ZERO, AttoFil

HOST_KEY = "0x" + "ab" * 32
OFFER = "0x" + "cd" * 32


class LedgerChecks:
    """What callers rely on when money moves by proofs, or by a refund without one."""

    async def test_a_lease_is_redeemed_refunded_and_reviewed_to_the_last_attofil(self, bench: Bench) -> None:
        """Inserted and claimed while it runs; claimed again and closed at the end."""
        payout = bench.fresh_address()
        await bench.provider.register(0, "http://one.example", HOST_KEY, OFFER, payout)
        lease = await bench.opened()
        collateral = lease.order.collateral
        first = await bench.voucher(lease, 40)
        leaf = Leaf(9, lease.id, lease.order.pay_key)
        await bench.settle([], [Operation(leaf, True, False, first)], window=1)
        shard = await bench.reader.shard(bench.provider_address)
        standing = replace(leaf, amount=first.amount, seconds=40)
        assert (shard.root, shard.owed) == (await bench.prover.root([standing]), first.amount)
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert record.state is OnLedger.INSERTED
        await is_refused(bench.client.review(lease.order, Review(lease.hash, 5, "too early")), "settled")

        last = await bench.voucher(lease, 250)
        await bench.pass_time(300)
        await bench.settle([standing], [Operation(standing, False, True, last, EndReason.VERDICT)], 1, 9)
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert (record.state, record.closed, record.paid) == (OnLedger.CLOSED, True, last.amount)
        assert (record.seconds, record.end_reason, record.ended_at) == (250, EndReason.VERDICT, 0)
        assert abs(record.closed_at - await bench.now()) < 60
        refund = await bench.reader.ledger_balance(bench.client_address)
        assert (await bench.reader.shard(bench.provider_address)).root == await bench.prover.root([])

        await is_refused(bench.client.collect(bench.provider_address))
        await bench.provider.collect(bench.provider_address)
        received = await bench.reader.wallet_balance(payout)
        assert (received, received + refund) == (last.amount, collateral)
        assert (await bench.reader.shard(bench.provider_address)).owed == ZERO
        await is_refused(bench.provider.collect(bench.provider_address), "owes nothing")
        await bench.client.withdraw(refund)

        good = Review(lease.hash, 4, "steady, and near the data")
        await is_refused(bench.stranger.review(lease.order, Review(lease.hash, 1, "spite")))
        await is_refused(bench.client.review(replace(lease.order, image="another"), good))
        await bench.client.review(lease.order, good)
        amount = last.amount
        assert await bench.reader.standing(bench.provider_address) == Standing(1, 250, 1000, amount, amount.value * 4)
        await is_refused(bench.client.review(lease.order, Review(lease.hash, 5, "again")), "one review")
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert record.reviewed

    async def test_a_batch_that_the_proof_does_not_show_is_refused(self, bench: Bench) -> None:
        """One good proof; everything about it is bent in turn, and the money stays where it was."""
        lease = await bench.opened()
        voucher = await bench.voucher(lease, 30)
        leaf = Leaf(0, lease.id, lease.order.pay_key)
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
            [replace(honest, leaf=replace(leaf, index=8))],
            [replace(honest, insert=False)],
            [honest, honest],
            [],
        ):
            await is_refused(settle(me, batch, proof))
        await is_refused(settle(me, [honest], replace(proof, c=proof.e)))
        await is_refused(settle(me, [honest], replace(proof, proof=proof.proof[::-1])))
        await is_refused(settle(me, [honest], replace(proof, new_root=proof.c)))
        await is_refused(settle(me, [honest], replace(proof, old_root=proof.c)), "root")
        await is_refused(settle(me, [honest], replace(proof, earned=proof.earned + AttoFil(1))))
        await is_refused(settle(me, [honest], replace(proof, size=64)))
        await is_refused(settle(bench.client_address, [honest], proof))
        await is_refused(bench.stranger.settle(me, [honest], proof), "only the provider")
        assert (await bench.reader.shard(me)).owed == ZERO

        await settle(me, [honest], proof)
        assert (await bench.reader.shard(me)).owed == voucher.amount
        await is_refused(settle(me, [honest], proof), "closed")

    async def test_a_lease_has_one_leaf_of_its_own_key_and_no_more_than_its_deposit(self, bench: Bench) -> None:
        lease, other = await bench.opened(), await bench.opened()
        leaf = Leaf(0, lease.id, lease.order.pay_key)
        too_much = await bench.voucher(lease, lease.order.max_seconds + 1)
        await is_refused(bench.settle([], [Operation(leaf, True, True, too_much)]))
        stolen = replace(leaf, key=other.order.pay_key)
        await is_refused(bench.settle([], [Operation(stolen, True, False, None)]))
        await bench.settle([], [Operation(leaf, True, False, None)])
        again = replace(leaf, index=1)
        await is_refused(bench.settle([leaf], [Operation(again, True, False, None)]))

    async def test_a_lease_that_earned_nothing_is_refunded_without_a_proof(self, bench: Bench) -> None:
        one, two, inserted = [await bench.opened() for _ in range(3)]
        leaf = Leaf(0, inserted.id, inserted.order.pay_key)
        await bench.settle([], [Operation(leaf, True, False, None)])
        await is_refused(bench.stranger.refund([one.id]), "only the provider")
        await is_refused(bench.provider.refund([one.id, inserted.id]))
        await bench.provider.refund([one.id, two.id])
        for lease in (one, two):
            record = await bench.reader.lease(lease.id)
            assert record is not None
            assert (record.state, record.paid, record.seconds) == (OnLedger.CLOSED, ZERO, 0)
        assert await bench.reader.ledger_balance(bench.client_address) == one.order.collateral * 2
        await is_refused(bench.provider.refund([one.id]), "closed")

    async def test_an_overdue_lease_is_closed_by_whoever_proves_it(self, bench: Bench) -> None:
        """The provider is silent: after the window the client closes its leases itself, one by a proof, one without."""
        inserted, locked = await bench.opened(), await bench.opened()
        leaf = Leaf(3, inserted.id, inserted.order.pay_key)
        paid = await bench.voucher(inserted, 50)
        await bench.settle([], [Operation(leaf, True, False, paid)])
        standing, me = replace(leaf, amount=paid.amount, seconds=50), bench.provider_address
        for lease in (inserted, locked):
            end = End(lease.hash, ZERO, 0, EndReason.CLIENT_ENDED, await bench.now())
            await bench.client.end_lease(end, bench.signing.sign(end, bench.client_account))
        close = [Operation(standing, False, True, None, EndReason.CLIENT_ENDED)]
        proof = await bench.prove([standing], close, 1, 3)
        await is_refused(bench.client.settle(me, close, proof), "before")
        await is_refused(bench.client.demand_close(inserted.id), "before")
        await is_refused(bench.client.refund([locked.id]), "before")

        await bench.pass_time(25 * 3600)
        await is_refused(bench.client.demand_close(locked.id))
        await bench.client.demand_close(inserted.id)
        assert (await bench.reader.shard(me)).demanded == inserted.id
        await is_refused(bench.client.demand_close(inserted.id), "demanded")
        third = await bench.opened()
        other = [Operation(Leaf(0, third.id, third.order.pay_key), True, False, None)]
        await is_refused(bench.settle([standing], other), "demanded")
        more = [Operation(standing, False, False, await bench.voucher(inserted, 60))]
        await is_refused(bench.settle([standing], more))

        await bench.client.settle(me, close, proof)
        await bench.client.refund([locked.id])
        shard = await bench.reader.shard(me)
        assert (shard.demanded, shard.owed, shard.root) == (None, paid.amount, await bench.prover.root([]))
        back = inserted.order.collateral - paid.amount + locked.order.collateral
        assert await bench.reader.ledger_balance(bench.client_address) == back

    async def test_an_exit_is_proven_on_the_root_of_its_demand_wherever_the_tree_has_gone(self, bench: Bench) -> None:
        """Two leases are demanded; the provider closes the first, as it must, and goes on. The second is left."""
        me, reader = bench.provider_address, bench.reader
        first, second, third = [await bench.opened() for _ in range(3)]
        paid = await bench.voucher(second, 50)
        leaves = [Leaf(n, x.id, x.order.pay_key) for n, x in enumerate((first, second, third))]
        await bench.settle([], [Operation(leaf, True, False, paid if leaf.index == 1 else None) for leaf in leaves])
        leaves[1] = replace(leaves[1], amount=paid.amount, seconds=50)
        for lease in (first, second, third):
            end = End(lease.hash, ZERO, 0, EndReason.CLIENT_ENDED, await bench.now())
            await bench.client.end_lease(end, bench.signing.sign(end, bench.client_account))
        await bench.pass_time(25 * 3600)
        assert await reader.demanded_root(second.id) is None
        await bench.stranger.demand_close(first.id)
        await bench.client.demand_close(second.id)
        old = (await reader.shard(me)).root
        assert (await reader.demanded_root(first.id), await reader.demanded_root(second.id)) == (old, old)
        assert (await reader.shard(me)).demanded == first.id

        fourth = await bench.opened()
        inserted = Leaf(3, fourth.id, fourth.order.pay_key)
        await bench.settle(leaves, [Operation(leaves[0], False, True, None), Operation(inserted, True, False, None)])
        present = (await reader.shard(me)).root
        then = tree_of((await reader.shard_history(me, old)).events)
        assert then == leaves
        assert await bench.prover.root(then) == old != present

        close = Operation(leaves[1], False, True, None, EndReason.CLIENT_ENDED)
        proof = await bench.prove(then, [close], 1, 1)
        for undemanded in (leaves[2], leaves[0]):
            batch = [close, Operation(undemanded, False, True, None)]
            batch.sort(key=lambda operation: operation.leaf.index)
            await is_refused(bench.client.settle(me, batch, await bench.prove(then, batch)))
        kept = [replace(close, close=False, voucher=await bench.voucher(second, 60), reason=EndReason.NONE)]
        await is_refused(bench.provider.settle(me, kept, await bench.prove(then, kept)))
        await is_refused(bench.client.settle(me, [close], replace(proof, old_root=proof.new_root)), "root")
        await bench.client.settle(me, [close], proof)
        await is_refused(bench.client.settle(me, [close], proof), "closed")
        record = await reader.lease(second.id)
        assert record is not None
        assert (record.closed, record.paid, record.seconds) == (True, paid.amount, 50)
        back = first.order.collateral + second.order.collateral - paid.amount
        assert await reader.ledger_balance(bench.client_address) == back
        assert await reader.shard(me) == Shard(present, paid.amount, None)

        history = await reader.shard_history(me)
        standing = [leaves[1], leaves[2], inserted]
        assert tree_of(history.events) == standing, "its leaf stays"
        assert set(history.exited) == {second.id}
        assert set(history.closed) == {first.id, second.id}
        more = await bench.voucher(fourth, 7)
        await bench.settle(standing, [Operation(inserted, False, False, more)])
        await is_refused(bench.settle([*standing[:2], replace(inserted, amount=more.amount, seconds=7)], [close]))

    async def test_a_history_is_cut_only_at_a_root_that_the_tree_had(self, bench: Bench) -> None:
        lease = await bench.opened()
        leaf = Leaf(0, lease.id, lease.order.pay_key)
        await bench.settle([], [Operation(leaf, True, False, None)])
        me, never = bench.provider_address, await bench.prover.root([replace(leaf, index=1)])
        await fails(Unavailable, bench.reader.shard_history(me, never))
        empty = await bench.reader.shard_history(me, await bench.prover.root([]))
        assert empty.events == ()

    async def test_the_tree_is_rebuilt_from_the_chains_events(self, bench: Bench) -> None:
        one, two, three, four = [await bench.opened() for _ in range(4)]
        leaves = [Leaf(n + 6, x.id, x.order.pay_key) for n, x in enumerate((one, two, three))]
        paid = [await bench.voucher(x, 10 + n) for n, x in enumerate((one, two, three))]
        await bench.settle(
            [], [Operation(leaf, True, False, voucher) for leaf, voucher in zip(leaves[:2], paid, strict=False)]
        )
        standing = [replace(leaf, amount=v.amount, seconds=v.seconds) for leaf, v in zip(leaves, paid, strict=True)]
        more = await bench.voucher(two, 90)
        await bench.settle(
            standing[:2],
            [Operation(standing[0], False, True, None), Operation(standing[1], False, False, more)],
        )
        moved = replace(standing[1], amount=more.amount, seconds=90)
        await bench.settle([moved], [Operation(leaves[2], True, False, paid[2])], window=1)
        await bench.provider.refund([four.id])

        history = await bench.reader.shard_history(bench.provider_address)
        tree = tree_of(history.events)
        assert tree == [moved, standing[2]]
        root = (await bench.reader.shard(bench.provider_address)).root
        assert await bench.prover.root(tree) == root
        assert history.batches[-1].new_root == root
        assert [batch.window for batch in history.batches] == [0, 0, 1]
        closed = history.closed
        assert {lease: event.paid for lease, event in closed.items()} == {one.id: paid[0].amount, four.id: ZERO}

    async def test_a_transaction_is_found_again_by_its_hash(self, bench: Bench) -> None:
        before = await bench.reader.heads()
        receipt = await bench.client.deposit(AttoFil(3))
        assert await bench.reader.receipt(receipt.tx) == receipt
        assert await bench.reader.receipt("0x" + "5e" * 32) is None
        after = await bench.reader.heads()
        assert before.latest < receipt.block <= after.latest
        assert after.final <= after.latest
        assert abs(after.time - await bench.now()) < 60
