"""Fees: what a transaction offers for its gas, and what it offers instead when that was too little.

Filecoin burns a part of the gas limit that is over 110 % of what was used, so the margin over an estimate is small;
its base fee moves by an eighth an epoch, so twice the present one holds for at least five of the worst. A node takes a
replacement from 25 % more premium on (Lotus, Forest; 10 % of both on Ethereum's).
"""

from __future__ import annotations

import secrets

from shale.chain.transactions import Fees
from shale.units import AttoFil

MAX_FEE = AttoFil(2 * 10**18)
"""What a transaction's gas may cost at most if no setting says else: no node talks us into burning the wallet."""
MAX_DATA = (64 << 10) - 1024
"""Filecoin's nodes take no message over 64 KiB, with signature and all."""
_MARGIN = (5, 4)


def gas_limit(estimate: int, block_limit: int) -> int:
    """A quarter over the estimate, since state moves until the transaction lands; but what a block can hold.

    Less a little, by chance: two processes that mean the same at the same moment make two transactions, not one whose
    bytes both take for their own.
    """
    wanted = estimate * _MARGIN[0] // _MARGIN[1] - secrets.randbelow(estimate // 64 + 1)
    return max(estimate, min(wanted, block_limit)) if block_limit else wanted


def market(base: int, tip: int) -> Fees:
    """The offer at the present base fee, with the tip that the node advises."""
    return Fees(tip, 2 * base + tip)


def raised(old: Fees, now: Fees) -> Fees:
    """The offer that replaces an old one: 30 % more of each, or the present market if that is more."""
    return Fees(max(now.tip, _more(old.tip)), max(now.most, _more(old.most), now.most - now.tip + _more(old.tip)))


def affordable(fees: Fees, gas: int, limit: AttoFil = MAX_FEE) -> bool:
    return gas * fees.most <= limit.value


def _more(value: int) -> int:
    return value * 13 // 10 + 1
