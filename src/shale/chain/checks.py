"""The suite that every Chain must pass: subclass `ChainChecks` and give it a `bench` fixture, new for each test."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from shale.chain.bench import Bench, Lease, fails, is_refused
from shale.chain.chain import OnLedger, OrderStage
from shale.chain.ledger_checks import HOST_KEY, OFFER, LedgerChecks
from shale.chain.review_checks import ReviewChecks
from shale.errors import ConfigError
from shale.market.lease import EndReason
from shale.market.order import End
from shale.units import ZERO, AttoFil, OrderHash

FIL = AttoFil(10**18)


class ChainChecks(LedgerChecks, ReviewChecks):
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

    async def test_a_deposit_for_another_is_the_others(self, bench: Bench) -> None:
        other = bench.fresh_address()
        await bench.client.deposit(AttoFil(7), other)
        assert await bench.reader.ledger_balance(other) == AttoFil(7)
        assert await bench.reader.ledger_balance(bench.client_address) == ZERO
        await is_refused(bench.client.withdraw(AttoFil(7)))

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
        me = bench.provider_address
        await is_refused(bench.provider.register(1234, "http://one.example", HOST_KEY, OFFER, me))
        await is_refused(bench.provider.bind_miner(0), "not registered")
        await bench.provider.register(0, "http://one.example", HOST_KEY, OFFER, me)
        await is_refused(bench.provider.bind_miner(1234), "f01234")
        await is_refused(bench.stranger.authorize(1234, me), "f01234")
        await is_refused(bench.stranger.revoke(1234, me), "not authorized")
        await is_refused(bench.stranger.recheck(me))
        await bench.provider.bind_miner(0)
        record = await bench.reader.provider(me)
        assert record is not None
        assert record.miner == 0

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
        assert (record.deposit, record.state, record.closed) == (lease.order.collateral, OnLedger.LOCKED, False)
        assert (record.ended_at, record.end_reason, record.reviewed) == (0, EndReason.NONE, False)
        assert await bench.reader.ledger_balance(bench.client_address) == AttoFil(7)
        assert (await bench.reader.shard(bench.provider_address)).owed == ZERO
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

    async def test_a_contract_says_which_signatures_are_its_own(self, bench: Bench) -> None:
        assert bench.wallet is not None
        contract = await bench.wallet()
        end = End(OrderHash("0x" + "77" * 32), ZERO, 0, EndReason.CLIENT_ENDED, 1)
        digest, signature = bench.signing.digest(end), bench.signing.sign(end, bench.client_account)
        assert await bench.reader.contract_signed(contract, digest, signature)
        assert not await bench.reader.contract_signed(contract, "0x" + "11" * 32, signature)
        assert not await bench.reader.contract_signed(contract, digest, "0x" + "00" * 300)
        assert not await bench.reader.contract_signed(contract, digest, "0x")
        by_another = bench.signing.sign(end, bench.stranger_account)
        assert not await bench.reader.contract_signed(contract, digest, by_another)
        for no_contract in (bench.client_address, bench.fresh_address()):
            assert not await bench.reader.contract_signed(no_contract, digest, signature)

    async def test_a_contract_leases_and_ends_by_what_it_calls_its_signatures(self, bench: Bench) -> None:
        assert bench.wallet is not None
        contract = await bench.wallet()
        lease = await bench.agree(client=contract)
        forged = bench.signing.sign(lease.order, bench.stranger_account)
        await is_refused(replace(lease, order_signature=forged).open(bench.provider))
        await lease.open(bench.stranger)
        assert await bench.reader.ledger_balance(contract) == FIL - lease.order.collateral
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert record.client == contract
        end = End(lease.hash, ZERO, 0, EndReason.CLIENT_ENDED, await bench.now())
        await is_refused(bench.stranger.end_lease(end, bench.signing.sign(end, bench.stranger_account)))
        await bench.stranger.end_lease(end, bench.signing.sign(end, bench.client_account))
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert record.end_reason is EndReason.CLIENT_ENDED

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

    async def test_several_leases_open_in_one_transaction_or_none_does(self, bench: Bench) -> None:
        one, two, three = [await bench.agree() for _ in range(3)]
        await bench.client.deposit(one.order.collateral * 3)
        forged = replace(two, order_signature=two.confirmation_signature)
        await is_refused(bench.provider.open_leases([one.opening, forged.opening]))
        await is_refused(bench.provider.would_open([one.opening, forged.opening]))
        await bench.provider.would_open([one.opening, two.opening, three.opening])
        assert await bench.reader.lease(one.id) is None
        await bench.provider.open_leases([one.opening, two.opening, three.opening])
        for lease in (one, two, three):
            record = await bench.reader.lease(lease.id)
            assert record is not None
            assert record.state is OnLedger.LOCKED
        assert await bench.reader.ledger_balance(bench.client_address) == ZERO

    async def test_a_lease_opens_by_three_plain_transactions(self, bench: Bench) -> None:
        lease = await bench.agree()
        order, acceptance = lease.order, lease.acceptance
        await is_refused(bench.stranger.create_order(order))
        await is_refused(bench.provider.accept_order(order, acceptance))
        assert await bench.reader.order_stage(lease.id) is OrderStage.NONE
        await bench.client.create_order(order)
        assert await bench.reader.order_stage(lease.id) is OrderStage.CREATED
        await is_refused(bench.client.confirm_order(order, acceptance))
        await is_refused(bench.stranger.accept_order(order, acceptance))
        await bench.provider.accept_order(order, acceptance)
        assert await bench.reader.order_stage(lease.id) is OrderStage.ACCEPTED
        await is_refused(bench.provider.accept_order(order, acceptance))
        await is_refused(bench.client.confirm_order(order, acceptance), "needed")
        await bench.client.deposit(order.collateral)
        await bench.client.confirm_order(order, acceptance)
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert (record.state, record.deposit) == (OnLedger.LOCKED, order.collateral)
        assert await bench.reader.order_stage(lease.id) is OrderStage.OPEN
        await is_refused(bench.client.cancel_order(order))
        end = End(lease.hash, ZERO, 0, EndReason.CLIENT_ENDED, await bench.now())
        await bench.client.end_lease(end, bench.signing.sign(end, bench.client_account))
        assert await bench.reader.order_stage(lease.id) is OrderStage.ENDED

    async def test_a_cancelled_order_opens_nothing(self, bench: Bench) -> None:
        created, signed = await bench.agree(), await bench.agree()
        await bench.client.deposit(FIL)
        await bench.client.create_order(created.order)
        for lease in (created, signed):
            await is_refused(bench.stranger.cancel_order(lease.order))
            await bench.client.cancel_order(lease.order)
            await is_refused(lease.open(bench.provider))
            assert await bench.reader.order_stage(lease.id) is OrderStage.CANCELLED
        await is_refused(bench.provider.accept_order(created.order, created.acceptance))

    async def test_a_running_lease_is_topped_up_out_of_the_ledger_balance(self, bench: Bench) -> None:
        lease = await bench.opened()
        before = await bench.reader.lease(lease.id)
        assert before is not None
        await is_refused(bench.client.top_up(lease.order, 100), "needed")
        extra = lease.order.price.over(100)
        await bench.client.deposit(extra)
        await bench.client.top_up(lease.order, 100)
        after = await bench.reader.lease(lease.id)
        assert after == replace(before, deposit=before.deposit + extra, overdue_at=before.overdue_at + 100)
        assert await bench.reader.ledger_balance(bench.client_address) == ZERO

    async def test_a_deposit_is_told_as_of_the_final_block(self, bench: Bench) -> None:
        lease = await bench.opened()
        before = await bench.reader.heads()
        await bench.stranger.top_up(lease.order, 7)
        after = await bench.reader.heads()
        first, raised = lease.order.collateral, lease.order.collateral + lease.order.price.over(7)
        assert await bench.reader.final_deposit(lease.id, replace(after, final=before.latest)) == first
        assert await bench.reader.final_deposit(lease.id, replace(after, final=after.latest)) == raised
        unknown = await bench.agree()
        assert await bench.reader.final_deposit(unknown.id, replace(after, final=after.latest)) == ZERO

    async def test_a_lease_is_too_late_once_a_final_block_after_its_deadline_has_none(self, bench: Bench) -> None:
        opened, never = await bench.opened(), await bench.agree()
        deadline = max(opened.acceptance.deadline, never.acceptance.deadline)

        async def late(lease: Lease, until: int = deadline) -> bool:
            heads = await bench.reader.heads()
            return await bench.reader.too_late(lease.id, until, replace(heads, final=heads.latest))

        assert not await late(never)
        await bench.pass_time(deadline - await bench.now() + 1)
        assert await late(never)
        assert not await late(never, await bench.now())
        assert not await late(opened), "it is there"

    async def test_anybody_may_top_a_lease_up_by_value(self, bench: Bench) -> None:
        lease = await bench.opened()
        await bench.stranger.top_up(lease.order, 7)
        record = await bench.reader.lease(lease.id)
        assert record is not None
        assert record.deposit == lease.order.collateral + lease.order.price.over(7)

    async def test_only_a_running_lease_is_topped_up(self, bench: Bench) -> None:
        lease, unknown = await bench.opened(), await bench.agree()
        await bench.client.deposit(FIL)
        await is_refused(bench.client.top_up(unknown.order, 10))
        end = End(lease.hash, ZERO, 0, EndReason.CLIENT_ENDED, await bench.now())
        await bench.client.end_lease(end, bench.signing.sign(end, bench.client_account))
        await is_refused(bench.client.top_up(lease.order, 10))
