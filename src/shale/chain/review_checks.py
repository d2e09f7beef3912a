"""The reviews' part of the suite that every Chain must pass: signed ones, and the reading of all."""

from __future__ import annotations

from dataclasses import replace

from shale.chain.bench import Bench, Lease, is_refused
from shale.chain.chain import ReviewRecord
from shale.market.lease import EndReason
from shale.market.review import Review, Standing
from shale.payments.batch import Leaf, Operation
from shale.units import ZERO


class ReviewChecks:
    """What callers rely on when clients have their say, by themselves or through whoever has gas."""

    async def test_a_signed_review_counts_once_whoever_posts_it(self, bench: Bench) -> None:
        lease, me, reader = await bench.opened(), bench.provider_address, bench.reader
        deadline = await bench.now() + 3600
        review = Review(lease.hash, 4, "steady – 快", deadline)
        signature = bench.signing.sign(review, bench.client_account)
        await is_refused(bench.stranger.review_signed(lease.order, review, signature), "settled")

        paid = await bench.voucher(lease, 40)
        await bench.pass_time(60)
        leaf = Leaf(0, lease.id, lease.order.pay_key)
        await bench.settle([], [Operation(leaf, True, True, paid, EndReason.CLIENT_ENDED)], size=1)
        other = await bench.agree()
        late = replace(review, deadline=await bench.now() - 10)
        for order, said, signed, why in (
            (lease.order, review, bench.signing.sign(review, bench.provider_account), "sign"),
            (lease.order, replace(review, stars=5), signature, "sign"),
            (lease.order, replace(review, comment="slow"), signature, "sign"),
            (lease.order, replace(review, deadline=deadline + 1), signature, "sign"),
            (lease.order, late, bench.signing.sign(late, bench.client_account), "deadline"),
            (other.order, review, signature, "another order"),
        ):
            await is_refused(bench.stranger.review_signed(order, said, signed), why)
        unknown = replace(review, order=other.hash)
        signed = bench.signing.sign(unknown, bench.client_account)
        await is_refused(bench.stranger.review_signed(other.order, unknown, signed), "settled")
        assert await reader.reviews(me, 10) == []

        receipt = await bench.stranger.review_signed(lease.order, review, signature)
        assert await reader.standing(me) == Standing(1, 40, 160, paid.amount, paid.amount.value * 4)
        await is_refused(bench.stranger.review_signed(lease.order, review, signature), "one review")
        await is_refused(bench.client.review(lease.order, Review(lease.hash, 1, "")), "one review")
        (found,) = await reader.reviews(me, 10)
        assert abs(found.at - await bench.now()) < 60
        assert found == ReviewRecord(
            lease.id, bench.client_address, 4, 40, paid.amount, "steady – 快", receipt.tx, found.at
        )

    async def test_a_contracts_review_counts_by_what_it_calls_its_signature(self, bench: Bench) -> None:
        assert bench.wallet is not None
        contract = await bench.wallet()
        lease = await bench.agree(client=contract)
        await lease.open(bench.stranger)
        await bench.provider.refund([lease.id])
        review = Review(lease.hash, 4, "", await bench.now() + 3600)
        forged = bench.signing.sign(review, bench.stranger_account)
        await is_refused(bench.client.review(lease.order, review), "client")
        await is_refused(bench.client.review_signed(lease.order, review, forged), "sign")
        await bench.client.review_signed(lease.order, review, bench.signing.sign(review, bench.client_account))
        (found,) = await bench.reader.reviews(bench.provider_address, 10)
        assert (found.client, found.stars) == (contract, 4)

    async def test_reviews_are_read_newest_first_as_many_as_are_asked_for(self, bench: Bench) -> None:
        leases = [await bench.opened() for _ in range(4)]
        await bench.provider.refund([lease.id for lease in leases])

        async def say(lease: Lease, stars: int) -> None:
            await bench.client.review(lease.order, Review(lease.hash, stars, f"{stars} of 5"))

        for stars, lease in enumerate(leases[:3], 1):
            await say(lease, stars)
        me = bench.provider_address
        found = await bench.reader.reviews(me, 10)
        assert [review.lease for review in found] == [lease.id for lease in reversed(leases[:3])]
        assert [(review.stars, review.weight_seconds, review.paid, review.comment) for review in found] == [
            (stars, 0, ZERO, f"{stars} of 5") for stars in (3, 2, 1)
        ]
        assert {review.client for review in found} == {bench.client_address}
        await say(leases[3], 4)
        assert [review.stars for review in await bench.reader.reviews(me, 2)] == [4, 3]
        assert await bench.reader.reviews(bench.client_address, 10) == []
