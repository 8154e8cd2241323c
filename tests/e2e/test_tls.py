#!/usr/bin/env python3
"""The profile tls: https at the edge, certificates given and self-made, and encrypted connections to the database."""

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import Stack, ask, docker, run, unverified  # noqa: E402
from stagehand import free_port, wait_for  # noqa: E402


class Encrypted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tls_port = free_port()
        cls.given = tempfile.mkdtemp(prefix="tally-e2e.")
        cls.addClassCleanup(shutil.rmtree, cls.given)
        cls.stack = Stack(COMPOSE_PROFILES="tls", HTTPS_PORT=str(cls.tls_port), DATABASE_TLS="require", ENVIRONMENT="green", RELEASE="1.2.3")
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()
        wait_for(cls.answers, "an answer by https")

    @classmethod
    def answers(cls):
        try:
            return ask(cls.tls_port, tls=unverified()).status == 200
        except OSError:
            return False

    def certificate(self):
        return ssl.get_server_certificate(("127.0.0.1", self.tls_port))

    def handshake(self, *options):
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.tls_port}", *options], input="", capture_output=True,
                              text=True, check=False)

    def test_visits_are_counted_by_https(self):
        first = ask(self.tls_port, tls=unverified()).json()["visitor"]
        self.assertGreater(ask(self.tls_port, tls=unverified()).json()["visitor"], first)

    def test_http_is_sent_to_https_and_counts_nothing(self):
        before = ask(self.tls_port, "/api/v1/visits", tls=unverified()).json()["total"]
        answer = self.stack.visit(path="/?a=b")
        self.assertEqual(answer.status, 308)
        self.assertEqual(answer.fields["Location"], f"https://127.0.0.1:{self.tls_port}/?a=b")
        self.assertEqual(ask(self.tls_port, "/api/v1/visits", tls=unverified()).json()["total"], before)

    def test_only_modern_ciphers(self):
        self.assertEqual(self.handshake("-tls1_3").returncode, 0)
        self.assertEqual(self.handshake("-tls1_2").returncode, 0)
        for options in [("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
                        ("-tls1_2", "-cipher", "AES128-SHA:AES256-SHA256:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")]:
            self.assertNotEqual(self.handshake(*options).returncode, 0, options)

    def test_a_given_certificate_and_hsts_when_asked_for(self):
        """The self-made one stays over a restart; a given one takes its place; a key that does not fit changes nothing."""
        made = self.certificate()
        self.assertIsNone(ask(self.tls_port, tls=unverified()).fields["Strict-Transport-Security"])
        self.stack.up("--force-recreate", "--no-deps", "certificate", "nginx-tls")
        wait_for(self.answers, "an answer by https")
        self.assertEqual(self.certificate(), made)
        for name in ("tls", "other"):
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                f"/CN=tally.example.{name}", "-keyout", f"{self.given}/{name}.key", "-out", f"{self.given}/{name}.crt")
        given = {"TLS_DIRECTORY": self.given, "HSTS": "max-age=600"}
        self.stack.up("--force-recreate", "--no-deps", "certificate", **given)
        wait_for(lambda: self.stack.inspect("certificate")["State"]["Status"] == "exited", "the certificate", pause=0.5)
        self.stack.up("--force-recreate", "--no-deps", "nginx-tls", **given)
        wait_for(self.answers, "an answer by https")
        with open(f"{self.given}/tls.crt", encoding="ascii") as file:
            self.assertEqual(self.certificate(), file.read())
        self.assertEqual(ask(self.tls_port, tls=unverified()).fields["Strict-Transport-Security"], "max-age=600")
        shutil.copy(f"{self.given}/other.key", f"{self.given}/tls.key")
        self.stack.up("--force-recreate", "--no-deps", "certificate", **given)
        wait_for(lambda: self.stack.inspect("certificate")["State"]["Status"] == "exited", "the certificate", pause=0.5)
        self.assertEqual(self.stack.inspect("certificate")["State"]["ExitCode"], 1)
        self.assertTrue(self.answers())

    def test_the_key_is_readable_by_nginx_alone(self):
        listing = docker("exec", "--user", "0", self.stack.id("nginx-tls"), "stat", "-c", "%a %u", "/run/tls/tls.key")
        self.assertEqual(listing.split(), ["600", "101"])

    def test_the_backends_talk_to_the_database_by_tls(self):
        kinds = self.stack.sql("SELECT DISTINCT connection_type FROM performance_schema.threads WHERE processlist_user = 'tally'")
        self.assertEqual(kinds.split("\n"), ["SSL/TLS", ""])

    def test_colour_and_release_come_from_the_settings(self):
        """One image serves in every colour."""
        page = ask(self.tls_port, tls=unverified()).json()
        self.assertEqual((page["environment"], page["version"]), ("green", "1.2.3"))


if __name__ == "__main__":
    tap.main()
