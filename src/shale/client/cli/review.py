"""Review: a client's word on a settled lease; on chain it weighs as many seconds as were paid and passed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.client.cli.context import Context, json_option, password_option, run_async
from shale.client.cli.output import emit
from shale.errors import Closed, Refused

if TYPE_CHECKING:
    from shale.chain.chain import Chain, LeaseRecord, Receipt
    from shale.client.rental import Rental
    from shale.client.store import Store
    from shale.market.review import Review


@click.command()
@click.argument("name", required=False)
@click.option("--stars", type=click.IntRange(1, 5), help="1 to 5.")
@click.option("--comment", help="At most 280 bytes; anyone can read it, for ever.")
@click.option(
    "--sign-only", "out", metavar="FILE", type=click.Path(path_type=Path),
    help="Send nothing: sign the review into FILE, for anyone to post within 30 days.",
)  # fmt: skip
@click.option(
    "--post", "source", metavar="FILE", type=click.Path(path_type=Path),
    help="Post the review that somebody signed into FILE; your wallet pays the gas.",
)  # fmt: skip
@password_option
@json_option
def command(
    name: str | None,
    stars: int | None,
    comment: str | None,
    out: Path | None,
    source: Path | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Rate the provider of the lease NAME, once, after it is settled.

    A wallet without FIL for gas signs only, and anybody posts it. Read reviews with shale reviews.
    """
    if source is not None:
        if name is not None or stars is not None or comment is not None or out is not None:
            raise click.UsageError("--post takes the file alone: all else stands in it")
        _post(source, password_file, as_json)
    elif name is None:
        raise click.UsageError("name a lease, or a signed review with --post FILE")
    elif stars is None:
        raise click.UsageError("say how many --stars: 1 to 5")
    else:
        _review(name, stars, comment or "", out, password_file, as_json)


def _review(name: str, stars: int, comment: str, out: Path | None, password_file: Path | None, as_json: bool) -> None:
    from shale.client.store import Store
    from shale.market.review import Review

    context = Context()
    store = Store(context.home)
    try:
        rental = store.rental(name)
        review = Review(rental.order_hash, stars, comment)
        if rental.reviewed:
            raise Closed(f"the lease {name} is reviewed already", "each lease is reviewed once")
        if not rental.ended:
            raise Refused(f"the lease {name} still runs", f"end it first: shale end {name}")
        if out is None:
            _send(context, store, rental, review, password_file, as_json)
        else:
            _sign(context, store, rental, review, out, password_file, as_json)
    finally:
        store.close()


def _send(
    context: Context, store: Store, rental: Rental, review: Review, password_file: Path | None, as_json: bool
) -> None:
    from shale.client import wallet
    from shale.client.reviewing import give, weight_of
    from shale.client.wiring import chain_of, network_of, signing_of

    network = network_of(context.home, rental.network)
    account = wallet.open_wallet(context.home, context.password(password_file))

    async def send() -> tuple[LeaseRecord, Receipt]:
        async with chain_of(network, account) as chain:
            record = await _reviewable(chain, store, rental)
            receipt = await give(chain, signing_of(network), account, rental.order, review)
            store.set_reviewed(rental.id)
            return record, receipt

    record, receipt = run_async(send)
    weight = weight_of(rental.order, record)
    said = {"stars": review.stars, "comment": review.comment, "weight_seconds": weight, "tx": receipt.tx}
    if as_json:
        emit({"name": rental.name} | said)
    else:
        click.echo(f"{review.stars} stars for {rental.provider_name}, weighing {weight} s  (transaction {receipt.tx})")


def _sign(
    context: Context, store: Store, rental: Rental, review: Review, out: Path, password_file: Path | None, as_json: bool
) -> None:
    from shale.client import wallet
    from shale.client.reviewing import SignedReview, dated, day_of, write_signed
    from shale.client.wiring import chain_of, network_of, signing_of

    network = network_of(context.home, rental.network)
    account = wallet.open_wallet(context.home, context.password(password_file))

    async def good_for_now() -> Review:
        async with chain_of(network) as chain:
            await _reviewable(chain, store, rental)
            return await dated(chain, review)

    said, domain = run_async(good_for_now), signing_of(network)
    signed = SignedReview(domain, rental.order, said, domain.sign(said, account))
    write_signed(signed, out)
    if as_json:
        emit({"name": rental.name, "file": str(out)} | signed.to_json())
        return
    click.echo(f"{said.stars} stars for {rental.provider_name}, signed into {out}")
    click.echo(f"Anyone can post it until {day_of(said.deadline)}: shale review --post {out}")


def _post(source: Path, password_file: Path | None, as_json: bool) -> None:
    from shale.client import wallet
    from shale.client.reviewing import post, read_signed, weight_of
    from shale.client.wiring import chain_of, network_of, signing_of

    context = Context()
    signed = read_signed(source)
    network = network_of(context.home, context.network_name)
    account = wallet.open_wallet(context.home, context.password(password_file))

    async def send() -> tuple[LeaseRecord, Receipt]:
        async with chain_of(network, account) as chain:
            return await post(chain, signing_of(network), signed)

    record, receipt = run_async(send)
    order, review, weight = signed.order, signed.review, weight_of(signed.order, record)
    if as_json:
        emit(
            {
                "lease_id": review.lease, "client": order.client, "provider": order.provider, "stars": review.stars,
                "comment": review.comment, "weight_seconds": weight, "tx": receipt.tx,
            }
        )  # fmt: skip
    else:
        click.echo(f"{review.stars} stars by {order.client}")
        click.echo(f"for {order.provider}, weighing {weight} s  (transaction {receipt.tx})")


async def _reviewable(chain: Chain, store: Store, rental: Rental) -> LeaseRecord:
    """The lease's record, which the books take over, if it can be reviewed."""
    from shale.client.reviewing import reviewable

    try:
        record = await reviewable(chain, rental.id, rental.name)
    except Closed:
        store.set_reviewed(rental.id)
        raise
    store.settle(rental.id, record.paid, record.seconds)
    return record
