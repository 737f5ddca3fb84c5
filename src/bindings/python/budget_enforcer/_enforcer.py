# SPDX-License-Identifier: Apache-2.0
"""The handle: what the native half does, and what is better written in Python."""
from __future__ import annotations

import asyncio
import functools
import os
import time
from typing import (TYPE_CHECKING, Any, AsyncIterator, Callable, Dict, Iterator, Optional,
                    Sequence, TypeVar, Union)

from . import _native, _threads
from ._errors import Event, InvalidCall
from ._holds import Reservation

if TYPE_CHECKING:
    from ._native import (Alert, Amount, Commit, DailySum, Durability, Envelope, Labels, Name,
                          OnDeath, Transaction)

# For wait_ms: until the window of the envelope ends that refuses, and for as long as it takes.
WAIT_WINDOW = -1
WAIT_FOREVER = 2 ** 63 - 1

# As be-ctl takes them; all else is a directory.
_SERVERS = ("postgresql://", "postgres://", "redis://", "rediss://", "redis+unix://", "unix://")

_Self = TypeVar("_Self", bound="BudgetEnforcer")
_T = TypeVar("_T")


def _place(path: Optional[Union[str, os.PathLike[str]]]) -> str:
    """Absolute, since processes that it is pickled to may have another working directory."""
    if path is None:
        path = os.environ.get("BUDGET_ENFORCER_DIR")
    if not path:
        raise InvalidCall("where is the budget? Pass a path, set BUDGET_ENFORCER_DIR, or pass "
                          "memory=True for one that is forgotten at the end")
    if isinstance(path, str) and path.startswith(_SERVERS):
        return path
    return os.path.abspath(os.fspath(path))


