"""Runs the tests of this folder; says after each, in a line of JSON on standard output, how it went."""

import faulthandler
import json
import pathlib
import sys
import unittest

# A test that hangs ends the run, and says where.
MOST_SECONDS = 60


class Lines(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out

    def startTest(self, test):
        super().startTest(test)
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"name": test.id(), "problems": self.take_problems()}), file=self.out, flush=True)

    def take_problems(self):
        # A test that was left out has proved nothing.
        texts = [text for _, text in self.failures + self.errors] + [f"skipped: {why}" for _, why in self.skipped]
        for taken in (self.failures, self.errors, self.skipped):
            taken.clear()
        return texts


if __name__ == "__main__":
    lines = Lines(sys.stdout)
    sys.stdout = sys.stderr
    unittest.defaultTestLoader.discover(str(pathlib.Path(__file__).parent)).run(lines)
    # What belongs to no single test, such as a class that could not be set up.
    sys.exit("\n".join(lines.take_problems()) or 0)
