# SPDX-License-Identifier: Apache-2.0
"""Threads for asyncio, of our own: those of the default executor also resolve names, and calls
share the disk's flushes only while many of them wait at the same time."""
from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, Optional, TypeVar

_T = TypeVar("_T")

_MOST = 64
_MOST_WAITING = 384  # no environment lets more wait
_pool: Optional[ThreadPoolExecutor] = None
_waiting_pool: Optional[ThreadPoolExecutor] = None


def _forget() -> None:
    """A fork child has none of its parent's threads."""
    global _pool, _waiting_pool
    _pool = _waiting_pool = None


os.register_at_fork(after_in_child=_forget)


def submit(function: Callable[[], _T]) -> Future[_T]:
    """Runs it on one of the threads; the loop need not live until it has ended."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_MOST, "budget-enforcer")
    return _pool.submit(function)


def submit_waiting(function: Callable[[], _T]) -> Future[_T]:
    """The same for what may wait for others, which the other threads must not be used up by."""
    global _waiting_pool
    if _waiting_pool is None:
        _waiting_pool = ThreadPoolExecutor(_MOST_WAITING, "budget-enforcer-waiting")
    return _waiting_pool.submit(function)


async def finish(function: Callable[[], _T]) -> _T:
    """Runs it to its end, also when the task that waits for it is cancelled."""
    return await asyncio.shield(asyncio.wrap_future(submit(function)))
