# SPDX-License-Identifier: Apache-2.0
"""spend() and aspend(): what usages cost, and what becomes of a call however it ends."""
import asyncio
import importlib.util
import os
import threading
import time
import unittest
from decimal import Decimal, localcontext
from types import SimpleNamespace as Answer

from budget_enforcer import ExceedsBudget
from budget_enforcer.spending import (Prices, aspend, cost_of, count_request, count_response,
                                      count_tokens, model_in, prices, spend)
from budget_enforcer.spending import _Metered
from support import Case

PRICE = {"input": "2.50", "cache_read": "1.25", "output": "10"}
ASK = {"estimate": "0.01", "price": PRICE, "description": "a letter"}
USAGE = Answer(prompt_tokens=200, completion_tokens=100)  # 0.0015
CHUNKS = [Answer(choices=[1], usage=None), Answer(choices=[2], usage=None),
          Answer(choices=[], usage=USAGE)]
CLAUDE = [Answer(type="message_start", message=Answer(usage=Answer(input_tokens=200,
                                                                   output_tokens=1))),
          Answer(type="content_block_delta"),
          Answer(type="message_delta", usage=Answer(output_tokens=100, input_tokens=None))]


class Busy(Exception):
    status_code = 429


def fail_with(error):
    raise error


class Costs(unittest.TestCase):
    def test_of_all_shapes(self):
        for usage in (
                {"prompt_tokens": 1000, "completion_tokens": 100,
                 "prompt_tokens_details": {"cached_tokens": 800}},
                Answer(input_tokens=1000, output_tokens=100,
                       input_tokens_details=Answer(cached_tokens=800)),
                Answer(input_tokens=200, output_tokens=100, cache_read_input_tokens=800,
                       cache_creation_input_tokens=None),
                {"input_tokens": 1000, "output_tokens": 100,
                 "input_token_details": {"cache_read": 800}},
                Answer(prompt_token_count=1000, cached_content_token_count=800,
                       candidates_token_count=40, thoughts_token_count=60)):
            self.assertEqual(cost_of(usage, PRICE), Decimal("0.0025"), usage)
        for usage in (None, {}, {"something": 1}, "usage", 1):
            self.assertIsNone(count_tokens(usage))

    def test_are_rounded_up_once(self):
        cheap = {"input": "0.0375", "output": 0}
        for tokens, nanos in ((1, 38), (3, 113), (0, 0)):
            self.assertEqual(cost_of({"prompt_tokens": tokens}, cheap), Decimal(nanos) / 10**9)
        usage = {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 3,
                 "cache_creation": {"ephemeral_1h_input_tokens": 1},
                 "server_tool_use": {"web_search_requests": 2}}
        price = {"input": "3", "cache_write": "3.75", "cache_write_hour": "6", "output": "15",
                 "search": "0.01"}
        self.assertEqual(cost_of(usage, price), Decimal("0.0200135"))


    def test_are_never_below_zero(self):
        usage = {"prompt_tokens": 1, "completion_tokens": 0,
                 "prompt_tokens_details": {"cached_tokens": 5}}
        self.assertEqual(cost_of(usage, PRICE), Decimal("0.00000625"))

    def test_prices_are_checked(self):
        for wrong, error in (({"input": "1"}, ValueError), ({**PRICE, "cached": "1"}, ValueError),
                             ({**PRICE, "input": 2.5}, TypeError),
                             ({**PRICE, "output": "1e3"}, ValueError)):
            with self.assertRaises(error):
                cost_of({"prompt_tokens": 1}, wrong)


