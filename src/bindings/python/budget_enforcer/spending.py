# SPDX-License-Identifier: Apache-2.0
"""Reserves, calls a model, and settles what the answer's usage costs. It knows the shapes of usage,
and no SDK.

    answer = spend(budget, "llm", lambda: client.chat.completions.create(...),
                   estimate="0.40", price={"input": "2.50", "cache_read": "1.25", "output": "10"})

or price=prices("prices.csv"), the file that be-replay reads, too.

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
                    NamedTuple, Optional, Sequence, TypeVar, Union)

from . import _native, _threads
from ._errors import BudgetError, Refused

if TYPE_CHECKING:
    import os

    from ._enforcer import BudgetEnforcer
    from ._native import Amount, Labels, Name

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

    def including(total: str, details: str, output: str) -> Tokens:
        """Of an input that includes what the cache gave and took. LiteLLM names these as Anthropic
        does, beside the details."""
        read = (count(details, "cached_tokens") or count(details, "cache_read")
                or count("cache_read_input_tokens"))
        write = (count(details, "cache_write_tokens") or count(details, "cache_creation_tokens")
                 or count(details, "cache_creation") or count("cache_creation_input_tokens"))
        return Tokens(count(total) - read - write, read, write, 0, count(output))

    if _get(usage, "prompt_tokens") is not None:  # OpenAI's chat completions, and all like them
        return including("prompt_tokens", "prompt_tokens_details", "completion_tokens")
    if _get(usage, "prompt_token_count") is not None:  # Gemini: thoughts are beside the candidates
        read = count("cached_content_token_count")
        return Tokens(count("prompt_token_count") - read + count("tool_use_prompt_token_count"),
                      read, 0, 0, count("candidates_token_count") + count("thoughts_token_count"))
    if _get(usage, "input_tokens") is None:
        return None
    for details in ("input_tokens_details", "input_token_details"):  # OpenAI's responses, LangChain
        if _get(usage, details) is not None:
            return including("input_tokens", details, "output_tokens")
    hour = count("cache_creation", "ephemeral_1h_input_tokens")  # Anthropic
    return Tokens(count("input_tokens"), count("cache_read_input_tokens"),
                  count("cache_creation_input_tokens") - hour, hour, count("output_tokens"),
                  count("server_tool_use", "web_search_requests"))


# -- prices

_KINDS = ("input", "cache_read", "cache_write", "cache_write_hour", "output", "search")


def _read_price(price: Mapping[str, Any]) -> dict[str, Decimal]:
    """All of them, exactly: one that is misspelt, or a float, must not be lost."""
    for kind in price:
        if kind not in _KINDS:
            raise ValueError(f"{kind} is no price: {', '.join(_KINDS)}")
    whole = {kind: _native.amount(price[kind]) for kind in _KINDS if kind in price}
    for kind in ("input", "output"):
        if kind not in whole:
            raise ValueError(f"there is no price of {kind}")
    whole.setdefault("cache_read", whole["input"])
    whole.setdefault("cache_write", whole["input"])
    whole.setdefault("cache_write_hour", whole["cache_write"])
    whole.setdefault("search", Decimal(0))
    return whole


class Prices:
    """Those of many models: see prices()."""

    def __init__(self, of_models: Mapping[str, Mapping[str, Any]], source: str = "prices") -> None:
        self._of_models = {model: _read_price(price) for model, price in of_models.items()}
        self._source = source

    def of(self, model: Optional[str]) -> Mapping[str, Decimal]:
        """That of the longest name that the model's begins with, so that gpt-4o-2024-08-06 costs
        what gpt-4o does; `*` is all others. A model that nobody named may be any: it has the prices
        of `*` only where there are no others. LookupError when there is none."""
        if model is None:
            if set(self._of_models) != {"*"}:
                raise LookupError(f"{self._source}: no model named, and the prices are of several")
            return self._of_models["*"]
        names = [name for name in self._of_models if model.startswith(name)]
        name = max(names, key=len, default="*")
        if name not in self._of_models:
            raise LookupError(f"{self._source}: no prices of the model {model!r:.100}, nor of *, "
                              "which is all others")
        return self._of_models[name]


def prices(path: Union[str, os.PathLike[str]]) -> Prices:
    """Reads the file of prices that be-replay reads: lines of
    model,input,output[,cached[,written]], each price that of a million tokens. The first line may
    name the columns."""
    found: dict[str, dict[str, str]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")

    def read(line: str) -> None:
        model, *fields = line.split(",")
        if not 2 <= len(fields) <= 4:
            raise ValueError('expected model,input,output[,cached[,written]] as in '
                             '"gpt-4o,2.50,10"')
        if not model:
            raise ValueError("no model is named; * is for all others")
        if model in found:
            raise ValueError("this model has prices already")
        found[model] = dict(zip(("input", "output", "cache_read", "cache_write"), fields))
        _read_price(found[model])

    for number, line in enumerate(lines, 1):
        line = line.partition("\r")[0]
        if line and not (number == 1 and line.startswith("model,")):
            try:
                read(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
    if not found:
        raise ValueError(f"{path}: no prices in it")
    return Prices(found, str(path))


def cost_of(usage: Any, price: Mapping[str, Any]) -> Optional[Decimal]:
    """What a usage costs, rounded up once to the next nano; None: no usage that is known. Prices
    are decimals per million tokens: input, output, cache_read, cache_write, cache_write_hour (those
    of caches that are missing are input's); and `search` for each search."""
    whole = _read_price(price)
    counts = count_tokens(usage)
    if counts is None:
        return None
    each = (whole["input"], whole["cache_read"], whole["cache_write"], whole["cache_write_hour"],
            whole["output"])
    total = _EXACT.multiply(counts.searches * 1_000_000, whole["search"])
    for tokens, one in zip(counts, each):
        total = _EXACT.add(total, _EXACT.multiply(max(tokens, 0), one))
    return _EXACT.divide(total, 1_000_000).quantize(_NANO, ROUND_UP, _EXACT)


def usage_in(value: Any) -> Any:
    """The usage in an answer, or in a chunk of one; None."""
    for path in (("usage",), ("response", "usage"), ("message", "usage"), ("usage_metadata",)):
        found = _get(value, *path)
        if found is not None:
            return found
    return None


def model_in(value: Any) -> Optional[str]:
    """The model that an answer, or a chunk of one, says it is from; None."""
    for path in (("model",), ("response", "model"), ("message", "model"), ("model_version",),
                 ("response_metadata", "model_name")):
        found = _get(value, *path)
        if isinstance(found, str) and found:  # Azure's first chunk names none
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

def _shorten(text: str) -> str:
    """So that a description with a note fits: a charge must not be refused for what it is called.
    Models and errors name themselves as they like."""
    clean = "".join(one if one.isprintable() else "?" for one in text)
    return clean.encode("utf-8", "replace")[:240].decode("utf-8", "ignore")


class _Call(NamedTuple):
    """What was said of it."""

    budget: BudgetEnforcer
    category: str
    estimate: Amount
    price: Union[Mapping[str, Any], Prices]
    model: Optional[str]
    description: Optional[str]
    unknown: str
    ttl_ms: int
    labels: Optional[Labels]
    also: Sequence[Name]

    def commit_options(self) -> dict[str, Any]:
        """Checks first what would otherwise be found when the money is spent."""
        if self.unknown not in ("charge", "release"):
            raise ValueError(f'unknown is "charge" or "release", not {self.unknown!r}')
        if not isinstance(self.price, Prices):
            _read_price(self.price)
        elif self.model is not None:
            self.price.of(self.model)
        return {"ttl_ms": self.ttl_ms, "labels": self.labels, "also": self.also,
                "on_death": "charge" if self.unknown == "charge" else "release"}


class _Metered:
    """A commit, and how it ends: once. `calls` are what is to be done, in words of the budget; who
    made it runs them, in a thread of asyncio's or at once."""

    def __init__(self, call: _Call, commit_id: int) -> None:
        self.call = call
        self.budget = call.budget
        self.commit_id = commit_id
        self.estimate = Decimal(call.estimate)
        self.model = call.model
        self.ttl_ms = call.ttl_ms
        self.counted = [0]
        self.usage: dict[str, Any] = {}
        self.is_last = False
        self.ended = False
        self._stop = threading.Event()

    # A long call outlives its deadline; a process that hangs, or a stream nobody reads, does not.

    def keep_alive(self) -> None:
        if self.ttl_ms == 0:
            return  # it has no deadline
        self._stop = threading.Event()
        threading.Thread(target=self._extend, args=(self._stop,), daemon=True,
                         name="budget-enforcer heartbeat").start()

    def _extend(self, stop: threading.Event) -> None:
        while not stop.wait(self.ttl_ms / 3000):
            try:
                self.budget.extend(self.commit_id, ttl_ms=self.ttl_ms)
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
                self.budget.record(self.call.category, _EXACT.subtract(cost, self.estimate), note,
                                   labels=self.call.labels, also=self.call.also)

    def _end(self, cost: Optional[Decimal], note: Optional[str] = None) -> None:
        """None: it is released."""
        self.let_die()
        if self.ended:
            return
        self.ended = True
        if note is not None:
            note = _shorten(self.call.description or self.call.category) + (
                f": {_shorten(note)}, cost unknown")
        if cost is None:
            self.budget.release(self.commit_id)
        else:
            self._settle(cost, note)

    def _lost(self) -> Decimal:
        return _EXACT.multiply(self.counted[0], self.estimate)

    def _cost(self, usage: Any) -> Optional[Decimal]:
        """None: no usage, or no prices of the model."""
        price = self.call.price
        if isinstance(price, Prices):
            try:
                price = price.of(self.model or None)
            except LookupError:
                return None
        return cost_of(usage, price)

    def answered(self, answer: Any) -> None:
        self.model = self.model or model_in(answer)
        self._charge(usage_in(answer))

    def _charge(self, usage: Any) -> None:
        cost = self._cost(usage)
        if cost is not None:
            self._end(_EXACT.add(cost, self._lost()))
        elif count_tokens(usage) is None:
            self.end_unknown("no usage")
        else:
            self.end_unknown(f"no prices of {self.model}" if self.model else "no model named")

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
        if self.call.unknown == "release":
            self._end(None)
            return
        seen = self._cost(self.usage) or Decimal(0)
        self._end(max(seen, self.estimate, self._lost()), why)

    def see(self, chunk: Any) -> None:
        self.model = self.model or model_in(chunk)
        fresh = usage_in(chunk)
        if fresh is not None:
            self.usage.update(_fields(fresh))
            # Anthropic's first event has usage, too, which is not the last word.
            self.is_last = _get(chunk, "type") != "message_start"

    def end_stream(self, error: Optional[BaseException], whole: bool) -> None:
        if whole and self.is_last:
            self._charge(self.usage)
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
          price: Union[Mapping[str, Any], Prices], model: Optional[str] = None,
          description: Optional[str] = None, unknown: str = "charge", ttl_ms: int = _TTL_MS,
          labels: Optional[Labels] = None, also: Sequence[Name] = ()) -> _T:
    """Returns what call() returns; of a stream, one that is settled when it has been read. Raises
    ExceedsBudget, and does not call, when the estimate is not there. With prices() the model is
    what the answer says, unless `model` does."""
    asked = _Call(budget, category, estimate, price, model, description, unknown, ttl_ms, labels,
                  also)
    metered = _Metered(asked, budget.commit(category, estimate, description,
                                            **asked.commit_options()))
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
    metered.answered(answer)
    return answer


async def aspend(budget: BudgetEnforcer, category: str, call: Callable[[], Awaitable[_T]], *,
                 estimate: Amount, price: Union[Mapping[str, Any], Prices],
                 model: Optional[str] = None, description: Optional[str] = None,
                 unknown: str = "charge", ttl_ms: int = _TTL_MS,
                 labels: Optional[Labels] = None, also: Sequence[Name] = ()) -> _T:
    """spend() for asyncio: a task that is cancelled while it waits is charged as unknown."""
    asked = _Call(budget, category, estimate, price, model, description, unknown, ttl_ms, labels,
                  also)
    commit_id = await budget.acommit(category, estimate, description, **asked.commit_options())
    metered = _Metered(asked, commit_id)
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
    await _on_thread(functools.partial(metered.answered, answer))
    return answer


__all__ = ["Prices", "Tokens", "aspend", "cost_of", "count_request", "count_response",
           "count_tokens", "model_in", "prices", "spend", "usage_in"]
