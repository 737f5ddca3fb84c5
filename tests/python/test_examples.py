# SPDX-License-Identifier: Apache-2.0
"""The first program of the page, as a reader runs it."""
import os
import subprocess
import sys
import unittest

from support import Case

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../../src/bindings/python/examples")


class Examples(Case):
    def test_first_program(self):
        program = [sys.executable, os.path.join(EXAMPLES, "first_program.py"), self.path + "-new"]
        for left in ("4.69", "4.38"):
            printed = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout
            self.assertEqual(printed, f"{left} left for today\n")


if __name__ == "__main__":
    unittest.main()
