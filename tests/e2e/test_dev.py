#!/usr/bin/env python3
"""Working on it: docker-compose.dev.yml rebuilds and restarts a service when a source changes, and keeps the old one while none compiles."""

import os
import shutil
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import ROOT, Stack, ask  # noqa: E402
from stagehand import wait_for  # noqa: E402

PAGE = "frontend/page.html"
NEEDED = ["Makefile", "docker-compose.yml", "docker-compose.dev.yml", "lib", "frontend", "backend", "scripts"]


class Dev(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tally-e2e.")
        self.addCleanup(shutil.rmtree, self.folder)
        for name in NEEDED:
            copy = shutil.copytree if os.path.isdir(os.path.join(ROOT, name)) else shutil.copy2
            copy(os.path.join(ROOT, name), os.path.join(self.folder, name))
        self.stack = Stack(*(os.path.join(self.folder, name) for name in NEEDED[1:3]))
        self.addCleanup(self.stack.down)

    def page(self):
        """The frontend's own, without a store: what it says of itself does not depend on one."""
        try:
            return ask(5000, host=self.stack.addresses("frontend-1")["edge"], accept="text/html").body
        except OSError:
            return ""

    def edit(self, path, old, new):
        path = os.path.join(self.folder, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(old, text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def test_a_change_is_compiled_and_served(self):
        self.stack.up("--no-deps", "secrets", "frontend-1")
        wait_for(lambda: "<title>Tally" in self.page(), "the page", pause=0.5)
        self.edit("frontend/home.c", "#include", "this does not compile\n#include")
        wait_for(lambda: "this does not compile" in self.stack.logs(), "the compiler's complaint", pause=1)
        self.assertIn("<title>Tally", self.page())
        self.edit("frontend/home.c", "this does not compile\n", "")
        self.edit(PAGE, "<title>", "<title>Changed ")
        wait_for(lambda: "<title>Changed " in self.page(), "the changed page", pause=0.5)


if __name__ == "__main__":
    tap.main()
