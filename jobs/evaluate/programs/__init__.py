"""Generated programs in other languages than Python, with their tests in the same program.

A program passes if it ends with status 0 after printing a secret, which it reads after its last test. It is
then run once more with a test that must fail: a program that passes again does not obey its tests (it forged
the verdict, or switched tests off) and has failed. A program that was written against this very protocol, and
reads its input in place of the tests, could still pass; Python's tests are in a process of their own and have
no such gap.
"""

from starfreight.jobs.evaluate.programs.languages import LANGUAGES, Language, language_named
from starfreight.jobs.evaluate.programs.run_program import ProgramTests, ProgramVerdict
from starfreight.jobs.evaluate.programs.toolchain import Toolchain, find_toolchain

__all__ = [
    "LANGUAGES",
    "Language",
    "ProgramTests",
    "ProgramVerdict",
    "Toolchain",
    "find_toolchain",
    "language_named",
]
