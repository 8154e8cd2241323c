#!/usr/bin/env python3
"""Visits go on while services are killed and recreated elsewhere; the counter stays exact."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import DEADLINE, PlayCase, docker  # noqa: E402
from stagehand import wait_for  # noqa: E402


class Plays(PlayCase):
    def kill_and_recreate(self, *services, seconds=DEADLINE):
        self.addCleanup(self.stack.remove_helpers)
        with self.visitors as v:
            for service in services:
                docker("kill", self.stack.id(service))
                before, after = self.stack.recreate_elsewhere(service)
                self.assertTrue(all(before[n] != after[n] for n in before), f"{service} kept an address: {before}")
            v.await_healthy(seconds)
            v.pods.clear()
            wait_for(lambda: v.pods == {"frontend-1", "frontend-2"}, "visits that each frontend serves")
        self.settle()
        return v

    def test_a_killed_frontend_costs_what_was_in_flight(self):
        v = self.kill_and_recreate("frontend-2")
        self.assertLessEqual(len(v.failures), self.VISITORS, v.failures)

    def test_a_killed_backend_costs_no_visit(self):
        v = self.kill_and_recreate("backend-2")
        self.assertEqual(v.failures, [])

    def test_both_backends_are_found_where_they_come_back(self):
        """Nothing else can serve, and a resolver's cache, a minute in curl, is older than both."""
        v = self.kill_and_recreate("backend-1", "backend-2", seconds=30)
        self.assertEqual(v.failures, [])

    def test_a_killed_redis_comes_back_with_every_number(self):
        v = self.kill_and_recreate("redis")
        self.assertTrue(all(f.startswith("503") for f in v.failures), v.failures[:3])

    def test_a_killed_mysql_costs_no_visit(self):
        v = self.kill_and_recreate("mysql")
        self.assertEqual(v.failures, [])

    def test_a_killed_nginx_comes_back_on_another_address(self):
        """When it starts it has to ask for the frontends' addresses first: whoever comes in that moment is told so."""
        v = self.kill_and_recreate("nginx")
        self.assertEqual([f for f in v.failures if f[:3] not in ("no ", "502")], [])


if __name__ == "__main__":
    tap.main()
