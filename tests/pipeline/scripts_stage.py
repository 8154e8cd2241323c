"""A stage for the scripts in ci/: a repository of its own, fake commands that write down what they were asked, reports."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True

KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
FAKE = """#!/bin/bash
# Writes down its arguments, then what came on standard input, and answers as it was told.
here=$(dirname "$0")/../said
echo "${0##*/} $*" >>"$here/calls"
case "$*" in
*--password-stdin*) cat >>"$here/stdin" ;;
esac
"""


# A test program of each folder in which ci/gate looks for what must have run.
PROGRAMS = ("unit/test_batch.c", "unit/test_buf.c", "integration/test_visits.c", "stack/test_stack", "nginx/test_edge", "e2e/test_page.py")


class Stage(unittest.TestCase):
    """setUp lays out a copy of ci/ and scripts/ in a git repository of one commit."""

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="tally-pipeline-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.repo = os.path.join(self.top, "repo")
        self.build = os.path.join(self.top, "build")
        self.said = os.path.join(self.top, "said")
        self.bin = os.path.join(self.top, "bin")
        for folder in (self.repo, self.build, self.said, self.bin):
            os.mkdir(folder)
        for folder in ("ci", "scripts"):
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(self.repo, folder),
                            ignore=shutil.ignore_patterns("__pycache__"))
        for program in PROGRAMS:
            self.write(os.path.join(self.repo, "tests", program), "")
        shutil.copy(os.path.join(ROOT, "tests", "coverage.thresholds"), os.path.join(self.repo, "tests"))
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("tally: begins")

    def git(self, *args):
        return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *args], cwd=self.repo,
                              check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, text):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", text)

    @property
    def tree(self):
        return self.git("rev-parse", "HEAD^{tree}")

    def fake(self, name, body="exit 0"):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(FAKE + body + "\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def without(self, *names):
        """A PATH on which these commands are not."""
        for folder in os.environ["PATH"].split(":"):
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                target = os.path.join(self.bin, name)
                if name not in names and not os.path.lexists(target):
                    os.symlink(os.path.join(folder, name), target)
        return self.bin

    def calls(self):
        path = os.path.join(self.said, "calls")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()

    def run_ci(self, *command, timeout=60, path=None, **env):
        full = {key: value for key, value in os.environ.items() if key in KEPT}
        full.update(PATH=path or f"{self.bin}:{os.environ['PATH']}", BUILD=self.build, **env)
        return subprocess.run(command, cwd=self.repo, env=full, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False)

    def write(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def report(self, name, inner='<testcase classname="a" name="b"/>'):
        self.write(os.path.join(self.build, "reports", "junit", name + ".xml"), f"<testsuites><testsuite>{inner}</testsuite></testsuites>")

    def coverage(self, lines=(95, 100), branches=(90, 100)):
        self.write(os.path.join(self.build, "coverage", "cobertura.xml"),
                   f'<coverage lines-covered="{lines[0]}" lines-valid="{lines[1]}" '
                   f'branches-covered="{branches[0]}" branches-valid="{branches[1]}"/>')

    def green_reports(self):
        names = ["step.lint", "step.coverage", "step.e2e", "step.scan", "converter.test_converter",
                 "converter.test_bench", "unit.asan.test_batch",
                 "unit.cov.test_batch", "unit.asan.test_buf", "unit.cov.test_buf", "integration.test_visits", "nginx.test_stack",
                 "nginx.test_edge", "e2e.test_page"]
        for name in names:
            self.report(name)
        self.coverage()
        return names
