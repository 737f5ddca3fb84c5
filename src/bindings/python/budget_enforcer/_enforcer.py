# SPDX-License-Identifier: Apache-2.0
"""The handle: what the native half does, and what is better written in Python."""
from __future__ import annotations

import asyncio
import functools
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, Optional, TypeVar, Union

from . import _native, _threads
from ._errors import Event, InvalidCall
from ._holds import Reservation

if TYPE_CHECKING:
    from ._native import Amount, Commit, Durability, Envelope, OnDeath, Transaction

_Self = TypeVar("_Self", bound="BudgetEnforcer")
_T = TypeVar("_T")


def _place(path: Optional[Union[str, os.PathLike[str]]]) -> str:
    """Absolute, since processes that it is pickled to may have another working directory."""
    if path is None:
        path = os.environ.get("BUDGET_ENFORCER_DIR")
    if not path:
        raise InvalidCall("where is the budget? Pass a path, set BUDGET_ENFORCER_DIR, or pass "
                          "memory=True for one that is forgotten at the end")
    return os.path.abspath(os.fspath(path))


class BudgetEnforcer(_native.Enforcer):
    """A handle on an environment, the directory `path` or that of BUDGET_ENFORCER_DIR, for one
    namespace. Any number of threads, tasks and fork children may use it at once."""

    def __init__(self, path: Optional[Union[str, os.PathLike[str]]] = None,
                 namespace: Optional[str] = None, *, memory: bool = False,
                 durability: Durability = "full", create: bool = True, read_only: bool = False,
                 owning: bool = False, mode: int = 0, map_size: int = 0,
                 observe: Optional[Callable[[Event], Any]] = None) -> None:
        place = None if memory else _place(path)
        options: Dict[str, Any] = {
            "durability": durability, "create": create, "read_only": read_only, "owning": owning,
            "mode": mode, "map_size": map_size, "observe": observe}
        self._opened = place, namespace, memory, options
        super().__init__(place, namespace, durability=durability, create=create,
                         read_only=read_only, owning=owning, mode=mode, map_size=map_size,
                         observe=observe)

    def __reduce__(self) -> Any:
        """In the processes of a pool that does not fork, the same environment opened again."""
        place, namespace, memory, options = self._opened
        if memory:
            raise TypeError("a budget in memory belongs to one process: pass a path")
        return functools.partial(type(self), **options), (place, namespace)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reserve(self, category: str, amount: Amount, description: Optional[str] = None, *,
                ttl_ms: int = 0, detached: bool = False,
                on_death: OnDeath = "release") -> Reservation:
        """For `with` and `async with`: commits at the beginning of the block, and releases at its
        end what was not settled in it."""
        return Reservation(self, (category, amount, description),
                           {"ttl_ms": ttl_ms, "detached": detached, "on_death": on_death})

    # -- listings: pages are read as they are needed, so that nothing is open in between

    def envelopes(self, *, namespace: Optional[str] = None, category: Optional[str] = None,
                  page: int = 256) -> Iterator[Envelope]:
        """All envelopes, of every namespace unless one is named, in order of their names."""
        after: tuple[Optional[str], Optional[str]] = (None, None)
        while True:
            found = self._envelopes(page, namespace, category, 0, 0, 0, *after)
            yield from found
            if not found:
                return
            after = found[-1].namespace, found[-1].category

    def commits(self, *, namespace: Optional[str] = None, category: Optional[str] = None,
                after_id: int = 0, page: int = 256) -> Iterator[Commit]:
        """The commits that hold money, in the order in which they were made."""
        while True:
            found = self._commits(page, namespace, category, 0, 0, after_id, None, None)
            yield from found
            if not found:
                return
            after_id = found[-1].id

    def transactions(self, *, namespace: Optional[str] = None, category: Optional[str] = None,
                     since_ns: int = 0, until_ns: int = 0, after_id: int = 0,
                     page: int = 256) -> Iterator[Transaction]:
        """The ledger, in the order in which it was written."""
        while True:
            found = self._transactions(page, namespace, category, since_ns, until_ns, after_id,
                                       None, None)
            yield from found
            if not found:
                return
            after_id = found[-1].id

    # -- asyncio: the same calls on threads, so that the loop goes on while the disk flushes

    async def acommit(self, category: str, amount: Amount, description: Optional[str] = None, *,
                      ttl_ms: int = 0, detached: bool = False,
                      on_death: OnDeath = "release") -> int:
        """commit(). A task that is cancelled meanwhile leaves nothing held."""
        future = _threads.submit(functools.partial(self.commit, category, amount, description,
                                                   ttl_ms=ttl_ms, detached=detached,
                                                   on_death=on_death))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # Nobody will know the id, and the loop may have ended by the time that there is one.
            future.add_done_callback(self._release_unknown)
            raise

    def _release_unknown(self, done: Any) -> None:
        if not done.cancelled() and done.exception() is None:
            _threads.submit(functools.partial(self.release, done.result()))

    async def asettle(self, commit_id: int, amount: Amount,
                      description: Optional[str] = None) -> Transaction:
        """settle(). It goes on when the task is cancelled: the money is spent."""
        return await _threads.finish(functools.partial(self.settle, commit_id, amount,
                                                       description))

    async def arecord(self, category: str, amount: Amount,
                      description: Optional[str] = None) -> Transaction:
        """record(), likewise."""
        return await _threads.finish(functools.partial(self.record, category, amount, description))

    async def arelease(self, commit_id: int) -> bool:
        """release(), likewise."""
        return await _threads.finish(functools.partial(self.release, commit_id))

    async def aextend(self, commit_id: int, amount: Amount, *, ttl_ms: int = 0) -> None:
        """extend(), likewise."""
        await _threads.finish(functools.partial(self.extend, commit_id, amount, ttl_ms=ttl_ms))
