#!/usr/bin/env python3
"""Every visit is whole and its number exact while services run, are stopped, started, and replaced by another release."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import PlayCase, docker, image, new_name  # noqa: E402


class Releases(PlayCase):
    def test_visits_are_exact_through_two_frontends(self):
        with self.visitors as v:
            v.await_more(400)
        self.assertEqual((v.failures, v.degraded), ([], []))
        self.assertEqual(sorted(v.numbers), list(range(self.before + 1, self.before + 1 + len(v.numbers))))
        self.assertEqual(self.stack.total(), self.before + len(v.numbers))
        self.assertEqual(v.pods, {"frontend-1", "frontend-2"})
        self.settle()

    def test_nothing_fails_when_a_frontend_is_stopped_and_comes_back(self):
        with self.visitors as v:
            self.stack.compose("stop", "frontend-1")
            v.await_more(50)
            self.assertEqual(self.stack.inspect("frontend-1")["State"]["ExitCode"], 0)
            self.stack.compose("start", "frontend-1")
            self.stack.await_status("frontend-1", "healthy")
            v.pods.clear()
            v.await_more(200)
        self.assertEqual((v.failures, v.degraded), ([], []))
        self.assertIn("frontend-1", v.pods)
        self.settle()

    def test_nothing_fails_when_a_backend_is_stopped_and_comes_back(self):
        with self.visitors as v:
            self.stack.compose("stop", "backend-1")
            v.await_more(50)
            self.assertEqual(self.stack.inspect("backend-1")["State"]["ExitCode"], 0)
            self.stack.compose("start", "backend-1")
            v.await_healthy()
        self.assertEqual((v.failures, v.degraded), ([], []))
        self.settle()

    def release(self, version, tag):
        """One service after the other, each when the one before is healthy, as docs/compose.md has it."""
        self.stack.compose("run", "--rm", "-T", "--no-deps", "migrate", env={**self.stack.env, "IMAGE_TAG": tag})
        for service in ["backend-1", "backend-2", "frontend-1", "frontend-2"]:
            before = self.stack.id(service)
            self.stack.up("--no-deps", service, RELEASE=version, IMAGE_TAG=tag)
            self.assertNotEqual(self.stack.id(service), before)
            self.stack.await_status(service, "healthy")
        self.visitors.versions.clear()
        self.visitors.await_more(50)
        self.assertEqual(self.visitors.versions, {version})

    def test_a_release_and_the_way_back_fail_no_visit(self):
        old = image("frontend").partition(":")[2]
        new = new_name()
        for service in ["frontend", "backend"]:
            docker("tag", image(service), f"tally-{service}:{new}")
            self.addCleanup(docker, "rmi", f"tally-{service}:{new}")
        with self.visitors as v:
            self.release("2.0.0", new)
            self.release("1.0.0", old)
        self.assertEqual((v.failures, v.degraded), ([], []))
        self.settle()


if __name__ == "__main__":
    tap.main()
