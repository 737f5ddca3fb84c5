# SPDX-License-Identifier: Apache-2.0
"""Budgets in the server at BE_TEST_SERVER, as in a directory."""
import glob
import itertools
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import budget_enforcer
from budget_enforcer import (BudgetEnforcer, BudgetError, EnvironmentFault, ExceedsBudget,
                             InvalidCall)

from support import Case, race

HOLDER = """
import sys
from budget_enforcer import BudgetEnforcer
budget = BudgetEnforcer(sys.argv[1], lease_ms=1000)
budget.commit("llm", 2)
print("held", flush=True)
sys.stdin.read()
"""
NUMBERS = itertools.count()


def url_of(name):
    server = os.environ["BE_TEST_SERVER"]
    return server + ("?environment=" if "redis" in server.split(":")[0] else "#") + name


def sockets():
    found = 0
    for one in glob.glob("/proc/self/fd/*"):
        try:
            found += os.readlink(one).startswith("socket:")
        except FileNotFoundError:
            pass  # that of the listing itself
    return found


class Servers(unittest.TestCase):
    wait_until = Case.wait_until

    def setUp(self):
        self.sockets = sockets()
        self.url = url_of(f"python{next(NUMBERS)}")
        self.budget = BudgetEnforcer(self.url, lease_ms=1000)
        self.budget.create_envelope("llm", 2)

    def tearDown(self):
        """With its last handle a storage's connections end."""
        self.assertEqual(self.budget.verify(), [])
        self.assertGreater(sockets(), self.sockets)
        self.budget.close()
        self.assertEqual(sockets(), self.sockets)

    def test_checks_within_an_age(self):
        with BudgetEnforcer(self.url, check_age_ms=60000) as aged:
            self.assertTrue(aged.check("llm", 2).permitted)
            self.budget.record("llm", 2)
            self.assertTrue(aged.check("llm", 2).permitted)
            aged.record("llm", 0)
            self.assertFalse(aged.check("llm", 2).permitted)
        with self.assertRaisesRegex(Exception, "check_age_ms"):
            BudgetEnforcer(self.url, check_age_ms=-1)

    def test_spending(self):
        with self.budget.reserve("llm", "1.5") as hold:
            with self.assertRaises(ExceedsBudget):
                self.budget.commit("llm", 1)
            hold.settle("0.5")
        self.assertEqual(self.budget.utilization("llm").available, 1.5)

    def test_the_environment_variable(self):
        with mock.patch.dict(os.environ, BUDGET_ENFORCER_DIR=self.url):
            with BudgetEnforcer(create=False) as budget:
                self.assertEqual(budget.utilization("llm").limit, 2)

    def test_handles_share_a_storage(self):
        connections = sockets()
        with BudgetEnforcer(self.url, "other") as other:
            self.assertEqual(sockets(), connections)
            other.create_envelope("llm", 1)
            other.record("llm", 1)
        self.budget.record("llm", 1)
        with BudgetEnforcer(self.url, "other") as other:
            self.assertEqual(other.utilization("llm").spent, 1)

    def test_another_namespace_from_a_handle(self):
        connections = sockets()
        origin = BudgetEnforcer(self.url)
        with origin.open_namespace("task") as task:
            origin.close()
            task.create_envelope("llm", 1)
            self.assertTrue(task.check("llm", 1))
        self.assertEqual(sockets(), connections)

    def test_a_fork_child_closes_its_own(self):
        child = os.fork()
        if child == 0:
            try:
                self.budget.record("llm", 1)
                self.budget.close()
                os._exit(0)
            finally:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.budget.record("llm", "0.5")
        self.assertEqual(self.budget.utilization("llm").spent, 1.5)

    def test_processes_race_for_a_limit(self):
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            self.assertEqual(sum(pool.map(race, [self.budget] * 2, chunksize=1)), 20)
        self.assertEqual(self.budget.utilization("llm").available, 0)

    def test_what_a_killed_process_held_comes_back(self):
        with subprocess.Popen([sys.executable, "-c", HOLDER, self.url], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as holder:
            self.assertEqual(holder.stdout.readline(), "held\n")
            with self.assertRaises(ExceedsBudget):
                self.budget.commit("llm", 1)
            holder.kill()

        def is_back():
            try:
                return self.budget.commit("llm", 2)
            except ExceedsBudget:
                return False
        self.wait_until(is_back)

    def test_is_copied_and_comes_back(self):
        connections = sockets()
        self.budget.record("llm", 1)
        with tempfile.TemporaryDirectory() as directory:
            self.budget.backup(os.path.join(directory, "backup"))
            budget_enforcer.restore(os.path.join(directory, "backup"),
                                    os.path.join(directory, "local"))
            with BudgetEnforcer(os.path.join(directory, "local"), durability="process") as local:
                for _ in range(1000):  # copied in more than one step
                    local.record("llm", "0.001")
                with self.assertRaises(EnvironmentFault) as caught:
                    local.copy(self.url)
                self.assertEqual(caught.exception.reason, "already_there")
                other = url_of(f"python{next(NUMBERS)}")
                with self.assertRaises(InvalidCall) as stopped:
                    local.copy(other, progress=lambda records: records < 0)
                self.assertEqual(stopped.exception.reason, "stopped")
                self.assertRaises(ZeroDivisionError, local.copy, other, progress=lambda _: 1 // 0)
                told = []
                local.copy(other, progress=told.append)
                self.assertTrue(0 < told[0] <= 1000, told)
        self.assertEqual(sockets(), connections)
        with BudgetEnforcer(other, create=False) as copy:
            self.assertEqual(copy.utilization("llm").spent, 2)
            self.assertEqual(copy.verify(), [])

    def test_memory_is_copied_while_it_is_used(self):
        memory, copied = BudgetEnforcer(memory=True), threading.Event()
        memory.create_envelope("llm", 10000)
        for _ in range(3000):  # copied in more than one step
            memory.record("llm", "0.001")

        def go_on(call):
            while not copied.is_set():
                call("llm", "0.001")
        threads = [threading.Thread(target=go_on, args=[call], daemon=True)
                   for call in (memory.check, memory.record)]
        for thread in threads:
            thread.start()
        other = url_of(f"python{next(NUMBERS)}")
        memory.copy(other)
        copied.set()
        for thread in threads:
            thread.join()
        with BudgetEnforcer(other, create=False) as copy:
            self.assertGreaterEqual(copy.utilization("llm").spent, 3)
            self.assertEqual(copy.verify(), [])

    def test_what_is_for_directories(self):
        for option in ({"durability": "process"}, {"mode": 0o600}, {"map_size": 1 << 20}):
            with self.assertRaisesRegex(InvalidCall, "for a directory"):
                BudgetEnforcer(self.url, **option)

    def test_nobody_there(self):
        url = ("redis" if "redis" in self.url.split(":")[0] else "postgresql") + "://127.0.0.1:1/0"
        with self.assertRaises(BudgetError) as caught:
            BudgetEnforcer(url)
        self.assertEqual(caught.exception.reason, "unreachable")

    def test_without_the_library(self):
        package = pathlib.Path(budget_enforcer.__file__).parent
        with tempfile.TemporaryDirectory() as alone:
            shutil.copytree(package, pathlib.Path(alone, "budget_enforcer"))
            shutil.copy(package.parents[2] / "libbudget-enforcer.so.0", alone)
            said = subprocess.run(
                [sys.executable, "-c", HOLDER, self.url], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                env={**os.environ, "PYTHONPATH": alone, "LD_LIBRARY_PATH": alone})
        self.assertEqual(said.returncode, 1)
        kind = "redis" if "redis" in self.url.split(":")[0] else "postgres"
        self.assertRegex(said.stderr,
                         f"MachineFault: .*libbudget-enforcer-{kind}, which is not installed")
