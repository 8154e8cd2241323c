#!/usr/bin/env python3
"""Data outlives containers; a backup comes back, and the counter never goes backwards."""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import ROOT, StackCase, docker, passwords_of, run  # noqa: E402


class Lasting(StackCase):
    def test_down_and_up_keep_the_counter_and_the_users(self):
        self.stack.visit()
        before, names, secrets = self.stack.total(), self.names(), self.stack.secrets()
        self.stack.down(volumes=False)
        self.start()
        self.assertGreater(self.stack.visit().json()["visitor"], before)
        self.assertEqual(self.names(), names)
        self.assertEqual(self.stack.secrets(), secrets)

    def sql(self, text):
        # The log-in of the stack's own root; its password stays in the container.
        return docker("exec", self.stack.id("mysql"), "sh", "-c",
                      'MYSQL_PWD="$(cat /run/secrets/database-root/password)" mysql -h 127.0.0.1 -u root tally -Ne "$0" 2>/dev/null', text)

    def names(self):
        return [user["userName"] for user in self.stack.visit().json()["users"]]

    def backup(self):
        directory = os.path.join(tempfile.mkdtemp(prefix="tally-e2e."), "backup")
        self.addCleanup(shutil.rmtree, os.path.dirname(directory))
        run("scripts/backup", directory, env=self.stack.env)
        return directory

    def test_a_restored_backup_never_takes_the_counter_back(self):
        self.sql("INSERT INTO users (userName) VALUES ('Zoë')")
        directory = self.backup()
        for _ in range(10):
            self.stack.visit()
        names = self.names()
        last = self.stack.visit().json()["visitor"]
        self.sql("DELETE FROM users WHERE userName <> 'Bob'")
        said = run("scripts/restore", directory, env=self.stack.env)
        self.stack.await_whole()
        self.assertIn(f"Redis to {last}: counting on from {last}", said)
        self.assertGreater(self.stack.visit().json()["visitor"], last)
        self.assertEqual(self.names(), names)
        # Again, with frontends that remember nothing: Redis itself has the number.
        self.stack.compose("restart", "frontend-1", "frontend-2")
        self.stack.await_whole()
        self.assertGreater(self.stack.visit().json()["visitor"], last + 1)

    def test_a_backup_is_restored_into_a_new_stack(self):
        self.sql("INSERT INTO users (userName) VALUES ('Ada')")
        last = self.stack.visit().json()["visitor"]
        directory = self.backup()
        self.stack.down()
        self.start()
        self.assertLess(self.stack.total(), last)
        run("scripts/restore", directory, env=self.stack.env)
        self.stack.await_whole()
        self.assertGreater(self.stack.visit().json()["visitor"], last)
        self.assertIn("Ada", self.names())

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
