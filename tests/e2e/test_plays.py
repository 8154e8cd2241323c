#!/usr/bin/env python3
"""Visits go on while services are stopped, killed, recreated elsewhere and frozen; the counter stays exact."""

import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import Stack, Visitors, docker  # noqa: E402

# What a visitor may wait at most: NGINX gives up a frozen frontend after 5 s, and asks no second one.
PATIENCE = 6.5
VISITORS = 4


class Plays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()
        cls.stack.await_whole()

    def setUp(self):
        self.before = self.stack.total()
        self.visitors = Visitors(self.stack.port, VISITORS)

    def settle(self):
        """The verdict of every play: no number twice, none that was not counted."""
        numbers = self.visitors.numbers
        self.assertEqual(len(set(numbers)), len(numbers), "a number came twice")
        self.assertGreater(min(numbers), self.before)
        self.assertLessEqual(max(numbers), self.stack.total())
        self.assertLess(self.visitors.slowest, PATIENCE)

    def test_visits_are_exact_through_two_frontends(self):
        with self.visitors as v:
            v.await_more(400)
        self.assertEqual(v.failures, [])
        self.assertEqual(v.degraded, 0)
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
        self.assertEqual(v.failures, [])
        self.assertIn("frontend-1", v.pods)
        self.settle()

    def test_nothing_fails_when_a_backend_is_stopped_and_comes_back(self):
        with self.visitors as v:
            self.stack.compose("stop", "backend-1")
            v.await_more(50)
            self.assertEqual(self.stack.inspect("backend-1")["State"]["ExitCode"], 0)
            self.stack.compose("start", "backend-1")
            v.await_healthy()
        self.assertEqual(v.failures, [])
        self.settle()

    def kill_and_recreate(self, service):
        with self.visitors as v:
            docker("kill", self.stack.id(service))
            before, after = self.stack.recreate_elsewhere(service)
            self.assertTrue(all(before[n] != after[n] for n in before), f"{service} kept an address: {before}")
            v.await_healthy()
        self.settle()
        return v

    def test_a_killed_frontend_costs_what_was_in_flight(self):
        v = self.kill_and_recreate("frontend-2")
        self.assertLessEqual(len(v.failures), VISITORS, v.failures)

    def test_a_killed_backend_costs_no_visit(self):
        v = self.kill_and_recreate("backend-2")
        self.assertEqual(v.failures, [])

    def test_a_killed_redis_comes_back_with_every_number(self):
        v = self.kill_and_recreate("redis")
        self.assertTrue(all(f.startswith("503") for f in v.failures), v.failures[:3])

    def test_a_killed_mysql_costs_no_visit(self):
        v = self.kill_and_recreate("mysql")
        self.assertEqual(v.failures, [])

    def test_a_killed_nginx_comes_back_on_another_address(self):
        self.kill_and_recreate("nginx")

    def freeze(self, service):
        with self.visitors as v:
            docker("pause", self.stack.id(service))
            try:
                time.sleep(5)
            finally:
                docker("unpause", self.stack.id(service))
            v.await_healthy()
        self.settle()
        return v

    def test_a_frozen_frontend_is_left_out(self):
        v = self.freeze("frontend-1")
        self.assertIn("frontend-2", v.pods)
        self.assertTrue(all(f.startswith("504") for f in v.failures), v.failures[:3])

    def test_a_frozen_backend_costs_no_visit(self):
        v = self.freeze("backend-1")
        self.assertEqual(v.failures, [])

    def test_a_frozen_redis_is_said_so(self):
        v = self.freeze("redis")
        self.assertTrue(all(f.startswith("503") for f in v.failures), v.failures[:3])

    def test_a_frozen_mysql_costs_no_visit(self):
        v = self.freeze("mysql")
        self.assertEqual(v.failures, [])

    def test_a_frozen_nginx_goes_on_where_it_was(self):
        """What it had asked is overdue when it wakes; for a second it then leaves the frontends out."""
        v = self.freeze("nginx")
        self.assertTrue(all(f[:3] in ("502", "504", "no ") for f in v.failures), v.failures[:3])


if __name__ == "__main__":
    tap.main()
