# SPDX-License-Identifier: Apache-2.0
"""The calls: reserve, settle, release, refusals, envelopes, listings, observers, exceptions."""
import copy
import gc
import os
import pickle
import unittest
from decimal import Decimal

import budget_enforcer
from budget_enforcer import (BudgetEnforcer, EnvironmentFault, ExceedsBudget, Fault, InvalidCall,
                             MachineFault, NoEnvelope, Refused, Suspended)
from support import Case


class Spending(Case):
    def test_what_is_settled_is_charged(self):
        with self.budget.reserve("llm", "0.40", "a letter") as hold:
            self.assertEqual(self.committed(), Decimal("0.4"))
            transaction = hold.settle(Decimal("0.31"))
        self.assertEqual((transaction.kind, transaction.amount, transaction.held,
                          transaction.description),
                         ("settle", Decimal("0.31"), Decimal("0.4"), "a letter"))
        now = self.budget.utilization("llm")
        self.assertEqual((now.spent, now.committed, now.available),
                         (Decimal("0.31"), 0, Decimal("49.69")))

    def test_what_is_not_settled_is_released(self):
        with self.assertRaisesRegex(RuntimeError, "no answer"):
            with self.budget.reserve("llm", "0.40"):
                raise RuntimeError("no answer")
        self.assertEqual(self.committed(), 0)
        with self.budget.reserve("llm", 1) as hold:
            hold.extend(2, ttl_ms=60000)
            self.assertEqual(self.committed(), 2)
            self.assertTrue(hold.release())
            self.assertFalse(hold.release())

    def test_nothing_is_held_before_the_block(self):
        reservation = self.budget.reserve("llm", 1)
        self.assertEqual(self.committed(), 0)
        self.assertFalse(hasattr(reservation, "settle"))

    def test_a_settlement_that_fails_leaves_the_hold(self):
        with self.budget.reserve("llm", 1) as hold:
            with self.assertRaises(InvalidCall):
                hold.settle("-1")
            self.assertEqual(self.committed(), 1)
        self.assertEqual(self.committed(), 0)

    def test_refusals_are_exceptions_with_their_figures(self):
        with self.assertRaises(ExceedsBudget) as caught:
            self.budget.commit("llm", 51)
        error = caught.exception
        self.assertEqual((error.decision.available, error.decision.requested, error.reason,
                          error.status), (50, 51, "exceeds_budget", -1))
        self.assertIn("50 available", str(error))
        with self.assertRaises(NoEnvelope):
            self.budget.commit("none", 1)
        with self.assertRaises(NoEnvelope):
            self.budget.record("none", 1)
        self.budget.suspend("llm")
        with self.assertRaises(Suspended):
            self.budget.commit("llm", 1)
        self.budget.resume("llm")
        with self.assertRaises(Refused) as caught:
            self.budget.settle(12345, 1)
        self.assertEqual(caught.exception.reason, "no_commit")

    def test_check_returns_a_decision_that_is_true_or_not(self):
        self.assertTrue(self.budget.check("llm", 50))
        refusal = self.budget.check("llm", 51)
        self.assertFalse(refusal)
        self.assertEqual((refusal.permitted, refusal.reason), (False, "exceeds_budget"))
        self.assertEqual(self.budget.check("none", 1).reason, "no_envelope")
        with self.assertRaises(InvalidCall):
            self.budget.check("", 1)

    def test_release_twice(self):
        commit = self.budget.commit("llm", 1)
        self.assertEqual([self.budget.release(commit), self.budget.release(commit)], [True, False])

    def test_on_death_and_ttl(self):
        self.budget.commit("llm", 1, ttl_ms=1, on_death="charge")
        self.wait_until(lambda: self.budget.reap() == 1)
        self.assertEqual(self.budget.utilization("llm").spent, 1)
        self.assertEqual([one.kind for one in self.budget.transactions()], ["expired"])
        self.assertRaises(ValueError, self.budget.commit, "llm", 1, on_death="burn")


