# SPDX-License-Identifier: Apache-2.0
"""asyncio: tasks that race, and tasks that are cancelled wherever that can be."""
import asyncio
import random
import time
import unittest
from concurrent.futures import wait
from decimal import Decimal

from budget_enforcer import WAIT_FOREVER, ExceedsBudget, InvalidCall, _threads
from support import Case


class Tasks(Case):
    def test_race(self):
        async def one():
            granted = 0
            while True:
                try:
                    async with self.budget.reserve("llm", "0.1") as hold:
                        await hold.settle("0.1")
                        granted += 1
                except ExceedsBudget:
                    return granted

        async def main():
            return sum(await asyncio.gather(*(one() for _ in range(16))))

        self.assertEqual(asyncio.run(main()), 500)

    def test_what_is_not_settled_is_released(self):
        async def main():
            async with self.budget.reserve("llm", 1) as hold:
                await hold.extend(2, ttl_ms=60000)
                self.assertEqual(self.committed(), 2)
                with self.assertRaises(InvalidCall):
                    await hold.settle("-1")
            self.assertEqual(self.committed(), 0)
            transaction = await self.budget.arecord("llm", 1, "a letter")
            self.assertEqual(transaction.amount, 1)
            self.assertEqual((await self.budget.acorrect(transaction.id, 1)).amount, -1)
            async with self.budget.reserve("llm", 5) as hold:
                await hold.charge(2, labels={"step": "1"})
                self.assertEqual((await self.budget.acharge(hold.id, 1)).held, 3)
                self.assertEqual(hold.amount, 2)
            self.assertEqual(self.committed(), 0)
            commit = await self.budget.acommit("llm", 1)
            self.assertEqual([await self.budget.arelease(commit),
                              await self.budget.arelease(commit)], [True, False])

        asyncio.run(main())

    def test_many_wait_for_what_one_holds(self):
        async def one():
            async with self.budget.reserve("slot", 1, wait_ms=WAIT_FOREVER) as hold:
                await hold.settle(0)

        async def main():
            self.budget.create_envelope("slot", 1)
            commit = await self.budget.acommit("slot", 1)
            tasks = [asyncio.create_task(one()) for _ in range(100)]
            cancelled = asyncio.create_task(one())
            await asyncio.sleep(0)
            cancelled.cancel()
            await self.budget.arelease(commit)
            await asyncio.gather(*tasks)
            with self.assertRaises(asyncio.CancelledError):
                await cancelled

        asyncio.run(main())
        self.wait_until(lambda: self.budget.utilization("slot").committed == 0)

    def test_two_hundred_cancelled_tasks_leave_nothing_held(self):
        seed = time.time_ns()
        print("TEST_SEED", seed)
        chance = random.Random(seed)
        settled = []

        async def one(number):
            async with self.budget.reserve("llm", "0.1") as hold:
                await asyncio.sleep(chance.random() / 100)
                if number % 3 == 0:
                    settled.append(1)  # from here on, the charge stands
                    await hold.settle("0.01")

        async def main():
            for number in range(200):
                task = asyncio.ensure_future(one(number))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(chance.random() / 100)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(main())
        self.wait_until(lambda: self.committed() == 0)
        self.assertEqual(self.budget.utilization("llm").spent, len(settled) * Decimal("0.01"))

    def test_cancelled_while_it_commits(self):
        async def main():
            for number in range(60):
                task = asyncio.ensure_future(self.budget.acommit("llm", "0.1"))
                for _ in range(number % 3):
                    await asyncio.sleep(0)
                task.cancel()
                result = (await asyncio.gather(task, return_exceptions=True))[0]
                if not isinstance(result, asyncio.CancelledError):
                    self.budget.release(result)

        asyncio.run(main())
        self.wait_until(lambda: self.committed() == 0)

    def test_a_cancelled_retry_takes_nothing_from_the_first(self):
        done, submit = [], _threads.submit

        def watched(function):
            done.append(submit(function))
            return done[-1]

        async def main():
            for _ in range(20):
                task = asyncio.ensure_future(self.budget.acommit("llm", 1, key="once"))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        first = self.budget.commit("llm", 1, key="once")
        _threads.submit = watched
        try:
            asyncio.run(main())
        finally:
            _threads.submit = submit
        wait([submit(time.time_ns)])
        wait(done)
        self.assertEqual(self.committed(), 1)
        self.assertEqual(self.budget.commit("llm", 1, key="once"), first)


if __name__ == "__main__":
    unittest.main()
