# SPDX-License-Identifier: Apache-2.0
"""Reserves, calls a model, and settles what the answer's usage costs. It knows the shapes of usage,
and no SDK.

    answer = spend(budget, "llm", lambda: client.chat.completions.create(...),
                   estimate="0.40", price={"input": "2.50", "cache_read": "1.25", "output": "10"})

What an outcome costs: an answer, or a stream read to its usage, what the usage says; an error with
an HTTP status nothing; a connection that broke the estimate, since nobody knows; a stream left
early, broken or without usage at its end the larger of the estimate and of what was seen; each
attempt of an SDK's retries that was never answered the estimate, where its HTTP client was given
count_request() and count_response(); a stream that is never read the estimate, when its deadline
has passed.
"""
from __future__ import annotations

import contextvars
import functools
import threading
from decimal import ROUND_UP, Context, Decimal
from typing import (TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, Iterator, Mapping,
                    NamedTuple, Optional, TypeVar)

from . import _threads
from ._errors import BudgetError, Refused

if TYPE_CHECKING:
    from ._enforcer import BudgetEnforcer
    from ._native import Amount

_T = TypeVar("_T")

_EXACT = Context(prec=80)
_NANO = Decimal("1E-9")
_TTL_MS = 120_000


class Tokens(NamedTuple):
    """Counts that do not overlap."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_hour: int = 0
    output: int = 0
    searches: int = 0


def _get(value: Any, *names: str) -> Any:
    """A member, or a key, or the member of a member; None where one is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if value is None:
            return None
    return value


def count_tokens(usage: Any) -> Optional[Tokens]:
    """Of any usage that is known, as an object or a dictionary; else None.

    Whose it is, is known by the names of the details: `input_tokens` leaves out at Anthropic what
    the cache gave and took; elsewhere it includes that."""

    def count(*names: str) -> int:
        found = _get(usage, *names)
        return found if isinstance(found, int) else 0

    if _get(usage, "prompt_tokens") is not None:  # OpenAI's chat completions, and all like them
        read = count("prompt_tokens_details", "cached_tokens")
        write = count("prompt_tokens_details", "cache_write_tokens")
        return Tokens(count("prompt_tokens") - read - write, read, write, 0,
                      count("completion_tokens"))
    if _get(usage, "prompt_token_count") is not None:  # Gemini: thoughts are beside the candidates
        read = count("cached_content_token_count")
        return Tokens(count("prompt_token_count") - read + count("tool_use_prompt_token_count"),
                      read, 0, 0, count("candidates_token_count") + count("thoughts_token_count"))
    if _get(usage, "input_tokens") is None:
        return None
    for details in ("input_tokens_details", "input_token_details"):  # OpenAI's responses, LangChain
        if _get(usage, details) is not None:
            read = count(details, "cached_tokens") or count(details, "cache_read")
            write = count(details, "cache_write_tokens") or count(details, "cache_creation")
            return Tokens(count("input_tokens") - read - write, read, write, 0,
                          count("output_tokens"))
    hour = count("cache_creation", "ephemeral_1h_input_tokens")  # Anthropic
    return Tokens(count("input_tokens"), count("cache_read_input_tokens"),
                  count("cache_creation_input_tokens") - hour, hour, count("output_tokens"),
                  count("server_tool_use", "web_search_requests"))


def cost_of(usage: Any, price: Mapping[str, Any]) -> Optional[Decimal]:
    """What a usage costs, rounded up once to the next nano; None: no usage that is known. Prices
    are decimals per million tokens: input, output, cache_read, cache_write, cache_write_hour (those
    of caches that are missing are input's); and `search` for each search."""
    counts = count_tokens(usage)
    if counts is None:
        return None
    prices = {"cache_read": price["input"], "cache_write": price["input"], "search": "0", **price}
    each = (prices["input"], prices["cache_read"], prices["cache_write"],
            prices.get("cache_write_hour", prices["cache_write"]), prices["output"])
    total = _EXACT.multiply(counts.searches * 1_000_000, Decimal(prices["search"]))
    for tokens, one in zip(counts, each):
        total = _EXACT.add(total, _EXACT.multiply(tokens, Decimal(one)))
    return _EXACT.divide(total, 1_000_000).quantize(_NANO, ROUND_UP, _EXACT)


def usage_in(value: Any) -> Any:
    """The usage in an answer, or in a chunk of one; None."""
    for path in (("usage",), ("response", "usage"), ("message", "usage"), ("usage_metadata",)):
        found = _get(value, *path)
        if found is not None:
            return found
    return None