class Envelopes(Case):
    def test_create_is_ensure(self):
        self.budget.record("llm", 1)
        again = self.budget.create_envelope("llm", 10, "daily")
        self.assertEqual((again.limit, again.spent, again.period), (50, 1, "total"))
        with self.assertRaises(Refused) as caught:
            self.budget.create_envelope("llm", 10, must_be_new=True)
        self.assertEqual(caught.exception.reason, "envelope_exists")
        self.assertEqual(self.budget.create_envelope("new", 1, must_be_new=True).limit, 1)

    def test_parents(self):
        task = self.open("task-1")
        below = task.create_envelope("llm", 100, parent=("", "llm"))
        self.assertEqual((below.has_parent, below.parent_namespace, below.parent_category),
                         (True, "", "llm"))
        with self.assertRaises(ExceedsBudget) as caught:
            task.commit("llm", 60)
        self.assertEqual(caught.exception.decision.namespace, "")

    def test_steering(self):
        self.budget.set_limit("llm", 2)
        self.budget.record("llm", 1)
        self.budget.reset("llm")
        self.assertEqual(self.budget.utilization("llm").available, 2)
        self.budget.remove_envelope("llm")
        self.assertEqual(self.budget.check("llm", 1).reason, "no_envelope")
        self.budget.create_envelope("web", 1, suspended=True, period_start_ns=1)
        self.assertTrue(self.budget.utilization("web").suspended)

    def test_listings_come_in_pages(self):
        for number in range(10):
            self.budget.record("llm", "0.1", f"call {number}")
            self.open(f"task-{number}").create_envelope("llm", 1)
        self.assertEqual([one.description for one in self.budget.transactions(page=3)],
                         [f"call {number}" for number in range(10)])
        self.assertEqual([one.namespace for one in self.budget.envelopes(page=4)],
                         [""] + [f"task-{number}" for number in range(10)])
        commits = [self.budget.commit("llm", 1) for _ in range(5)]
        self.assertEqual([one.id for one in self.budget.commits(page=2)], commits)
        self.assertEqual(sum(one.amount for one in self.budget.transactions()), 1)
        self.assertEqual(list(self.budget.transactions(namespace="none")), [])


class Handles(Case):
    def test_subclasses_may_override(self):
        seen = []

        class Counting(BudgetEnforcer):
            def check(self, category, amount):
                decision = super().check(category, amount)
                seen.append((category, decision.permitted))
                return decision

        Counting(self.path, durability="process").check("llm", 1)
        self.assertEqual(seen, [("llm", True)])

    def test_observers_are_told(self):
        events = []
        budget = self.open(observe=events.append)
        budget.check("llm", 1)
        budget.record("llm", "0.5")
        self.assertEqual([(one.operation, one.status, one.amount) for one in events],
                         [("check", "ok", 1), ("record", "ok", Decimal("0.5"))])

    def test_what_an_owning_handle_holds_ends_with_it(self):
        owning = self.open(owning=True)
        owning.commit("llm", 1)
        self.budget.commit("llm", 2)
        owning.close()
        self.assertEqual(self.committed(), 2)
        owning = self.open(owning=True)
        owning.commit("llm", 1)
        del owning
        gc.collect()
        self.assertEqual(self.committed(), 2)

    def test_close(self):
        with self.open() as budget:
            budget.check("llm", 1)
        self.assertRaisesRegex(ValueError, "closed", budget.check, "llm", 1)
        budget.close()

    def test_memory(self):
        budget = BudgetEnforcer(memory=True)
        budget.create_envelope("llm", 1)
        budget.commit("llm", 1)
        self.assertFalse(budget.check("llm", 1))
        self.assertRaises(TypeError, pickle.dumps, budget)

    def test_where_the_budget_is(self):
        os.environ.pop("BUDGET_ENFORCER_DIR", None)
        self.assertRaisesRegex(InvalidCall, "BUDGET_ENFORCER_DIR", BudgetEnforcer)
        os.environ["BUDGET_ENFORCER_DIR"] = self.path
        self.addCleanup(os.environ.pop, "BUDGET_ENFORCER_DIR")
        self.assertEqual(BudgetEnforcer(durability="process").utilization("llm").limit, 50)

    def test_faults(self):
        with self.assertRaises(EnvironmentFault) as caught:
            BudgetEnforcer(self.path + "-none", create=False)
        self.assertEqual(caught.exception.reason, "not_found")
        self.assertRaises(Fault, BudgetEnforcer, "/proc/none")
        with self.assertRaises(BudgetEnforcer and Fault):
            self.open(read_only=True).record("llm", 1)
        self.assertTrue(issubclass(MachineFault, OSError))
        self.assertRaises(ValueError, BudgetEnforcer, self.path, durability="half")

    def test_pickling(self):
        other = pickle.loads(pickle.dumps(self.open("task")))
        other.create_envelope("x", 1)
        self.assertEqual(other.utilization("x").namespace, "task")
        with self.assertRaises(ExceedsBudget) as caught:
            self.budget.commit("llm", 51)
        error = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((error.decision.available, error.reason), (50, "exceeds_budget"))
        transaction = copy.copy(self.budget.record("llm", 1, "é" * 256))
        self.assertEqual(transaction.description, "é" * 256)
        decision = self.budget.check("llm", 1)
        self.assertRaises(ValueError, type(decision)._restore, b"short")

    def test_nothing_leaks(self):
        for _ in range(300):
            self.open().check("llm", 1)
        gc.collect()
        self.assertLess(len(os.listdir("/proc/self/fd")), 60)

    def test_version(self):
        self.assertRegex(budget_enforcer.__version__, r"^\d+\.\d+\.\d+$")


if __name__ == "__main__":
    unittest.main()
