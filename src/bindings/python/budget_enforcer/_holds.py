# SPDX-License-Identifier: Apache-2.0
"""What a `with` block holds: settled within it, or released at its end."""
from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._enforcer import BudgetEnforcer
    from ._native import Amount, Labels, Transaction


class Reservation:
    """What reserve() returns: nothing is held before `with` or `async with`."""

    __slots__ = ("_arguments", "_budget", "_hold", "_options")

    def __init__(self, budget: BudgetEnforcer, arguments: tuple[Any, ...],
                 options: dict[str, Any]) -> None:
        self._budget = budget
        self._arguments = arguments
        self._options = options
        self._hold: Any = None

    def __enter__(self) -> Hold:
        commit_id = self._budget.commit(*self._arguments, **self._options)
        self._hold = Hold(self._budget, commit_id)
        return self._hold

    def __exit__(self, *_: object) -> None:
        self._hold.end()

    async def __aenter__(self) -> AsyncHold:
        commit_id = await self._budget.acommit(*self._arguments, **self._options)
        self._hold = AsyncHold(self._budget, commit_id)
        return self._hold

    async def __aexit__(self, *_: object) -> None:
        await self._hold.end()


class _Held:
    __slots__ = ("_budget", "_pid", "ended", "id")

    def __init__(self, budget: BudgetEnforcer, commit_id: int) -> None:
        self._budget = budget
        self._pid = os.getpid()
        self.id = commit_id
        self.ended = False

    @property
    def amount(self) -> Decimal:
        """What it holds now; 0 when it has ended. It is asked of the budget: after a commit with
        `least`, extend() and charge() it may be anything."""
        found = next(self._budget.commits(after_id=self.id - 1, page=1), None)
        return found.amount if found is not None and found.id == self.id else Decimal(0)

    def _is_to_end(self) -> bool:
        """A fork child that leaves the block of its parent gives back nothing of its parent's."""
        return not self.ended and os.getpid() == self._pid


class Hold(_Held):
    """A commit within `with`."""

    __slots__ = ()

    def settle(self, amount: Amount, description: Optional[str] = None, *,
               labels: Optional[Labels] = None) -> Transaction:
        """Charges what it really cost, less or more than what was held, and frees the rest. Labels
        are added to those of the commit."""
        transaction = self._budget.settle(self.id, amount, description, labels=labels)
        self.ended = True
        return transaction

    def charge(self, amount: Amount, description: Optional[str] = None, *,
               labels: Optional[Labels] = None) -> Transaction:
        """Charges a part of it, and goes on holding the rest: for the many calls of one task."""
        return self._budget.charge(self.id, amount, description, labels=labels)

    def release(self) -> bool:
        """Gives it back; False when it had ended before."""
        if self.ended:
            return False
        released = self._budget.release(self.id)
        self.ended = True
        return released

    def extend(self, amount: Optional[Amount] = None, *, ttl_ms: int = 0) -> None:
        """Holds another amount, or the same, until so many milliseconds from now (0: always)."""
        self._budget.extend(self.id, amount, ttl_ms=ttl_ms)

    def end(self) -> None:
        """What the end of the block does."""
        if self._is_to_end():
            self.release()


class AsyncHold(_Held):
    """A commit within `async with`. A task that is cancelled leaves nothing held, and what it has
    begun to settle is settled."""

    __slots__ = ()

    async def settle(self, amount: Amount, description: Optional[str] = None, *,
                     labels: Optional[Labels] = None) -> Transaction:
        """Charges what it really cost, less or more than what was held, and frees the rest. Labels
        are added to those of the commit."""
        self.ended = True
        try:
            return await self._budget.asettle(self.id, amount, description, labels=labels)
        except Exception:
            self.ended = False
            raise

    async def charge(self, amount: Amount, description: Optional[str] = None, *,
                     labels: Optional[Labels] = None) -> Transaction:
        """Charges a part of it, and goes on holding the rest: for the many calls of one task."""
        return await self._budget.acharge(self.id, amount, description, labels=labels)

    async def release(self) -> bool:
        """Gives it back; False when it had ended before."""
        if self.ended:
            return False
        self.ended = True
        return await self._budget.arelease(self.id)

    async def extend(self, amount: Optional[Amount] = None, *, ttl_ms: int = 0) -> None:
        """Holds another amount, or the same, until so many milliseconds from now (0: always)."""
        await self._budget.aextend(self.id, amount, ttl_ms=ttl_ms)

    async def end(self) -> None:
        """What the end of the block does."""
        if self._is_to_end():
            await self.release()
