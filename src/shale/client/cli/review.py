"""Review: a client's word on a settled lease; on chain it weighs as many seconds as were paid and passed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.client.cli.context import Context, json_option, password_option, run_async
from shale.client.cli.output import emit
from shale.errors import Closed, Refused

if TYPE_CHECKING:
    from shale.chain.chain import LeaseRecord, Receipt


@click.command()
@click.argument("name")
@click.option("--stars", required=True, type=click.IntRange(1, 5), help="1 to 5.")
@click.option("--comment", default="", help="At most 280 bytes; anyone can read it, for ever.")
@password_option
@json_option
def command(name: str, stars: int, comment: str, password_file: Path | None, as_json: bool) -> None:
    """Rate the provider of the lease NAME, once, after it is settled."""
    from shale.client import wallet
    from shale.client.store import Store
    from shale.client.wiring import chain_of, network_of
    from shale.market.review import Review, weigh

    context = Context()
    store = Store(context.home)
    try:
        rental = store.rental(name)
        review = Review(rental.order_hash, stars, comment)
        if rental.reviewed:
            raise Closed(f"the lease {name} is reviewed already", "each lease is reviewed once")
        if not rental.ended:
            raise Refused(f"the lease {name} still runs", f"end it first: shale end {name}")
        network = network_of(context.home, rental.network)
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def send() -> tuple[LeaseRecord, Receipt]:
            async with chain_of(network, account) as chain:
                record = await chain.lease(rental.id)
                if record is None:
                    raise Refused(f"the lease {name} never got to the chain", "there is nothing to review")
                if not record.closed:
                    raise Refused(f"the lease {name} is not settled yet", "try again once the provider has settled it")
                if record.reviewed:
                    store.set_reviewed(rental.id)
                    raise Closed(f"the lease {name} is reviewed already", "each lease is reviewed once")
                store.settle(rental.id, record.paid, record.seconds)
                receipt = await chain.review(rental.order, review)
                store.set_reviewed(rental.id)
                return record, receipt

        record, receipt = run_async(send)
    finally:
        store.close()
    weight = weigh(rental.price.per_second, record.paid, record.seconds, record.closed_at - record.opened_at)
    if as_json:
        emit({"name": name, "stars": stars, "comment": comment, "weight_seconds": weight, "tx": receipt.tx})
    else:
        click.echo(f"{stars} stars for {rental.provider_name}, weighing {weight} s  (transaction {receipt.tx})")