class BudgetEnforcer(_native.Enforcer):
    """A handle on an environment, the directory or server `path` or that of BUDGET_ENFORCER_DIR,
    for one namespace. Any number of threads, tasks and fork children may use it at once."""

    def __init__(self, path: Optional[Union[str, os.PathLike[str]]] = None,
                 namespace: Optional[str] = None, *, memory: bool = False,
                 durability: Durability = "full", create: bool = True, read_only: bool = False,
                 owning: bool = False, mode: int = 0, map_size: int = 0,
                 observe: Optional[Callable[[Event], Any]] = None, lease_ms: int = 0,
                 check_age_ms: int = 0) -> None:
        place = None if memory else _place(path)
        options: Dict[str, Any] = {
            "durability": durability, "create": create, "read_only": read_only, "owning": owning,
            "mode": mode, "map_size": map_size, "observe": observe, "lease_ms": lease_ms,
            "check_age_ms": check_age_ms}
        super().__init__(place, namespace, durability=durability, create=create,
                         read_only=read_only, owning=owning, mode=mode, map_size=map_size,
                         observe=observe, lease_ms=lease_ms, check_age_ms=check_age_ms)
        self._opened = place, namespace, memory, options

    def __reduce__(self) -> Any:
        """In the processes of a pool that does not fork, the same environment opened again."""
        place, namespace, memory, options = self._opened
        if memory:
            raise TypeError("a budget in memory belongs to one process: pass a path")
        return functools.partial(type(self), **options), (place, namespace)

    def open_namespace(self, namespace: str) -> BudgetEnforcer:
        """Another handle on the same environment, or the same memory, for another namespace, with
        the same options and observer, for as good as nothing. Either may be closed first."""
        place, _, memory, options = self._opened
        other = BudgetEnforcer.__new__(BudgetEnforcer)
        other._opened = place, namespace, memory, options
        other._open_namespace(self, namespace)
        return other

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reserve(self, category: str, amount: Amount, description: Optional[str] = None, *,
                ttl_ms: int = 0, detached: bool = False, on_death: OnDeath = "release",
                key: Optional[str] = None, wait_ms: int = 0,
                labels: Optional[Labels] = None, also: Sequence[Name] = (),
                least: Optional[Amount] = None, key_ms: int = 0) -> Reservation:
        """For `with` and `async with`: commits at the beginning of the block, and releases at its
        end what was not settled in it. With wait_ms it waits so long for the money, first come,
        first served: see WAIT_WINDOW and WAIT_FOREVER. `also` are further envelopes that must
        have it, too: in all of them, or in none. With `least`, what is there will do from that
        on: the hold's `amount` says how much."""
        return Reservation(self, (category, amount, description),
                           {"ttl_ms": ttl_ms, "detached": detached, "on_death": on_death,
                            "key": key, "wait_ms": wait_ms, "labels": labels, "also": also,
                            "least": least, "key_ms": key_ms})

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
                after_id: int = 0, page: int = 256,
                labels: Optional[Dict[str, Optional[str]]] = None) -> Iterator[Commit]:
        """The commits that hold money, in the order in which they were made. With labels only
        those that have all of them; None is any value."""
        while True:
            found = self._commits(page, namespace, category, 0, 0, after_id, None, None, labels)
            yield from found
            if not found:
                return
            after_id = found[-1].id

    def transactions(self, *, namespace: Optional[str] = None, category: Optional[str] = None,
                     since_ns: int = 0, until_ns: int = 0, after_id: int = 0,
                     page: int = 256,
                     labels: Optional[Dict[str, Optional[str]]] = None) -> Iterator[Transaction]:
        """The ledger, in the order in which it was written. With labels likewise."""
        while True:
            found = self._transactions(page, namespace, category, since_ns, until_ns, after_id,
                                       None, None, labels)
            yield from found
            if not found:
                return
            after_id = found[-1].id

    def daily_sums(self, *, namespace: Optional[str] = None, category: Optional[str] = None,
                   since_ns: int = 0, until_ns: int = 0) -> tuple[list[DailySum], int]:
        """What pruning has removed from the ledger, by UTC day, and the last transaction that is
        in it: with transactions(after_id=...) that id, these are all that was ever charged."""
        return self._daily_sums(namespace, category, since_ns, until_ns)

    def alerts(self, *, namespace: Optional[str] = None, category: Optional[str] = None,
               since_ns: int = 0, until_ns: int = 0, after_id: int = 0,
               page: int = 256) -> Iterator[Alert]:
        """What crossed a threshold, in the order in which it did."""
        while True:
            found = self._alerts(page, namespace, category, since_ns, until_ns, after_id, None,
                                 None)
            yield from found
            if not found:
                return
            after_id = found[-1].id

    def follow_alerts(self, *, namespace: Optional[str] = None, category: Optional[str] = None,
                      after_id: int = 0, interval: float = 1.0) -> Iterator[Alert]:
        """alerts(), and then those to come, which it looks for every `interval` seconds: without
        end. Of several that follow, the one whose alert_done() is True is to act."""
        while True:
            for alert in self.alerts(namespace=namespace, category=category, after_id=after_id):
                after_id = alert.id
                yield alert
            time.sleep(interval)

    async def afollow_alerts(self, *, namespace: Optional[str] = None,
                             category: Optional[str] = None, after_id: int = 0,
                             interval: float = 1.0) -> AsyncIterator[Alert]:
        """follow_alerts() for `async for`."""
        while True:
            for alert in self.alerts(namespace=namespace, category=category, after_id=after_id):
                after_id = alert.id
                yield alert
            await asyncio.sleep(interval)

    # -- asyncio: the same calls on threads, so that the loop goes on while the disk flushes

    async def acommit(self, category: str, amount: Amount, description: Optional[str] = None, *,
                      ttl_ms: int = 0, detached: bool = False, on_death: OnDeath = "release",
                      key: Optional[str] = None, wait_ms: int = 0,
                      labels: Optional[Labels] = None, also: Sequence[Name] = (),
                      least: Optional[Amount] = None, key_ms: int = 0) -> int:
        """commit(). A task that is cancelled meanwhile leaves nothing held, unless there is a key,
        whose next request finds it. Those that wait do so on threads of their own: the others are
        there to free what they wait for."""
        is_wanted = True
        submit = _threads.submit_waiting if wait_ms else _threads.submit
        future = submit(functools.partial(self.commit, category, amount, description,
                                          ttl_ms=ttl_ms, detached=detached, on_death=on_death,
                                          key=key, wait_ms=wait_ms, labels=labels, also=also,
                                          least=least, key_ms=key_ms,
                                          keep_waiting=lambda: is_wanted))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            is_wanted = False
            # Nobody will know the id, and the loop may have ended by the time that there is one.
            # With a key it may be that of an earlier request, which holds it.
            if key is None:
                future.add_done_callback(self._release_unknown)
            raise

    def _release_unknown(self, done: Any) -> None:
        if not done.cancelled() and done.exception() is None:
            _threads.submit(functools.partial(self.release, done.result()))

    async def asettle(self, commit_id: int, amount: Amount, description: Optional[str] = None, *,
                      key: Optional[str] = None, key_ms: int = 0,
                      labels: Optional[Labels] = None) -> Transaction:
        """settle(). It goes on when the task is cancelled: the money is spent."""
        return await _threads.finish(functools.partial(
            self.settle, commit_id, amount, description, key=key, key_ms=key_ms, labels=labels))

    async def acharge(self, commit_id: int, amount: Amount, description: Optional[str] = None, *,
                      key: Optional[str] = None, key_ms: int = 0,
                      labels: Optional[Labels] = None) -> Transaction:
        """charge(), likewise."""
        return await _threads.finish(functools.partial(
            self.charge, commit_id, amount, description, key=key, key_ms=key_ms, labels=labels))

    async def arecord(self, category: str, amount: Amount, description: Optional[str] = None, *,
                      key: Optional[str] = None, key_ms: int = 0,
                      labels: Optional[Labels] = None, also: Sequence[Name] = ()) -> Transaction:
        """record(), likewise."""
        return await _threads.finish(functools.partial(
            self.record, category, amount, description, key=key, key_ms=key_ms, labels=labels,
            also=also))

    async def acorrect(self, transaction_id: int, amount: Amount,
                       description: Optional[str] = None, *, key: Optional[str] = None,
                       key_ms: int = 0) -> Transaction:
        """correct(), likewise."""
        return await _threads.finish(functools.partial(
            self.correct, transaction_id, amount, description, key=key, key_ms=key_ms))

    async def arelease(self, commit_id: int) -> bool:
        """release(), likewise."""
        return await _threads.finish(functools.partial(self.release, commit_id))

    async def aextend(self, commit_id: int, amount: Optional[Amount] = None, *,
                      ttl_ms: int = 0) -> None:
        """extend(), likewise."""
        await _threads.finish(functools.partial(self.extend, commit_id, amount, ttl_ms=ttl_ms))
