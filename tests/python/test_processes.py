# SPDX-License-Identifier: Apache-2.0
"""Threads, fork, spawn and forkserver, and what the dead leave."""
import multiprocessing
import os
import signal
import sys
import threading
import unittest

from budget_enforcer import ExceedsBudget
from support import Case, race


def race_and_say(budget, queue):
    queue.put(race(budget))


def hold_and_say(budget, queue):
    budget.commit("llm", 40)
    queue.put("held")
    signal.pause()


def be_refused(budget):
    budget.commit("llm", 51)


class Threads(Case):
    def test_race(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(race(self.budget)))
                   for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual(sum(results), 500)

    def churn(self, stop):
        while not stop.is_set():
            try:
                self.budget.settle(self.budget.commit("llm", "0.000001"), 0)
            except ValueError:
                return

    def start_churning(self):
        stop = threading.Event()
        threads = [threading.Thread(target=self.churn, args=(stop,)) for _ in range(4)]
        for one in threads:
            one.start()
        return stop, threads

    def test_close_while_others_call(self):
        _, threads = self.start_churning()
        self.wait_until(lambda: next(self.open().transactions(after_id=50), None))
        self.budget.close()
        for one in threads:
            one.join()

    def child(self):
        """In a fork child: the handle works, closes, and is closed. Ends the process."""
        signal.alarm(60)
        status = 1
        try:
            self.budget.settle(self.budget.commit("llm", "0.000001"), 0)
            self.budget.close()
            try:
                self.budget.check("llm", 1)
            except ValueError:
                status = 0
        finally:
            os._exit(status)

    @unittest.skipIf("asan" in os.environ.get("LD_PRELOAD", ""),
                     "a fork amid threads leaves the sanitizer's allocator locked in the child")
    def test_fork_while_threads_call(self):
        stop, threads = self.start_churning()
        try:
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    self.child()
                self.assertEqual(os.waitpid(child, 0)[1], 0)
        finally:
            stop.set()
            for one in threads:
                one.join()

    def test_a_child_leaves_its_parents_hold(self):
        with self.budget.reserve("llm", 1):
            child = os.fork()
            if child != 0:
                self.assertEqual(os.waitpid(child, 0)[1], 0)
                self.assertEqual(self.committed(), 1)
        if child == 0:
            os._exit(0)


class Processes(Case):
    def pool(self, method):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        workers = [context.Process(target=race_and_say, args=(self.budget, queue))
                   for _ in range(4)]
        for one in workers:
            one.start()
        self.assertEqual(sum(queue.get(timeout=300) for _ in workers), 500)
        for one in workers:
            one.join()

    def test_fork(self):
        self.pool("fork")

    def test_spawn(self):
        self.pool("spawn")

    def test_forkserver(self):
        self.pool("forkserver")

    def test_killed(self):
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        worker = context.Process(target=hold_and_say, args=(self.budget, queue))
        worker.start()
        queue.get(timeout=300)
        self.assertFalse(self.budget.check("llm", 20))
        worker.kill()
        worker.join()
        self.assertGreater(self.budget.commit("llm", 50), 0)

    def test_refusals_come_back_from_a_pool(self):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            with self.assertRaises(ExceedsBudget) as caught:
                pool.apply(be_refused, (self.budget,))
        self.assertEqual(caught.exception.decision.available, 50)


if __name__ == "__main__":
    sys.exit(unittest.main())
