# SPDX-License-Identifier: Apache-2.0
"""spend() and aspend(): what usages cost, and what becomes of a call however it ends."""
import asyncio
import importlib.util
import os
import time
import unittest
from decimal import Decimal
from types import SimpleNamespace as Answer

from budget_enforcer import ExceedsBudget
from budget_enforcer.spending import (aspend, cost_of, count_request, count_response, count_tokens,
                                      spend)
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
