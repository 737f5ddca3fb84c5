# SPDX-License-Identifier: Apache-2.0
"""The calls: reserve, settle, release, refusals, envelopes, listings, observers, exceptions."""
import copy
import gc
import os
import pathlib
import pickle
import signal
import sys
import threading
import time
import unittest
from decimal import Decimal

import budget_enforcer
from budget_enforcer import (WAIT_FOREVER, WAIT_WINDOW, BudgetEnforcer, EnvironmentFault,
                             ExceedsBudget, Fault, InvalidCall, MachineFault, NoEnvelope,
                             Refused, Suspended)
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
            hold.extend(ttl_ms=60000)
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

    def test_a_part_is_charged_and_the_rest_is_held(self):
        with self.budget.reserve("llm", 5, "a task", labels={"task": "7"}) as hold:
            first = hold.charge(2, labels={"model": "small"})
            self.assertEqual((first.kind, first.amount, first.held, first.description),
                             ("charge", 2, 5, "a task"))
            self.assertEqual(first.labels, {"model": "small", "task": "7"})
            self.assertEqual((self.committed(), hold.amount), (3, 3))
            self.budget.charge(hold.id, "0.5", "more", key="step 2")
            self.budget.charge(hold.id, "0.5", "more", key="step 2")
            self.assertEqual(hold.amount, Decimal("2.5"))
            last = hold.settle(1)
        self.assertEqual((last.amount, last.held, hold.amount), (1, Decimal("2.5"), 0))
        with self.assertRaises(Refused) as caught:
            hold.charge(1)
        self.assertEqual(caught.exception.reason, "already_settled")
        self.assertEqual(self.budget.utilization("llm").spent, Decimal("3.5"))

    def test_a_charge_is_corrected(self):
        charged = self.budget.record("llm", 5)
        given = self.budget.correct(charged.id, "1.5", "counted twice")
        self.assertEqual((given.kind, given.amount, given.corrects, given.description),
                         ("correction", Decimal("-1.5"), charged.id, "counted twice"))
        self.budget.correct(charged.id, "1.5", key="once")
        self.budget.correct(charged.id, "1.5", key="once")
        now = self.budget.utilization("llm")
        self.assertEqual((now.spent, now.charged, now.given_back), (2, 5, 3))
        for wrong, reason in ((charged.id, "exceeds_charge"), (99, "no_transaction")):
            with self.assertRaises(Refused) as caught:
                self.budget.correct(wrong, "2.1")
            self.assertEqual(caught.exception.reason, reason)

    def test_what_was_reaped_is_settled_late(self):
        commit = self.budget.commit("llm", 1, ttl_ms=1, labels={"task": "7"})
        self.wait_until(lambda: self.budget.reap() == 1)
        late = self.budget.settle(commit, 2)
        self.assertEqual((late.late, late.amount, late.labels), (True, 2, {"task": "7"}))

    def test_several_envelopes_at_once(self):
        self.budget.create_envelope("day", 3)
        customer = self.open("customers")
        customer.create_envelope("acme", 2)
        also = [("customers", "acme"), (None, "day")]
        named = (("customers", "acme"), ("", "day"))
        with self.budget.reserve("llm", 1, also=also) as hold:
            self.assertEqual(customer.utilization("acme").committed, 1)
            self.assertEqual(next(self.budget.commits()).also, named)
            self.assertEqual(hold.settle(1).also, named)
        self.assertEqual(self.budget.record("llm", "0.5", also=also).also, named)
        self.assertEqual(customer.utilization("acme").spent, Decimal("1.5"))
        self.assertEqual([one.also for one in self.budget.transactions()], [named, named])
        with self.assertRaises(ExceedsBudget) as caught:
            self.budget.commit("llm", 1, also=also)
        self.assertEqual(caught.exception.decision.category, "acme")
        for wrong in ([("a",)], ["day"], 1, [(1, "a")]):
            self.assertRaises(TypeError, self.budget.commit, "llm", 1, also=wrong)
        for wrong in ([(None, "day")] * 15, [(None, "day")] * 40):
            self.assertRaises(InvalidCall, self.budget.record, "llm", 1,
                              also=wrong + [(None, "x" * 200)])

    def test_as_much_as_there_is(self):
        self.budget.record("llm", 49)
        with self.budget.reserve("llm", 5, least="0.5") as hold:
            self.assertEqual(hold.amount, 1)
        with self.assertRaises(ExceedsBudget):
            self.budget.commit("llm", 5, least=2)
        self.assertRaises(TypeError, self.budget.commit, "llm", 5, least=0.5)

    def test_a_key_is_kept_for_as_long_as_was_said(self):
        first = self.budget.record("llm", 1, key="step", key_ms=1)
        self.wait_until(lambda: self.budget.record("llm", 1, key="step").id != first.id)

    def test_a_key_makes_it_once(self):
        first = self.budget.record("llm", 1, key="step 1")
        self.assertEqual(self.budget.record("llm", 1, key="step 1").id, first.id)
        with self.assertRaises(Refused) as caught:
            self.budget.record("llm", 2, key="step 1")
        self.assertEqual(caught.exception.reason, "key_reused")
        commit = self.budget.commit("llm", 1, key="step 2")
        self.assertEqual(self.budget.commit("llm", 1, key="step 2"), commit)
        settled = self.budget.settle(commit, 2, key="step 3")
        self.assertEqual(self.budget.settle(commit, 2, key="step 3").id, settled.id)
        self.assertEqual(self.budget.utilization("llm").spent, 3)

    def test_labels(self):
        first = self.budget.commit("llm", 5, labels={"task": "7", "customer": "Zoë"})
        self.assertEqual([one.labels for one in self.budget.commits()],
                         [{"customer": "Zoë", "task": "7"}])
        said = [self.budget.settle(first, 2, labels={"model": "small", "task": "8"})]
        with self.budget.reserve("llm", 1, labels={"customer": "acme"}) as hold:
            said.append(hold.settle(1, labels={"model": "large"}))
        said.append(self.budget.record("llm", 1, labels={"customer": "acme"}))
        said.append(self.budget.record("llm", 1))
        lines = list(self.budget.transactions())
        self.assertEqual([one.labels for one in said], [one.labels for one in lines])
        self.assertEqual([one.labels for one in lines],
                         [{"customer": "Zoë", "model": "small", "task": "8"},
                          {"customer": "acme", "model": "large"}, {"customer": "acme"}, {}])
        self.assertIn("labels={'customer': 'acme'}", repr(lines[2]))
        self.assertEqual(pickle.loads(pickle.dumps(lines[1])).labels, lines[1].labels)
        found = self.budget.transactions(labels={"customer": "acme", "model": None})
        self.assertEqual([one.id for one in found], [2])
        self.assertEqual(list(self.budget.commits(labels={"customer": None})), [])

    def test_labels_that_cannot_be_read_back(self):
        path = os.path.join(self.directory, "damaged")
        request = {"key": "once", "labels": {"customer": "somebody"}}
        with BudgetEnforcer(path, durability="process") as budget:
            budget.create_envelope("llm", 5)
            first = budget.record("llm", 1, **request)
        with open(os.path.join(path, "data.mdb"), "r+b") as file:
            data = file.read()
            file.seek(0)
            file.write(data.replace(b"somebody", b"some\0ody"))
        with BudgetEnforcer(path, durability="process") as budget:
            with self.assertRaises(EnvironmentFault):
                list(budget.transactions())
            again = budget.record("llm", 1, **request)
        self.assertEqual((again.id, again.amount), (first.id, 1))
        for one in (again, pickle.loads(pickle.dumps(again))):
            for name in ("labels", "also"):
                with self.assertRaises(EnvironmentFault) as caught:
                    getattr(one, name)
                self.assertEqual(caught.exception.reason, "damaged")
                self.assertIn("it was charged", str(caught.exception))
            self.assertIn("amount=Decimal('1')", repr(one))
            self.assertNotIn("labels", repr(one))

    def test_labels_that_are_none(self):
        for wrong in ({"": "x"}, {"a": "b\n"}, {"a": "x" * 129}, {str(i): "" for i in range(9)}):
            with self.assertRaises(InvalidCall) as caught:
                self.budget.record("llm", 1, labels=wrong)
            self.assertEqual(caught.exception.reason, "invalid_label")
        for wrong in ([("a", "b")], {"a": 1}, {1: "a"}, {"a": None}, "a=b"):
            self.assertRaises(TypeError, self.budget.commit, "llm", 1, labels=wrong)
        self.assertRaises(ValueError, self.budget.commit, "llm", 1, labels={"a": "b\0c"})
        self.assertEqual(list(self.budget.commits()), [])

    def test_waiting(self):
        commit = self.budget.commit("llm", 50)
        waiter = threading.Thread(target=lambda: self.budget.commit("llm", 1, wait_ms=WAIT_FOREVER))
        waiter.start()
        self.budget.settle(commit, 10)
        waiter.join()
        self.assertEqual(self.committed(), 1)
        with self.assertRaises(ExceedsBudget):
            self.budget.commit("llm", 40, wait_ms=1)
        with self.assertRaises(ExceedsBudget):
            self.budget.commit("llm", 40, wait_ms=WAIT_FOREVER, keep_waiting=lambda: False)
        with self.assertRaises(ExceedsBudget):
            self.budget.commit("llm", 40, wait_ms=WAIT_WINDOW)  # it has none
        with self.assertRaises(ZeroDivisionError):
            self.budget.commit("llm", 40, wait_ms=WAIT_FOREVER, keep_waiting=lambda: 1 // 0)

    def test_a_signal_ends_the_waiting(self):
        def interrupt(*_):
            raise KeyboardInterrupt
        before = signal.signal(signal.SIGALRM, interrupt)
        told = []
        try:
            self.budget.commit("llm", 50)
            for budget in (self.budget, self.open(observe=told.append)):
                signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
                with self.assertRaises(KeyboardInterrupt):
                    budget.commit("llm", 1, wait_ms=WAIT_FOREVER)
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertEqual(self.committed(), 50)
        self.assertEqual([one.operation for one in told], ["commit"])


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

    def test_a_parent_is_a_pair(self):
        for parent in ["", "llm"], "llm", 1:
            with self.assertRaises(TypeError):
                self.budget.create_envelope("task", 1, parent=parent)

    def test_steering(self):
        self.budget.set_limit("llm", 2)
        self.budget.record("llm", 1)
        self.budget.reset("llm")
        self.assertEqual(self.budget.utilization("llm").available, 2)
        self.budget.remove_envelope("llm")
        self.assertEqual(self.budget.check("llm", 1).reason, "no_envelope")
        self.budget.create_envelope("web", 1, suspended=True, period_start_ns=1)
        self.assertTrue(self.budget.utilization("web").suspended)

    def test_show_how_they_were_set(self):
        self.budget.create_envelope("day", 5, "weekly", zone="Etc/UTC", begins_on=7, roll_over=2)
        until = time.time_ns() + 10 ** 12
        shown = self.budget.set_envelope("day", thresholds=[50, 80], raised=(1, until))
        self.assertEqual((shown.zone, shown.begins_on, shown.roll_over, shown.thresholds,
                          shown.raised, shown.raised_until_ns, shown.limit_now, shown.observe_only),
                         ("Etc/UTC", 7, 2, [50, 80], 1, until, 6, False))
        self.assertFalse(self.budget.check("day", 7))
        shown = self.budget.utilization("day")
        self.assertEqual((shown.refused_exceeds_budget, shown.passed), (1, 0))
        refusal = self.budget.check("day", 7)
        self.assertEqual(refusal.window_end_ns, shown.period_end_ns)
        self.assertEqual(pickle.loads(pickle.dumps(shown)).thresholds, [50, 80])

    def test_a_namespace_ends(self):
        task = self.open("task-1")
        task.create_envelope("llm", 1, parent=("", "llm"))
        task.create_envelope("web", 1)
        commit = task.commit("llm", 1)
        with self.assertRaises(Refused) as caught:
            task.end_namespace()
        self.assertEqual(caught.exception.reason, "has_commits")
        self.assertEqual(task.end_namespace(release=True), (2, 1))
        self.assertEqual((self.committed(), task.release(commit)), (0, False))
        self.assertEqual(task.end_namespace(), (0, 0))

    def test_what_was_pruned_has_not_the_labels_of_another(self):
        first = self.budget.record("llm", 1, key="once", labels={"a": "1"})
        self.wait_until(lambda: time.time_ns() > first.at_ns)
        between = time.time_ns()
        self.wait_until(lambda: time.time_ns() > between)
        self.budget.record("llm", 2, labels={"b": "2"})
        self.assertEqual(self.budget.prune(between), 1)
        again = self.budget.record("llm", 1, key="once", labels={"a": "1"})
        self.assertEqual((again.id, again.labels), (first.id, {}))

    def test_what_was_pruned_stays_as_daily_sums(self):
        self.budget.create_envelope("day", 5)
        for number in range(3):
            self.budget.record("llm", number, also=[(None, "day")])
        self.budget.record("day", 1)
        self.assertEqual(self.budget.daily_sums(), ([], 0))
        self.assertEqual(self.budget.prune(time.time_ns() + 10 ** 9), 4)
        self.assertEqual(self.budget.prune(1), 0)
        after = self.budget.record("llm", 7)
        sums, last_id = self.budget.daily_sums()
        self.assertEqual(sorted((one.category, one.kind, one.amount, one.count, one.also)
                                for one in sums),
                         [("day", "record", 1, 1, ()),
                          ("llm", "record", 3, 3, (("", "day"),))])
        self.assertEqual(sums[0].day_ns % (86400 * 10 ** 9), 0)
        self.assertEqual([one.id for one in self.budget.transactions(after_id=last_id)],
                         [after.id])
        self.assertEqual(self.budget.daily_sums(namespace="none")[0], [])
        self.assertEqual(pickle.loads(pickle.dumps(sums[0])).amount, sums[0].amount)

    def test_owners_and_statistics(self):
        commit = self.budget.commit("llm", 1, on_death="charge")
        child = os.fork()
        if child == 0:
            self.budget.commit("llm", 2)
            os._exit(0)
        os.waitpid(child, 0)
        owners = {one.pid: one for one in self.budget.owners()}
        mine = owners[os.getpid()]
        self.assertEqual({pid: one.alive for pid, one in owners.items()},
                         {os.getpid(): True, child: False})
        self.assertEqual((mine.pid_here, owners[child].pid_here), (os.getpid(), 0))
        self.assertEqual([(one.owner_id, one.on_death) for one in self.budget.commits()],
                         [(mine.id, "charge"), (owners[child].id, "release")])
        self.assertFalse(self.budget.check("none", 1))
        self.budget.settle(commit, 1)
        self.assertEqual(self.budget.reap(), 1)
        stats = self.budget.stats()
        self.assertEqual((stats.durability, stats.owners, stats.waiting, stats.went_back),
                         ("process", 1, 0, False))
        self.assertEqual((stats.next_envelope_id, stats.next_commit_id,
                          stats.next_transaction_id, stats.pruned_id), (2, 3, 2, 0))
        self.assertEqual((stats.orphaned_released, stats.orphaned_charged,
                          stats.refused_no_envelope, stats.refusals_known), (1, 0, 1, True))
        self.assertLess(0, stats.created_ns)
        self.assertEqual(stats.file_size, os.path.getsize(os.path.join(self.path, "data.mdb")))
        self.assertEqual(pickle.loads(pickle.dumps(stats)).records, stats.records)
        with BudgetEnforcer(memory=True) as memory:
            self.assertEqual((memory.owners(), memory.stats().file_size), ([], 0))

    def test_a_backup_is_restored(self):
        self.budget.record("llm", 7)
        file, copy = (os.path.join(self.directory, name) for name in ("backup", "copy"))
        self.budget.backup(file)
        self.budget.record("llm", 1)
        with self.assertRaises(EnvironmentFault) as caught:
            self.budget.backup(file)
        self.assertEqual(caught.exception.reason, "already_there")
        budget_enforcer.restore(pathlib.Path(file), copy)
        with BudgetEnforcer(copy, create=False) as restored:
            self.assertEqual(restored.utilization("llm").spent, 7)
            self.assertEqual(restored.verify(), [])
        self.assertRaises(EnvironmentFault, budget_enforcer.restore, file, self.path)
        self.assertRaises(TypeError, budget_enforcer.restore, file)
        self.assertRaises(TypeError, budget_enforcer.restore, file, 1)
        with self.assertRaisesRegex(InvalidCall, "URL of a server"):
            self.budget.copy(copy)

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


class Changes(Case):
    def test_all_are_made_in_their_order(self):
        told = []
        budget = self.open(observe=told.append)
        budget.apply([
            {"operation": "create", "category": "day", "limit": "2.5", "period": "daily"},
            {"operation": "ensure", "namespace": "task", "category": "llm", "limit": 1,
             "parent": ("", "day")},
            {"operation": "set", "namespace": "task", "category": "llm", "thresholds": [50, 90],
             "raised": (1, 2 ** 62)},
            {"operation": "set_limit", "category": "llm", "limit": 7},
            {"operation": "suspend", "category": "day"},
        ])
        task = self.open("task").utilization("llm")
        day = budget.utilization("day")
        self.assertEqual((task.limit, task.limit_now, task.thresholds, task.parent_category),
                         (1, 2, [50, 90], "day"))
        self.assertEqual((day.limit, day.period, day.suspended, day.children),
                         (Decimal("2.5"), "daily", True, 1))
        self.assertEqual(budget.utilization("llm").limit, 7)
        self.assertEqual([one.operation for one in told],
                         ["create", "ensure", "set", "set_limit", "suspend"])
        budget.apply([{"operation": "resume", "category": "day"},
                      {"operation": "reset", "category": "llm"},
                      {"operation": "remove", "namespace": "task", "category": "llm"}])
        self.assertFalse(budget.utilization("day").suspended)
        self.assertEqual(list(budget.envelopes(namespace="task")), [])
        budget.apply([])

    def test_or_none(self):
        good = {"operation": "set_limit", "category": "llm", "limit": 1}
        with self.assertRaises(NoEnvelope) as caught:
            self.budget.apply([good, good, {"operation": "reset", "category": "none"}, good])
        self.assertEqual(caught.exception.failed, 2)
        for wrong, error in (({"operation": "commit", "category": "llm"}, ValueError),
                             ({"category": "llm"}, ValueError),
                             ({"operation": "reset"}, TypeError),
                             ({"operation": "reset", "category": "llm", "limit": 1}, TypeError),
                             ({"operation": "set", "category": "llm", "treshold": [1]}, TypeError),
                             ({**good, "limit": 0.5}, TypeError),
                             ({**good, "limit": "x"}, InvalidCall),
                             ({**good, "namespace": 1}, TypeError),
                             ({"operation": "ensure", "category": "new", "limit": 1,
                               "must_be_new": True}, TypeError),
                             ("reset", TypeError), (None, TypeError)):
            with self.assertRaises(error) as caught:
                self.budget.apply((good, wrong))
            self.assertEqual(caught.exception.failed, 1)
        self.assertRaises(TypeError, self.budget.apply, None)
        self.assertEqual(self.budget.utilization("llm").limit, 50)


class Settings(Case):
    def test_change_what_is_named_and_keep_the_rest(self):
        self.budget.record("llm", 7)
        set_to = self.budget.set_envelope("llm", limit="60.5", period="monthly",
                                          zone="Etc/UTC", begins_on=15, thresholds=[50, 80])
        self.assertEqual((set_to.limit, set_to.period, set_to.spent), (Decimal("60.5"),
                                                                       "monthly", 7))
        set_to = self.budget.set_envelope("llm", observe_only=True, suspended=True)
        self.assertTrue(set_to.suspended)
        self.assertEqual(set_to.limit, Decimal("60.5"))
        set_to = self.budget.set_envelope("llm", suspended=False, clear_spent=True,
                                          raised=(5, time.time_ns() + 10 ** 12))
        self.assertEqual((set_to.suspended, set_to.spent), (False, 0))
        self.assertEqual(set_to.available, Decimal("65.5"))
        self.assertEqual(self.budget.set_envelope("llm", raised=None).available,
                         Decimal("60.5"))

    def test_another_name(self):
        self.budget.record("llm", 7)
        self.budget.set_envelope("llm", name=(None, "models"))
        self.assertEqual(self.budget.utilization("models").spent, 7)
        self.budget.create_envelope("above", 5)
        moved = self.budget.set_envelope("models", parent=(None, "above"))
        self.assertEqual(moved.parent_category, "above")
        moved = self.budget.set_envelope("models", parent=None)
        self.assertFalse(moved.has_parent)
        self.budget.set_envelope("models", name=("team", "llm"))
        self.assertEqual(self.open("team").utilization("llm").spent, 7)
        self.budget.create_envelope("llm", 50)

    def test_are_checked(self):
        self.assertRaises(InvalidCall, self.budget.set_envelope, "llm")
        for wrong in ({"limit": 0.5}, {"thresholds": [80, "x"]}, {"raised": 5}, {"name": "x"},
                      {"zone": "Etc/UTC"}, {"colour": "red"}):
            self.assertRaises(TypeError, self.budget.set_envelope, "llm", **wrong)
        for wrong in ([0], [1001], list(range(1, 10))):
            self.assertRaises(ValueError, self.budget.set_envelope, "llm", thresholds=wrong)
        self.assertRaises(InvalidCall, self.budget.set_envelope, "llm", thresholds=[80, 50])
        self.assertEqual(self.budget.utilization("llm").limit, 50)

    def test_are_given_when_it_is_made(self):
        made = self.budget.create_envelope("day", 5, "daily", zone="Etc/UTC", roll_over=2,
                                           observe_only=True)
        self.assertEqual(made.period_start_ns % (86400 * 10 ** 9), 0)
        self.assertTrue(self.budget.commit("day", 6))
        for commit in self.budget.commits():
            self.budget.release(commit.id)


class Alerts(Case):
    def setUp(self):
        super().setUp()
        self.budget.set_envelope("llm", thresholds=[50, 80])

    def test_are_listed_and_done_once(self):
        self.budget.record("llm", 25)
        self.budget.record("llm", 20)
        self.assertEqual([(one.percent, one.spent, one.category) for one in
                          self.budget.alerts()], [(50, 25, "llm"), (80, 45, "llm")])
        first, second = self.budget.alerts(page=1)
        self.assertTrue(self.budget.alert_done(first.id))
        self.assertFalse(self.budget.alert_done(first.id))
        self.assertGreater(next(self.budget.alerts()).done_ns, 0)
        self.assertEqual([one.id for one in self.budget.alerts(after_id=first.id)], [second.id])
        self.assertEqual(pickle.loads(pickle.dumps(first)).percent, 50)
        self.assertRaises(Refused, self.budget.alert_done, 99)

    def test_are_followed(self):
        alerts = self.budget.follow_alerts(interval=0.01)
        self.budget.record("llm", 25)
        self.assertEqual(next(alerts).percent, 50)
        spender = threading.Timer(0.02, self.budget.record, ("llm", 20))
        spender.start()
        self.assertEqual(next(alerts).percent, 80)
        spender.join()


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
        budget.set_envelope("llm", thresholds=[50])
        budget.record("llm", 30, key="once")
        budget.record("llm", 30, key="once")
        told = [(one.operation, one.repeated, one.envelope and one.envelope.spent,
                 one.alert and one.alert.percent) for one in events[3:]]
        self.assertEqual(told, [("record", False, Decimal("30.5"), None),
                                ("alert", False, None, 50),
                                ("record", True, None, None)])

    def test_an_observer_that_raises_breaks_no_call(self):
        told = []
        before, sys.unraisablehook = sys.unraisablehook, told.append
        try:
            budget = self.open(observe=lambda event: 1 // 0)
            self.assertEqual(budget.settle(budget.commit("llm", 1), 1).amount, 1)
        finally:
            sys.unraisablehook = before
        self.assertEqual([type(one.exc_value) for one in told], [ZeroDivisionError] * 2)

    def test_an_observer_may_call(self):
        events = []

        def observe(event):
            events.append(event.operation)
            if event.operation == "commit":
                budget.record("llm", 1)

        budget = self.open(observe=observe)
        budget.release(budget.commit("llm", 1))
        self.assertEqual(events, ["commit", "record", "release"])

    def test_another_namespace_from_a_handle(self):
        told = []
        first = self.open(observe=told.append)
        task = first.open_namespace("task")
        below = task.open_namespace("below")
        self.assertRaises(RuntimeError, below._open_namespace, first, "again")
        with self.assertRaises(InvalidCall):
            first.open_namespace("a\n")
        first.close()
        self.assertRaises(ValueError, first.open_namespace, "late")
        del first
        gc.collect()
        task.create_envelope("llm", 1, parent=("", "llm"))
        task.record("llm", 1)
        self.assertEqual(self.budget.utilization("llm").spent, 1)
        again = pickle.loads(pickle.dumps(self.open().open_namespace("task")))
        self.assertEqual(again.utilization("llm").spent, 1)
        self.assertEqual([one.namespace for one in told], ["task", "task"])
        task.close()
        self.assertEqual(below.check("llm", 1).reason, "no_envelope")
        below.close()

    def test_another_namespace_of_memory(self):
        with BudgetEnforcer(memory=True) as first:
            task = first.open_namespace("task")
            task.create_envelope("llm", 5)
            self.assertEqual([one.namespace for one in first.envelopes()], ["task"])
        task.record("llm", 2)  # the memory is there until the last handle closes
        self.assertEqual(task.utilization("llm").spent, 2)

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

    def test_a_closed_one_is_not_opened_again(self):
        other = self.budget.open_namespace("team")
        other.close()
        closed = self.open()
        closed.close()
        for one in other, closed, self.budget:
            with self.assertRaisesRegex(RuntimeError, "opened already"):
                one.__init__(self.path, "other", durability="process")
        self.assertEqual(self.budget.utilization("llm").limit, 50)
        self.assertEqual(pickle.loads(pickle.dumps(self.budget)).utilization("llm").limit, 50)

    def test_a_copy_of_memory_has_no_progress(self):
        budget = BudgetEnforcer(memory=True)
        for one in budget, budget.open_namespace("team"):
            with self.assertRaisesRegex(ValueError, "no progress"):
                one.copy("redis://127.0.0.1:1/0", progress=print)
            with self.assertRaises(Fault):  # nobody is there
                one.copy("redis://127.0.0.1:1/0")

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
