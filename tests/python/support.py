# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package share: an environment that is new for each test."""
import os
import shutil
import tempfile
import time
import unittest

from budget_enforcer import BudgetEnforcer, ExceedsBudget


class Case(unittest.TestCase):
    """`self.budget` is a handle on an environment with the envelope "llm", of 50 in total. Each
    test ends with all balances recomputed."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="budget-enforcer-", dir=os.environ.get("TMPDIR"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "environment")
        self.budget = self.open()
        self.budget.create_envelope("llm", 50)
        self.addCleanup(self.verify)

    def open(self, namespace=None, **options):
        return BudgetEnforcer(self.path, namespace, durability="process", **options)

    def verify(self):
        self.assertEqual(self.open().verify(), [])

    def committed(self, category="llm"):
        return self.open().utilization(category).committed

    def wait_until(self, condition):
        """It is to become true; not at once, but long before a test would be given up."""
        for _ in range(6000):
            if condition():
                return
            time.sleep(0.01)
        self.fail("it did not become true within a minute")


def race(budget):
    """Spends tenths until nothing is left; how many."""
    granted = 0
    while True:
        try:
            commit = budget.commit("llm", "0.1")
        except ExceedsBudget:
            return granted
        budget.settle(commit, "0.1")
        granted += 1
