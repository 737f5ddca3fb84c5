# SPDX-License-Identifier: Apache-2.0
"""What an amount is, and what is none."""
import unittest
from decimal import Decimal

from budget_enforcer import InvalidCall
from support import Case


class Amounts(Case):
    def test_are_exact(self):
        for amount, nanos in (("0.40", "0.4"), (1, "1"), (Decimal("0.000000001"), "0.000000001"),
                              (Decimal("1E+2"), "100"), (Decimal("0.1000000000000"), "0.1"),
                              (Decimal("0"), "0"), (0, "0"), ("9223372036.854775807",) * 2):
            with self.subTest(amount=amount):
                self.assertEqual(self.budget.check("llm", amount).requested, Decimal(nanos))
        for _ in range(10):
            self.budget.record("llm", "0.1")
        self.assertEqual(self.budget.utilization("llm").spent, 1)

    def test_are_no_floats(self):
        for amount in (0.4, True, None, b"1", 1j, [], float("nan")):
            with self.subTest(amount=amount):
                for call in (lambda: self.budget.check("llm", amount),
                             lambda: self.budget.commit("llm", amount),
                             lambda: self.budget.record("llm", amount),
                             lambda: self.budget.create_envelope("web", amount)):
                    self.assertRaises(TypeError, call)

    def test_are_refused_with_the_reason(self):
        for amount, reason in ((-1, "negative"), ("-1", "negative"), (Decimal("-1"), "negative"),
                               ("1e3", "exponent"), ("", "empty"), (" 1", "space"),
                               (Decimal("NaN"), "not_a_number"),
                               (Decimal("Infinity"), "not_a_number"),
                               (Decimal("1E-10"), "too_precise"), ("0.4000000000", "too_precise"),
                               (2**63, "too_large"), (10**10, "too_large"),
                               (Decimal(10**300), "too_large")):
            with self.subTest(amount=amount):
                with self.assertRaises(InvalidCall) as caught:
                    self.budget.check("llm", amount)
                self.assertEqual(caught.exception.reason, "amount_" + reason)
                self.assertIsInstance(caught.exception, ValueError)
        self.assertRaises(ValueError, self.budget.check, "llm", "1\0")
        self.assertRaises(ValueError, self.budget.check, "l\0m", 1)


if __name__ == "__main__":
    unittest.main()
