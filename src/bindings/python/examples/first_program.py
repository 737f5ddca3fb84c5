# SPDX-License-Identifier: Apache-2.0
import sys

from budget_enforcer import BudgetEnforcer, ExceedsBudget

budget = BudgetEnforcer(sys.argv[1] if len(sys.argv) > 1 else "budget")
budget.create_envelope("llm", 5, "daily")
try:
    with budget.reserve("llm", "0.40", "summarise a page") as hold:  # 0.40 at most
        hold.settle("0.31")  # here the model is called; it cost 0.31
except ExceedsBudget as refusal:
    sys.exit(f"no call: {refusal}")
print(budget.utilization("llm").available, "left for today")
