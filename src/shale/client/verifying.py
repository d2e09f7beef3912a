"""Verifying: what a lease's provider claims of the dataset, by the offer that was ordered from, and how to read it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shale.datasets.audit import ClaimedPiece, Command
from shale.errors import InputRefused, ShaleError
from shale.market.offer import Dataset, Piece, SignedOffer, offer_from_contents
from shale.market.order import text_of, whole
from shale.paths import write_private
from shale.units import Cid
from shale.wire import read_json

if TYPE_CHECKING:
    from shale.client.rental import Rental
    from shale.client.store import Store
    from shale.market.signing import SigningDomain

GUEST = "/.shale/bin/shale-guest"
PROOFS = "/.shale/dataset"
"""Where a lease's container has Shale's own program, and what proves its dataset."""
_OFFER_FILE = "offer.json"


@dataclass(frozen=True, slots=True)
class Claim:
    """A dataset as a signed offer describes it; `ordered`: it is the very offer that the order was made on."""

    dataset: Dataset
    ordered: bool

    @property
    def pieces(self) -> tuple[ClaimedPiece, ...]:
        """The pieces that may hold the root."""
        listed = tuple(ClaimedPiece(piece.cid, piece.padded_size) for piece in self.dataset.pieces)
        return listed or (ClaimedPiece(self.dataset.piece),)

    def piece(self, cid: Cid) -> Piece | None:
        return next((piece for piece in self.dataset.pieces if piece.cid == cid), None)


def keep_offer(store: Store, name: str, signed: SignedOffer) -> None:
    """Keep what the provider signed beside the lease's keys, for as long as the lease lives."""
    raw = {
        "contents": signed.contents.decode(),
        "issued_at": signed.issued_at,
        "expires_at": signed.expires_at,
        "signature": signed.signature,
    }
    write_private(store.folder(name) / _OFFER_FILE, json.dumps(raw).encode())


async def claim_of(
    rental: Rental, store: Store, signing: SigningDomain, fetch: Callable[[], Awaitable[SignedOffer]]
) -> Claim:
    """What the provider claimed of the lease's dataset when it was ordered; if that is lost, what it claims now."""
    root = rental.order.dataset
    if not root:
        raise InputRefused(f"the lease {rental.name} has no dataset", "rent with shale up --dataset CID:/data")
    signed = _kept(rental, store, signing)
    ordered = signed is not None
    if signed is None:
        signed = await fetch()
    dataset = next((entry for entry in signed.offer.datasets if entry.root == root), None)
    if dataset is None:
        raise InputRefused(
            f"{rental.provider_name} no longer offers {root}",
            "inside the lease: shale verify PATH --root CID --piece CID",
        )
    return Claim(dataset, ordered)


def _kept(rental: Rental, store: Store, signing: SigningDomain) -> SignedOffer | None:
    """The kept offer, if it is the one that the order names: no other file can pass for it."""
    try:
        raw = read_json((store.folder(rental.name) / _OFFER_FILE).read_bytes())
        contents = raw["contents"].encode()
        signed = SignedOffer(
            offer_from_contents(contents),
            contents,
            whole(raw["issued_at"]),
            whole(raw["expires_at"]),
            text_of(raw["signature"], 132),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ShaleError):
        return None
    return signed if signing.offer_hash(signed) == rental.order.offer else None


def reader_of(rental: Rental, ssh: Sequence[str]) -> Command:
    """Reads of a lease's dataset and proofs, by a command at the end of the words that reach it by ssh."""
    return Command((*ssh, shlex.join([GUEST, "read", rental.mount, PROOFS])))
