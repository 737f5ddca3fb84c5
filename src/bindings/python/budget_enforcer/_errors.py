# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, as exceptions, and what observers are told. The native half imports this."""
from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Optional

if TYPE_CHECKING:
    from ._native import Alert, Decision, Envelope


class BudgetError(Exception):
    """Anything but yes. `reason` is the name of the status, `status` its number;
    `failed`, of apply(), the index of the change that could not be made."""

    status: int = 0
    reason: str = ""
    decision: Optional[Decision] = None
    failed: Optional[int] = None


class Refused(BudgetError):
    """All works, and the answer is no. `decision` has the figures, where there are any."""


class ExceedsBudget(Refused):
    """The amount is more than what is available."""


class NoEnvelope(Refused):
    """Nobody has set a limit for that category."""


class Suspended(Refused):
    """An operator has suspended the envelope, or one above it."""


class Fault(BudgetError):
    """The call, the environment or the machine is wrong."""


class InvalidCall(Fault, ValueError):
    """What was passed cannot be right: an amount of more than nine decimals, say."""


class EnvironmentFault(Fault):
    """What is in the directory: missing, damaged, of another version, ..."""


class MachineFault(Fault, OSError):
    """Permissions, a full disk, memory, ..."""


class Event(NamedTuple):
    """One outcome, as an observer is told of it; `repeated` when nothing was done, since a request
    with that key had been. `envelope` is as it is afterwards, where there is one. When a threshold
    was crossed the operation is "alert", and `alert` says which."""

    operation: str
    status: str
    commit_id: int
    transaction_id: int
    amount: Decimal
    at_ns: int
    namespace: str
    category: str
    repeated: bool = False
    envelope: Optional[Envelope] = None
    alert: Optional[Alert] = None


_REFUSALS: dict[int, type[Refused]] = {-1: ExceedsBudget, -2: NoEnvelope, -3: Suspended}


def _kind_of(status: int) -> type[BudgetError]:
    if status > -100:
        return _REFUSALS.get(status, Refused)
    if status > -130:
        return InvalidCall
    return EnvironmentFault if status > -160 else MachineFault


def raise_status(status: int, reason: str, text: str, decision: Optional[Decision]) -> NoReturn:
    """The library's statuses, by their ranges."""
    error = _kind_of(status)(text)
    error.status = status
    error.reason = reason
    error.decision = decision
    raise error