def _fields(usage: Any) -> dict[str, Any]:
    """What a usage says; later chunks say more, but not all again."""
    items = usage if isinstance(usage, Mapping) else vars(usage)
    return {name: value for name, value in items.items() if value is not None}


# -- attempts: SDKs try again, and each try that was not answered may have cost

_attempts: contextvars.ContextVar[Optional[list[int]]] = contextvars.ContextVar(
    "budget_enforcer_attempts", default=None)


def count_request(_request: Any) -> None:
    """For httpx.Client(event_hooks={"request": [count_request], "response": [count_response]})."""
    counted = _attempts.get()
    if counted is not None:
        counted[0] += 1


def count_response(_response: Any) -> None:
    """See count_request()."""
    counted = _attempts.get()
    if counted is not None:
        counted[0] -= 1


# -- one call

class _Metered:
    """A commit, and how it ends: once. `calls` are what is to be done, in words of the budget; who
    made it runs them, in a thread of asyncio's or at once."""

    def __init__(self, budget: BudgetEnforcer, category: str, commit_id: int, estimate: Amount,
                 price: Mapping[str, Any], description: Optional[str], unknown: str,
                 ttl_ms: int) -> None:
        self.budget = budget
        self.category = category
        self.commit_id = commit_id
        self.estimate = Decimal(estimate)
        self.price = price
        self.description = description
        self.unknown = unknown
        self.ttl_ms = ttl_ms
        self.counted = [0]
        self.usage: dict[str, Any] = {}
        self.is_last = False
        self.ended = False
        self._stop = threading.Event()

    # A long call outlives its deadline; a process that hangs, or a stream nobody reads, does not.

    def keep_alive(self) -> None:
        self._stop = threading.Event()
        threading.Thread(target=self._extend, args=(self._stop,), daemon=True,
                         name="budget-enforcer heartbeat").start()

    def _extend(self, stop: threading.Event) -> None:
        while not stop.wait(self.ttl_ms / 3000):
            try:
                self.budget.extend(self.commit_id, self.estimate, ttl_ms=self.ttl_ms)
            except (BudgetError, ValueError):
                return  # it has ended, or the budget is closed

    def let_die(self) -> None:
        self._stop.set()

    def _settle(self, cost: Decimal, note: Optional[str]) -> None:
        try:
            self.budget.settle(self.commit_id, cost, note)
        except Refused as error:
            # The deadline passed meanwhile, and the estimate was charged.
            if error.reason != "already_charged":
                raise
            if cost > self.estimate:
                self.budget.record(self.category, cost - self.estimate, note)

    def _end(self, cost: Optional[Decimal], note: Optional[str] = None) -> None:
        """None: it is released."""
        self.let_die()
        if self.ended:
            return
        self.ended = True
        if note is not None:
            note = f"{self.description or self.category}: {note}, cost unknown"
        if cost is None:
            self.budget.release(self.commit_id)
        else:
            self._settle(cost, note)

    def _lost(self) -> Decimal:
        return self.counted[0] * self.estimate

    def answered(self, usage: Any) -> None:
        cost = cost_of(usage, self.price)
        if cost is None:
            self.end_unknown("no usage")
        else:
            self._end(cost + self._lost())

    def failed(self, error: BaseException) -> None:
        status = getattr(error, "status_code", getattr(error, "code", None))
        if not isinstance(status, int):
            self.end_unknown(type(error).__name__)
        elif self._lost() > 0:
            self._end(self._lost(), "retries")
        else:
            self._end(None)

    def end_unknown(self, why: str) -> None:
        """What was seen is a lower bound of what is charged."""
        if self.unknown == "release":
            self._end(None)
            return
        seen = cost_of(self.usage, self.price) or Decimal(0)
        self._end(max(seen, self.estimate, self._lost()), why)

    def see(self, chunk: Any) -> None:
        fresh = usage_in(chunk)
        if fresh is not None:
            self.usage.update(_fields(fresh))
            # Anthropic's first event has usage, too, which is not the last word.
            self.is_last = _get(chunk, "type") != "message_start"

    def end_stream(self, error: Optional[BaseException], whole: bool) -> None:
        if whole and self.is_last:
            self.answered(self.usage)
        else:
            self.end_unknown(type(error).__name__ if error else "not read to its end")


