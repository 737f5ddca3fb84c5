# SPDX-License-Identifier: Apache-2.0
"""The eight patterns that the project's document has for TypeScript, as Python says them."""
import unittest
from decimal import Decimal

from budget_enforcer import BudgetEnforcer, ExceedsBudget, NoEnvelope
from support import Case


class Patterns(Case):
    def balance(self, category="llm"):
        now = self.budget.utilization(category)
        return now.spent, now.committed

    def test_1_check_then_record(self):
        decision = self.budget.check("llm", "0.40")
        self.assertTrue(decision.permitted)
        self.budget.record("llm", "0.31", "summarise a page"[:80])
        self.assertEqual(self.balance(), (Decimal("0.31"), 0))

    def test_2_commit_release_record(self):
        def work(call):
            commit = self.budget.commit("llm", "0.40")
            try:
                cost = call()
                self.budget.release(commit)
                self.budget.record("llm", cost, "completion")
            except BaseException:
                self.budget.release(commit)
                raise

        work(lambda: "0.31")
        self.assertEqual(self.balance(), (Decimal("0.31"), 0))
        with self.assertRaises(ZeroDivisionError):
            work(lambda: 1 // 0)
        self.assertEqual(self.balance(), (Decimal("0.31"), 0))

    def test_3_graceful_degradation(self):
        def model():
            for name, price in (("large", "0.40"), ("small", "0.02")):
                if self.budget.check("small budget", price):
                    self.budget.record("small budget", price, name)
                    return name
            return "what is cached"

        self.budget.create_envelope("small budget", "0.45")
        self.assertEqual([model() for _ in range(4)], ["large", "small", "small", "what is cached"])

    def test_4_task_sub_budgets(self):
        task = self.open("task-abc123")
        task.create_envelope("llm", "0.25", "total")
        task.record("llm", "0.25")
        self.assertFalse(task.check("llm", "0.01"))
        self.assertEqual(self.balance(), (0, 0))

    def test_5_observability(self):
        counts = {}

        class Instrumented(BudgetEnforcer):
            def check(self, category, amount):
                decision = super().check(category, amount)
                counts["check", decision.reason] = counts.get(("check", decision.reason), 0) + 1
                return decision

            def record(self, category, amount, description=None):
                transaction = super().record(category, amount, description)
                counts["spent"] = counts.get("spent", 0) + transaction.amount
                return transaction

        budget = Instrumented(self.path, durability="process")
        budget.check("llm", 1)
        budget.check("llm", 51)
        budget.record("llm", "0.5")
        self.assertEqual(counts, {("check", "within_budget"): 1, ("check", "exceeds_budget"): 1,
                                  "spent": Decimal("0.5")})

    def test_6_what_is_stored_survives_restarts(self):
        self.budget.record("llm", 1)
        self.budget.close()
        self.budget = self.open()
        self.assertEqual(self.balance(), (1, 0))

    def test_7_no_envelope(self):
        self.assertEqual(self.budget.check("unknown", 1).reason, "no_envelope")
        with self.assertRaises(NoEnvelope):
            self.budget.commit("unknown", 1)
        self.budget.create_envelope("unknown", 1, "daily")
        self.assertTrue(self.budget.check("unknown", 1))

    def test_8_periods(self):
        self.budget.create_envelope("hour", 1, "hourly", period_start_ns=1)
        now = self.budget.utilization("hour")
        self.assertEqual(now.period_end_ns - now.period_start_ns, 3600 * 10**9)
        self.assertEqual(self.budget.utilization("llm").period_end_ns, 0)
        self.budget.record("llm", 50)
        with self.assertRaises(ExceedsBudget):
            self.budget.commit("llm", "0.000000001")


if __name__ == "__main__":
    unittest.main()
