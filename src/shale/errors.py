"""The error tree: each class says what the caller does next; only the edges (CLI, daemon, API) catch."""

from __future__ import annotations


class ShaleError(Exception):
    """The root. `message` says what happened, `hint` what to do; both are one line."""

    code = "refused"
    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class Refused(ShaleError):
    """The other side, or a rule, says no: repeating it won't help."""


class InputRefused(Refused):
    """A value from outside is malformed or out of bounds."""


class VoucherRefused(Refused):
    """A voucher breaks a rule of payment: `reason` is one of the names in payments/voucher.py."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(ShaleError):
    """Something that should answer doesn't: retry later."""

    code = "unavailable"


class Closed(ShaleError):
    """We, or the other side, ended it."""

    code = "closed"


class ConfigError(ShaleError):
    """The user must edit or set up something; the hint names it."""

    code = "config"


_BY_CODE: dict[str, type[ShaleError]] = {
    "refused": Refused,
    "unavailable": Unavailable,
    "closed": Closed,
    "config": ConfigError,
}


def from_wire(code: str, message: str, hint: str = "") -> ShaleError:
    """The error that another process reported by its code; an unknown code counts as unavailable."""
    return _BY_CODE.get(code, Unavailable)(message[:500], hint[:500])
