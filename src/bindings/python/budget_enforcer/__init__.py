# SPDX-License-Identifier: Apache-2.0
"""Says before each model or tool call whether the money is there, reserves it, and charges what
the call really cost, for all worker processes of a machine together.

    from budget_enforcer import BudgetEnforcer

    budget = BudgetEnforcer("budget")
    budget.create_envelope("llm", 5, "daily")
    with budget.reserve("llm", "0.40", "summarise a page") as hold:
        hold.settle("0.31")  # here the model was called; it cost 0.31

Amounts are Decimal, int or str, exactly, and never float. What is not granted is an exception.
"""
from ._enforcer import WAIT_FOREVER, WAIT_WINDOW, BudgetEnforcer
from ._errors import (BudgetError, EnvironmentFault, Event, ExceedsBudget, Fault, InvalidCall,
                      MachineFault, NoEnvelope, Refused, Suspended)
from ._holds import AsyncHold, Hold, Reservation
from ._native import (Alert, Commit, DailySum, Decision, Envelope, Owner, Statistics,
                      Transaction, restore)
from ._native import version as _version

__version__ = _version()

__all__ = [
    "Alert", "AsyncHold", "BudgetEnforcer", "BudgetError", "Commit", "DailySum", "Decision",
    "Envelope", "EnvironmentFault", "Event", "ExceedsBudget", "Fault", "Hold", "InvalidCall",
    "MachineFault", "NoEnvelope", "Owner", "Refused", "Reservation", "Statistics", "Suspended",
    "Transaction", "WAIT_FOREVER", "WAIT_WINDOW", "restore",
]
