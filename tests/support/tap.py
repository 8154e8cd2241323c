"""Runs unittest cases and reports in TAP, for scripts/run-tests."""

import sys
import unittest


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, result, test, note="", why=""):
        name = test.id().rpartition("__main__.")[2]
        self.lines.append(f"{result} {len(self.lines) + 1} - {name}{note}" +
                          "".join(f"\n# {line}" for line in why.splitlines()))

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
    print("\n".join(result.lines))
    print(f"1..{len(result.lines)}")
    sys.exit(not result.wasSuccessful())
