#!/usr/bin/env python3
"""The stack as a client sees it: the page in a real browser, whole and degraded, and the tests inside the network."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import ROOT, StackCase  # noqa: E402
from stagehand import wait_for  # noqa: E402

SCREENSHOTS = os.path.join(ROOT, "build", "reports", "screenshots")


class Seen(StackCase):
    """The page in headless Chromium, whole and degraded."""

    def look(self, name):
        os.makedirs(SCREENSHOTS, exist_ok=True)
        profile = tempfile.mkdtemp(prefix="tally-e2e.")
        self.addCleanup(shutil.rmtree, profile, True)
        browser = os.environ.get("CHROMIUM", "chromium")
        common = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
                  "--window-size=1024,768", "--virtual-time-budget=5000"]
        dom = subprocess.run([*common, f"--screenshot={SCREENSHOTS}/compose-{name}.png", "--dump-dom", f"http://127.0.0.1:{self.stack.port}/"],
                             capture_output=True, text=True, timeout=90, check=False).stdout
        self.assertGreater(os.path.getsize(f"{SCREENSHOTS}/compose-{name}.png"), 5000)
        return dom

    def until_page(self, pattern):
        """On both frontends, so that the browser sees it too."""
        def seen():
            return all(re.search(pattern, self.stack.visit(accept="text/html").body) for _ in range(6))
        wait_for(seen, pattern)

    def test_the_page_whole_and_degraded(self):
        dom = self.look("whole")
        self.assertRegex(dom, r'<span id="counter">\d+</span>')
        self.assertIn("<p>Bob</p>", dom)
        self.stack.compose("stop", "redis")
        self.until_page('<span id="counter"[^>]*>unavailable')
        dom = self.look("without-redis")
        self.assertIn("<p>Bob</p>", dom)
        self.stack.compose("start", "redis")
        self.stack.await_whole()
        self.stack.compose("stop", "mysql")
        self.until_page("The users are unavailable")
        self.assertRegex(self.look("without-mysql"), r'<span id="counter">\d+</span>')
        self.stack.compose("start", "mysql")
        self.stack.await_whole()

    def test_the_tests_inside_the_network(self):
        self.stack.command += ["-f", "docker-compose.yml", "-f", "docker-compose.testing.yml"]
        results = [line for line in self.stack.compose("run", "--rm", "-T", "e2e").splitlines() if re.match("(not )?ok ", line)]
        self.assertGreater(len(results), 10)
        self.assertEqual([line for line in results if not line.startswith("ok ")], [])


if __name__ == "__main__":
    tap.main()
