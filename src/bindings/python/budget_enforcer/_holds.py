# SPDX-License-Identifier: Apache-2.0
"""What a `with` block holds: settled within it, or released at its end."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._enforcer import BudgetEnforcer
    from ._native import Amount, Transaction


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
        self._hold = Hold(self._budget, self._budget.commit(*self._arguments, **self._options))
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

    def _is_to_end(self) -> bool:
        """A fork child that leaves the block of its parent gives back nothing of its parent's."""
        return not self.ended and os.getpid() == self._pid


class Hold(_Held):
    """A commit within `with`."""

    __slots__ = ()

    def settle(self, amount: Amount, description: Optional[str] = None) -> Transaction:
        """Charges what it really cost, less or more than what was held, and frees the rest."""
        transaction = self._budget.settle(self.id, amount, description)
        self.ended = True
        return transaction

    def release(self) -> bool:
        """Gives it back; False when it had ended before."""
        if self.ended:
            return False
        released = self._budget.release(self.id)
        self.ended = True
        return released

    def extend(self, amount: Amount, *, ttl_ms: int = 0) -> None:
        """Holds another amount, until so many milliseconds from now (0: no deadline)."""
        self._budget.extend(self.id, amount, ttl_ms=ttl_ms)

    def end(self) -> None:
        """What the end of the block does."""
        if self._is_to_end():
            self.release()


class AsyncHold(_Held):
    """A commit within `async with`. A task that is cancelled leaves nothing held, and what it has
    begun to settle is settled."""

    __slots__ = ()

    async def settle(self, amount: Amount, description: Optional[str] = None) -> Transaction:
        """Charges what it really cost, less or more than what was held, and frees the rest."""
        self.ended = True
        try:
            return await self._budget.asettle(self.id, amount, description)
        except Exception:
            self.ended = False
            raise

    async def release(self) -> bool:
        """Gives it back; False when it had ended before."""
        if self.ended:
            return False
        self.ended = True
        return await self._budget.arelease(self.id)

    async def extend(self, amount: Amount, *, ttl_ms: int = 0) -> None:
        """Holds another amount, until so many milliseconds from now (0: no deadline)."""
        await self._budget.aextend(self.id, amount, ttl_ms=ttl_ms)

    async def end(self) -> None:
        """What the end of the block does."""
        if self._is_to_end():
            await self.release()