class Tables(Case):
    """Prices from a file."""

    def read(self, text):
        path = os.path.join(self.directory, "prices.csv")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return prices(path)

    def test_the_longest_name_counts(self):
        table = self.read("model,input,output,cached,written\r\n"
                          "gpt-4o,2.50,10,1.25\r\ngpt-4o-mini,0.15,0.60\r\n"
                          "claude,3,15,0.30,3.75\r\n\n")
        for model, price in (("gpt-4o-2024-08-06", ("2.50", "1.25", "2.50", "10")),
                             ("gpt-4o-mini-2024", ("0.15", "0.15", "0.15", "0.60")),
                             ("claude-sonnet-4", ("3", "0.30", "3.75", "15"))):
            found = table.of(model)
            self.assertEqual(tuple(found[kind] for kind in
                                   ("input", "cache_read", "cache_write", "output")),
                             tuple(map(Decimal, price)))
        with self.assertRaisesRegex(LookupError, "prices.csv: no prices of the model 'gpt-5'"):
            table.of("gpt-5")
        self.assertEqual(self.read("*,1,2\n").of("gpt-5")["output"], 2)
        self.assertEqual(Prices({"a": PRICE}).of("abc")["output"], 10)

    def test_what_is_wrong_is_told_with_its_line(self):
        for text, wrong in (("", "no prices in it"), ("model,input,output\n", "no prices in it"),
                            ("a,1\n", ":1: expected model"), ("a,1,2,3,4,5\n", ":1: expected"),
                            ("a,1,2\na,1,2\n", ":2: this model has prices already"),
                            ("a,1,2\n,1,2\n", ":2: no model is named"),
                            ("a,1,2\nb,1, 2\n", ":2: "), ("a,1,-2\n", ":1: "),
                            ("a,1,0.1234567890\n", ":1: "), ("a,1,\n", ":1: ")):
            with self.assertRaisesRegex(ValueError, wrong):
                self.read(text)
        self.assertRaises(OSError, prices, os.path.join(self.directory, "none.csv"))

    def test_the_answer_names_the_model(self):
        table = self.read("gpt-4o,2.50,10\nclaude,3,15\n")

        def cost(answer, **more):
            before = self.budget.utilization("llm").spent
            answer = spend(self.budget, "llm", lambda: answer, estimate="0.01", price=table, **more)
            if hasattr(answer, "__next__"):
                list(answer)
            return self.budget.utilization("llm").spent - before

        self.assertEqual(cost(Answer(model="gpt-4o-2024", usage=USAGE)), Decimal("0.0015"))
        self.assertEqual(cost(Answer(model="gpt-4o", usage=USAGE), model="claude-3"),
                         Decimal("0.0021"))
        self.assertEqual(cost(iter([Answer(model=""), Answer(model="gpt-4o-x", usage=None),
                                    *CHUNKS])),
                         Decimal("0.0015"))
        start = Answer(type="message_start", message=Answer(
            model="claude-x", usage=Answer(input_tokens=200, output_tokens=1)))
        self.assertEqual(cost(iter([start, *CLAUDE[1:]])), Decimal("0.0021"))
        for answer in (Answer(usage=USAGE), Answer(model="gpt-5\n" + "x" * 600, usage=USAGE)):
            self.assertEqual(cost(answer), Decimal("0.01"))
        notes = [one.description for one in self.budget.transactions()][-2:]
        self.assertEqual(notes[0], "llm: no model named, cost unknown")
        self.assertRegex(notes[1], r"^llm: no prices of gpt-5\?xx+, cost unknown$")
        with self.assertRaises(LookupError):
            spend(self.budget, "llm", self.fail, estimate=1, price=table, model="gpt-5")
        # `*` is others than those, and a model that is not named may be one of those.
        table = self.read("gpt-4o,2.50,10\n*,3,15\n")
        self.assertEqual(cost(Answer(usage=USAGE)), Decimal("0.01"))
        table = self.read("*,3,15\n")
        self.assertEqual(cost(Answer(usage=USAGE)), Decimal("0.0021"))
        self.assertEqual(model_in({"response_metadata": {"model_name": "a"}}), "a")


