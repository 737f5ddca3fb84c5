# SPDX-License-Identifier: Apache-2.0
"""worker.c in Python."""
import signal
import sys
import time

from budget_enforcer import BudgetEnforcer, ExceedsBudget


def race(budget):
    granted = 0
    try:
        while True:
            budget.settle(budget.commit("llm", "0.1"), "0.1")
            granted += 1
    except ExceedsBudget:
        print(granted)


def hold(budget):
    budget.commit("llm", 3)
    print("held", flush=True)
    signal.pause()


def churn(budget):
    print("churning", flush=True)
    while True:
        budget.settle(budget.commit("llm", "0.000000001"), 0)


def check(budget):
    least = None
    for _ in range(300):
        start = time.perf_counter_ns()
        for _ in range(2000):
            budget.check("llm", "0.1")
        took = time.perf_counter_ns() - start
        least = took if least is None else min(least, took)
    print(least // 2000)


globals()[sys.argv[1]](BudgetEnforcer(sys.argv[2], durability="process"))
