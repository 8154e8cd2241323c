#!/usr/bin/env python3
"""Visits go on while each service is frozen for five seconds, as a machine that swaps or a disk that hangs would freeze it."""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import PlayCase, docker  # noqa: E402

FROZEN = 5


class Freezes(PlayCase):
    # Who is frozen for five seconds shall be given up.
    settings = {"FETCH_TIMEOUT_MS": "1000", "NGINX_UPSTREAM_TIMEOUT": "5s"}

    def freeze(self, service, *healthy):
        """Meanwhile the services named last answer their health checks: what they need is no reason to kill them."""
        with self.visitors as v:
            self.stack.freeze(service)
            until = time.monotonic() + FROZEN
            try:
                for other in healthy:
                    docker("exec", self.stack.id(other), f"/tally-{other[:-2]}", "--healthcheck")
                time.sleep(max(0, until - time.monotonic()))
            finally:
                self.stack.thaw(service)
            v.await_healthy()
        self.settle()
        return v

    def test_a_frozen_frontend_is_left_out(self):
        v = self.freeze("frontend-1")
        self.assertIn("frontend-2", v.pods)
        self.assertTrue(all(f.startswith("504") for f in v.failures), v.failures[:3])

    def test_a_frozen_backend_costs_no_visit(self):
        v = self.freeze("backend-1", "frontend-1", "frontend-2")
        self.assertEqual(v.failures, [])

    def test_a_frozen_redis_is_said_so(self):
        v = self.freeze("redis", "frontend-1", "frontend-2")
        self.assertTrue(all(f.startswith("503") for f in v.failures), v.failures[:3])

    def test_a_frozen_mysql_costs_no_visit(self):
        v = self.freeze("mysql", "backend-1", "backend-2")
        self.assertEqual(v.failures, [])

    def test_a_frozen_nginx_goes_on_where_it_was(self):
        """What it had asked is overdue when it wakes; for a second it then leaves the frontends out."""
        v = self.freeze("nginx")
        self.assertTrue(all(f[:3] in ("502", "504", "no ") for f in v.failures), v.failures[:3])


if __name__ == "__main__":
    tap.main()
