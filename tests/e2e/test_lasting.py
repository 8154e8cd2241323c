#!/usr/bin/env python3
"""Data outlive containers: down and up; and what a backup may not do."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import ROOT, StackCase, passwords_of  # noqa: E402


class Lasting(StackCase):
    def test_down_and_up_keep_the_counter_and_the_users(self):
        self.stack.sql("INSERT INTO users (userName) VALUES ('Zoë')")
        self.stack.visit()
        before, users, secrets = self.stack.total(), self.stack.users(), self.stack.secrets()
        self.assertIn("Zoë", users)
        self.stack.down(volumes=False)
        self.start()
        self.assertGreater(self.stack.visit().json()["visitor"], before)
        self.assertEqual(self.stack.users(), users)
        self.assertEqual(self.stack.secrets(), secrets)

    def test_a_damaged_backup_is_refused_and_changes_nothing(self):
        directory = self.backup()
        before = self.stack.total()
        with open(os.path.join(directory, "redis.rdb"), "r+b") as file:
            file.truncate(20)
        done = subprocess.run(["scripts/restore", directory], cwd=ROOT, env=self.stack.env, capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("restore:", done.stderr)
        self.stack.await_whole()
        self.assertGreater(self.stack.visit().json()["visitor"], before)

    def test_a_backup_holds_no_password(self):
        directory = self.backup()
        with open(os.path.join(directory, "redis.rdb"), "rb") as file:
            content = file.read() + subprocess.run(["gzip", "-dc", f"{directory}/mysql.sql.gz"], capture_output=True, check=True).stdout
        for text in self.stack.secrets().values():
            for password in passwords_of(text):
                self.assertNotIn(password.encode(), content)


if __name__ == "__main__":
    tap.main()
