"""Runs unittest cases and reports in TAP, for scripts/run-tests."""

import sys
import time
import unittest


class TapResult(unittest.TestResult):
    """Each result is printed when it is there, so that a program that is killed has told what it knew."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.began = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def say(self, result, test, note="", why=""):
        self.count += 1
        name = test.id().rpartition("__main__.")[2]
        print(f"{result} {self.count} - {name}{note}", *why.splitlines(), f"{time.monotonic() - self.began:.1f} s", sep="\n# ", flush=True)

    def addSuccess(self, test):
        self.say("ok", test)

    def addSkip(self, test, reason):
        self.say("ok", test, f" # SKIP {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("not ok", test, why=self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.say("not ok", test, why=self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.say("not ok", subtest, why=(self.failures + self.errors)[-1][1])


def main():
    """Runs all cases of the script, prints TAP, and exits with 1 when one failed."""
    result = TapResult()
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]).run(result)
    print(f"1..{result.count}")
    sys.exit(not result.wasSuccessful())
