"""Verify: check from the client's side that a lease has the dataset that was ordered, and that it lies in its piece."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.client.cli.bars import counted
from shale.client.cli.context import Context, json_option
from shale.client.cli.output import emit, plain
from shale.errors import InputRefused, Refused
from shale.units import Cid, format_bytes

if TYPE_CHECKING:
    from shale.client.verifying import Claim
    from shale.datasets.audit import Failure, Proven
    from shale.datasets.run import Progress

DEFAULT_SAMPLE = 64
MAX_SAMPLE = 1 << 20

Audit = Callable[["Progress | None"], Awaitable["Proven | Failure"]]


@click.command()
@click.argument("name")
@click.option(
    "--sample",
    metavar="N",
    type=click.IntRange(1, MAX_SAMPLE),
    default=DEFAULT_SAMPLE,
    show_default=True,
    help="Read N leaves chosen at random.",
)
@click.option("--root", metavar="CID", help="The dataset's root CID; with a PATH.")
@click.option("--piece", "pieces", metavar="CID", multiple=True, help="A piece that may hold the root; with a PATH.")
@click.option(
    "--proofs",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where the proofs are mounted; with a PATH. In a lease it is known.",
)
@json_option
@click.pass_context
def command(
    click_context: click.Context,
    name: str,
    sample: int,
    root: str | None,
    pieces: tuple[str, ...],
    proofs: Path | None,
    as_json: bool,
) -> None:
    """Prove the dataset of lease NAME: random leaves up to the root ordered, the root up to the piece offered.

    Inside a lease: shale verify PATH --root CID --piece CID, where PATH (which has a slash) is the dataset's folder.
    The exit status is 1 if anything is not proven.
    """
    if "/" in name:
        if root is None:
            raise InputRefused("which dataset should be there is not said", "give --root CID, and --piece CID")
        found, claim = counted("verifying", "leaves", _folder(Path(name), Cid(root), pieces, proofs, sample)), None
    elif root or pieces or proofs:
        raise InputRefused(
            "--root, --piece and --proofs go with a PATH", "a lease's own are in its order and its offer"
        )
    else:
        found, claim = _lease(name, sample)
    _show(click_context, name, found, claim, as_json)


def _folder(data: Path, root: Cid, pieces: tuple[str, ...], proofs: Path | None, sample: int) -> Audit:
    from shale.client.verifying import PROOFS
    from shale.datasets.audit import ClaimedPiece, Folders, audit

    claimed = [ClaimedPiece(Cid(piece)) for piece in pieces]
    return lambda progress: audit(root, claimed, sample, Folders(data, proofs or Path(PROOFS)), progress)


def _lease(name: str, sample: int) -> tuple[Proven | Failure, Claim]:
    from shale.client.cli.run import ssh_arguments
    from shale.client.discovery import fetch_offer
    from shale.client.store import Store
    from shale.client.verifying import claim_of, reader_of
    from shale.client.wiring import chain_of, network_of, signing_of
    from shale.clock import SystemClock
    from shale.datasets.audit import audit
    from shale.market.offer import SignedOffer

    context = Context()
    ssh = ssh_arguments(context, name, tty=False)
    claims: list[Claim] = []
    with closing(Store(context.home)) as store:
        rental = store.rental(name)
        network = network_of(context.home, rental.network)
        signing = signing_of(network)

        async def fetch() -> SignedOffer:
            async with chain_of(network) as chain:
                record = await chain.provider(rental.order.provider)
            if record is None:
                raise Refused(f"{rental.provider_name} has left the registry", "end the lease: shale end NAME")
            return await fetch_offer(record, signing, SystemClock().now())

        async def work(progress: Progress | None) -> Proven | Failure:
            claims.append(await claim_of(rental, store, signing, fetch))
            root = Cid(rental.order.dataset)
            return await audit(root, claims[0].pieces, sample, reader_of(rental, ssh), progress)

        return counted("verifying", "leaves", work), claims[0]


def _show(context: click.Context, name: str, found: Proven | Failure, claim: Claim | None, as_json: bool) -> None:
    from shale.datasets.audit import Failure

    if isinstance(found, Failure):
        if not as_json:
            raise Refused(plain(str(found)), _advice(found, "" if "/" in name else name))
        emit({"ok": False, "failure": asdict(found)})
        context.exit(1)
    if as_json:
        emit({"ok": True, **asdict(found), "as_ordered": claim.ordered if claim else None})
        return
    files = f"{found.files} file{'' if found.files == 1 else 's'}"
    click.echo(
        f"leaves    {found.leaves} chosen at random, in {files}, {format_bytes(found.size)} read through the mount"
    )
    click.echo(f"root      {found.root}, by {found.blocks} blocks")
    click.echo(f"piece     {_piece(found, claim)}")
    click.echo(f"time      {found.ms_leaf:.1f} ms a leaf, {found.ms_slowest:.1f} for the slowest")


def _advice(found: Failure, lease: str) -> str:
    """What to do; only what contradicts the claim is called another dataset than the one ordered."""
    from shale.datasets.audit import PIECE_PROOF

    leave = f": copy what you need, shale end {lease}" if lease else ""
    if found.kind == "wrong":
        return f"not what was ordered{leave}"
    if found.path == PIECE_PROOF:
        later = ", or in a later lease" if lease else ""
        return f"nothing is proven or disproven, the proof of the piece can't be read: try again in some minutes{later}"
    return f"nothing is proven or disproven: try again, and if it stays{leave or ', ask who mounts it'}"


def _piece(found: Proven, claim: Claim | None) -> str:
    """Which piece holds the root, and who says that it should."""
    if found.piece is None:
        return "none was claimed: that the root lies in one is not proven"
    if claim is None:
        return f"{found.piece} holds the root"
    said = "as offered when it was ordered" if claim.ordered else "as offered now"
    piece = claim.piece(found.piece)
    if piece is not None and piece.claim is not None:
        said = f"claim {piece.claim.id}, sector {piece.claim.sector}, {said}"
    return f"{found.piece} holds the root ({said})"
