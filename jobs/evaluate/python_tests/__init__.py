"""Tests of generated Python, in two boxes: the tests in one, the model's code in the other.

The model's code is called from outside its process and returns plain values, so it can neither end the
tests, nor change them, nor write their verdict.
"""

from starfreight.jobs.evaluate.python_tests.run_tests import PythonProblem, PythonTests, Verdict

__all__ = ["PythonProblem", "PythonTests", "Verdict"]