class _Stream:
    """The chunks of a stream as they come; all else is the stream's own."""

    def __init__(self, stream: Any, metered: _Metered) -> None:
        self._stream = stream
        self._metered = metered
        self._chunks: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[Any]:
        if self._chunks is None:
            self._chunks = self._read()
        return self._chunks  # type: ignore[no-any-return]

    def __next__(self) -> Any:
        return next(iter(self))

    def __enter__(self) -> _SyncStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._chunks is not None:
            self._chunks.close()
        self._metered.end_stream(None, False)
        if hasattr(self._stream, "close"):
            self._stream.close()

    def _read(self) -> Iterator[Any]:
        error: Optional[BaseException] = None
        whole = False
        self._metered.keep_alive()
        try:
            for chunk in self._stream:
                self._metered.see(chunk)
                yield chunk
            whole = True
        except BaseException as caught:
            error = caught
            raise
        finally:
            self._metered.end_stream(None if isinstance(error, GeneratorExit) else error, whole)


class _AsyncStream(_Stream):
    def __aiter__(self) -> AsyncIterator[Any]:
        if self._chunks is None:
            self._chunks = self._read()
        return self._chunks  # type: ignore[no-any-return]

    async def __anext__(self) -> Any:
        return await self.__aiter__().__anext__()

    async def __aenter__(self) -> _AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._chunks is not None:
            await self._chunks.aclose()
        await _on_thread(functools.partial(self._metered.end_stream, None, False))
        if hasattr(self._stream, "close"):
            await self._stream.close()

    async def _read(self) -> AsyncIterator[Any]:
        error: Optional[BaseException] = None
        whole = False
        self._metered.keep_alive()
        try:
            async for chunk in self._stream:
                self._metered.see(chunk)
                yield chunk
            whole = True
        except BaseException as caught:
            error = caught
            raise
        finally:
            named = None if isinstance(error, GeneratorExit) else error
            await _on_thread(functools.partial(self._metered.end_stream, named, whole))


async def _on_thread(function: Callable[[], None]) -> None:
    await _threads.finish(function)


def spend(budget: BudgetEnforcer, category: str, call: Callable[[], _T], *, estimate: Amount,
          price: Mapping[str, Any], description: Optional[str] = None, unknown: str = "charge",
          ttl_ms: int = _TTL_MS) -> _T:
    """Returns what call() returns; of a stream, one that is settled when it has been read. Raises
    ExceedsBudget, and does not call, when the estimate is not there."""
    commit_id = budget.commit(category, estimate, description, ttl_ms=ttl_ms,
                              on_death="charge" if unknown == "charge" else "release")
    metered = _Metered(budget, category, commit_id, estimate, price, description, unknown, ttl_ms)
    token = _attempts.set(metered.counted)
    metered.keep_alive()
    try:
        answer = call()
    except BaseException as error:
        metered.failed(error)
        raise
    finally:
        _attempts.reset(token)
    if hasattr(answer, "__next__") or (hasattr(answer, "__iter__") and usage_in(answer) is None
                                       and not isinstance(answer, (str, bytes, Mapping, list))):
        metered.let_die()
        return _SyncStream(answer, metered)  # type: ignore[return-value]
    metered.answered(usage_in(answer))
    return answer


async def aspend(budget: BudgetEnforcer, category: str, call: Callable[[], Awaitable[_T]], *,
                 estimate: Amount, price: Mapping[str, Any], description: Optional[str] = None,
                 unknown: str = "charge", ttl_ms: int = _TTL_MS) -> _T:
    """spend() for asyncio: a task that is cancelled while it waits is charged as unknown."""
    commit_id = await budget.acommit(category, estimate, description, ttl_ms=ttl_ms,
                                     on_death="charge" if unknown == "charge" else "release")
    metered = _Metered(budget, category, commit_id, estimate, price, description, unknown, ttl_ms)
    token = _attempts.set(metered.counted)
    metered.keep_alive()
    try:
        answer = await call()
    except BaseException as error:
        await _on_thread(functools.partial(metered.failed, error))
        raise
    finally:
        _attempts.reset(token)
    if hasattr(answer, "__aiter__"):
        metered.let_die()
        return _AsyncStream(answer, metered)  # type: ignore[return-value]
    await _on_thread(functools.partial(metered.answered, usage_in(answer)))
    return answer


__all__ = ["Tokens", "aspend", "cost_of", "count_request", "count_response",
           "count_tokens", "spend", "usage_in"]
