#!/usr/bin/env python3
"""A backup comes back, and the counter never goes backwards."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import StackCase, run  # noqa: E402


class Restore(StackCase):
    def test_a_restored_backup_never_takes_the_counter_back(self):
        self.stack.sql("INSERT INTO users (userName) VALUES ('Zoë')")
        directory = self.backup()
        for _ in range(10):
            self.stack.visit()
        users = self.stack.users()
        last = self.stack.visit().json()["visitor"]
        self.stack.sql("DELETE FROM users WHERE userName <> 'Bob'")
        said = run("scripts/restore", directory, env=self.stack.env)
        self.stack.await_whole()
        self.assertIn(f"Redis to {last}: counting on from {last}", said)
        self.assertGreater(self.stack.visit().json()["visitor"], last)
        self.assertEqual(self.stack.users(), users)
        # Again, with frontends that remember nothing: Redis itself has the number.
        self.stack.compose("restart", "frontend-1", "frontend-2")
        self.stack.await_whole()
        self.assertGreater(self.stack.visit().json()["visitor"], last + 1)

    def test_a_backup_is_restored_into_a_new_stack(self):
        self.stack.sql("INSERT INTO users (userName) VALUES ('Ada')")
        last = self.stack.visit().json()["visitor"]
        directory = self.backup()
        self.stack.down()
        self.start()
        self.assertLess(self.stack.total(), last)
        run("scripts/restore", directory, env=self.stack.env)
        self.stack.await_whole()
        self.assertGreater(self.stack.visit().json()["visitor"], last)
        self.assertIn("Ada", self.stack.users())


if __name__ == "__main__":
    tap.main()