class Spend(Case):
    last = Decimal(0)

    def more(self):
        """What was spent since; nothing is held."""
        now = self.budget.utilization("llm")
        self.assertEqual(now.committed, 0)
        since, self.last = now.spent - self.last, now.spent
        return str(since.normalize())

    def test_answers_and_errors(self):
        spend(self.budget, "llm", lambda: Answer(usage=USAGE), **ASK)
        self.assertEqual(self.more(), "0.0015")
        with self.assertRaises(Busy):
            spend(self.budget, "llm", lambda: fail_with(Busy()), **ASK)
        self.assertEqual(self.more(), "0")
        with self.assertRaises(ConnectionError):
            spend(self.budget, "llm", lambda: fail_with(ConnectionError()), **ASK)
        self.assertEqual(self.more(), "0.01")
        spend(self.budget, "llm", lambda: Answer(text="no usage"), **ASK)
        self.assertEqual(self.more(), "0.01")
        with self.assertRaises(ExceedsBudget):
            spend(self.budget, "llm", self.fail, **{**ASK, "estimate": 51})

    def test_labels_and_further_envelopes(self):
        self.budget.create_envelope("day", 5)
        more = {"labels": {"customer": "acme"}, "also": [(None, "day")]}
        spend(self.budget, "llm", lambda: Answer(usage=USAGE), **ASK, **more)

        async def fail():
            raise ConnectionError

        with self.assertRaises(ConnectionError):
            asyncio.run(aspend(self.budget, "llm", fail, **ASK, **more))

        def late():
            self.wait_until(lambda: self.budget.reap() == 1)
            return Answer(usage=Answer(prompt_tokens=0, completion_tokens=2000))

        table = Prices({"gpt": PRICE})  # without a heartbeat the deadline passes
        heartbeat, _Metered.keep_alive = _Metered.keep_alive, lambda metered: None
        try:
            spend(self.budget, "llm", late, **{**ASK, "price": table}, model="gpt", ttl_ms=1,
                  **more)
        finally:
            _Metered.keep_alive = heartbeat
        lines = list(self.budget.transactions())
        self.assertEqual([(one.kind, one.amount, one.labels, one.also) for one in lines],
                         [(kind, Decimal(amount), {"customer": "acme"}, (("", "day"),))
                          for kind, amount in (("settle", "0.0015"), ("settle", "0.01"),
                                               ("expired", "0.01"), ("record", "0.01"))])

    def test_what_is_wrong_is_found_before_the_call(self):
        for wrong in ({"price": {"input": "1"}}, {"price": {**PRICE, "input": 0.1}},
                      {"unknown": "burn"}):
            with self.assertRaises((TypeError, ValueError)):
                spend(self.budget, "llm", self.fail, **{**ASK, **wrong})
        self.assertEqual(self.more(), "0")

    def test_a_long_description_does_not_stop_a_charge(self):
        long = {**ASK, "description": "é" * 256}
        spend(self.budget, "llm", lambda: Answer(text="no usage"), **long)
        self.assertEqual(self.more(), "0.01")
        self.assertRegex(next(self.budget.transactions()).description,
                         "^é+: no usage, cost unknown$")

    def test_streams(self):
        def stream(chunks):
            return spend(self.budget, "llm", lambda: iter(chunks), **ASK)

        self.assertEqual(len(list(stream(CHUNKS))), 3)
        self.assertEqual(self.more(), "0.0015")
        left = stream(CHUNKS)
        next(left)
        left.close()
        self.assertEqual(self.more(), "0.01")
        with stream(CHUNKS):
            pass
        self.assertEqual(self.more(), "0.01")
        list(stream(CHUNKS[:2]))
        self.assertEqual(self.more(), "0.01")
        list(stream(CLAUDE))
        self.assertEqual(self.more(), "0.0015")
        list(stream(CLAUDE[:2]))
        self.assertEqual(self.more(), "0.01")

        def breaks():
            yield CHUNKS[0]
            raise ConnectionError

        with self.assertRaises(ConnectionError):
            list(spend(self.budget, "llm", breaks, **ASK))
        self.assertEqual(self.more(), "0.01")
        unread = spend(self.budget, "llm", lambda: iter(CHUNKS), **{**ASK, "ttl_ms": 30})
        self.wait_until(lambda: self.budget.reap() == 1)
        self.assertEqual(self.more(), "0.01")
        del unread

    def test_a_long_call_outlives_its_deadline(self):
        def call():
            for _ in range(20):
                time.sleep(0.05)
                self.budget.reap()
            return Answer(usage=USAGE)

        spend(self.budget, "llm", call, **{**ASK, "ttl_ms": 300})
        self.assertEqual(self.more(), "0.0015")

    def test_sums_are_exact_in_any_context(self):
        def call():
            count_request(None)
            return Answer(usage=Answer(prompt_tokens=10001, completion_tokens=0))

        with localcontext() as context:
            context.prec = 3
            spend(self.budget, "llm", call, **{**ASK, "estimate": "0.010001"})
        self.assertEqual(self.more(), "0.0350035")

    def test_without_a_deadline_there_is_no_heartbeat(self):
        def call():
            self.assertEqual([one.name for one in threading.enumerate() if "beat" in one.name], [])
            return Answer(usage=USAGE)

        spend(self.budget, "llm", call, **ASK, ttl_ms=0)
        self.assertEqual(self.more(), "0.0015")

    def test_attempts_that_were_never_answered_are_charged(self):
        def call():
            count_request(None)
            count_request(None)
            count_response(None)
            return Answer(usage=USAGE)

        spend(self.budget, "llm", call, **ASK)
        self.assertEqual(self.more(), "0.0115")

    def test_asyncio(self):
        async def answer():
            return Answer(usage=USAGE)

        async def stream():
            for chunk in CHUNKS:
                yield chunk

        async def make():
            return stream()

        async def hang():
            await asyncio.sleep(600)

        async def main():
            await aspend(self.budget, "llm", answer, **ASK)
            self.assertEqual(self.more(), "0.0015")
            self.assertEqual(len([one async for one in await aspend(self.budget, "llm", make,
                                                                    **ASK)]), 3)
            self.assertEqual(self.more(), "0.0015")
            async with await aspend(self.budget, "llm", make, **ASK) as left:
                await left.__anext__()
            self.assertEqual(self.more(), "0.01")
            task = asyncio.ensure_future(aspend(self.budget, "llm", hang, **ASK))
            while self.committed() == 0:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            while self.committed() != 0:
                await asyncio.sleep(0.01)
            self.assertEqual(self.more(), "0.01")

        asyncio.run(main())

    def test_the_langchain_example(self):
        place = os.path.join(os.path.dirname(__file__), "../../src/bindings/python/examples",
                             "langchain_callback.py")
        spec = importlib.util.spec_from_file_location("example", place)
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        meter = example.Meter(self.budget, "llm", estimate="0.01", price=PRICE)
        meter.on_chat_model_start({}, [], run_id=1)
        message = Answer(usage_metadata={"input_tokens": 200, "output_tokens": 100,
                                         "input_token_details": {}})
        meter.on_llm_end(Answer(generations=[[Answer(message=message)]]), run_id=1)
        self.assertEqual(self.more(), "0.0015")
        meter.on_llm_start({}, [], run_id=2)
        meter.on_llm_error(Busy(), run_id=2)
        self.assertEqual(self.more(), "0")


if __name__ == "__main__":
    unittest.main()
