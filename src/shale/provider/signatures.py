"""Signatures: whether a message is its client's: signed by the client's key, or by the contract that the client is."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

from shale.chain.chain import Chain
from shale.errors import InputRefused, Unavailable
from shale.market.signing import Signable, SigningDomain
from shale.units import Address

MAX_BYTES = 1024
"""Of a contract's signature: that of a dozen keys."""
_FORM = re.compile(rf"0x(?:[0-9a-fA-F]{{2}}){{1,{MAX_BYTES}}}")
_AT_ONCE = 4
_WAITING = 16
"""Strangers can have the chain asked for nothing: so many questions at once, and so many that wait for their turn."""


@dataclass(slots=True)
class Signatures:
    """One for the whole daemon. A key's signature needs no chain; only what isn't one is asked of a contract there."""

    chain: Chain
    signing: SigningDomain
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _asking: int = 0

    async def check(self, item: Signable, signature: object, client: Address) -> None:
        """Raise InputRefused unless `client` signed `item`; Unavailable while nobody can say."""
        try:
            self.signing.check(item, signature, client)
        except InputRefused as refusal:
            text = signature if isinstance(signature, str) and _FORM.fullmatch(signature) else ""
            if not text or not await self._ask(client, self.signing.digest(item), text):
                hint = "sign it with the client's key, or as its contract takes it (ERC-1271)"
                raise InputRefused(refusal.message, hint) from None

    async def _ask(self, client: Address, digest: str, signature: str) -> bool:
        if self._asking >= _AT_ONCE + _WAITING:
            raise Unavailable("too many contracts are asked for their signatures just now", "try again in a moment")
        self._asking += 1
        try:
            async with self._gate:
                return await self.chain.contract_signed(client, digest, signature)
        finally:
            self._asking -= 1
