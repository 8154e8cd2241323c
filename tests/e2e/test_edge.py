#!/usr/bin/env python3
"""Profiles and eyes: TLS at the edge, every query of the dashboard in a real Prometheus, the page in a real browser."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import ROOT, Stack, StackCase, Visitors, ask, docker, free_port, run, unverified, wait_for  # noqa: E402

SCREENSHOTS = os.path.join(ROOT, "build", "reports", "screenshots")
OBSERVABILITY = os.path.join(ROOT, "observability")


class Prometheus:
    """The project's configuration in this machine's Prometheus; the engine's names become addresses."""

    def __init__(self, stack):
        self.port = free_port()
        self.directory = tempfile.mkdtemp(prefix="tally-e2e.")
        with open(os.path.join(OBSERVABILITY, "prometheus", "prometheus.yml"), encoding="utf-8") as file:
            text = file.read()
        for job, port in [("frontend", 5000), ("backend", 5001)]:
            targets = ", ".join(f'"{stack.addresses(f"{job}-{i}")["api"]}:{port}"' for i in (1, 2))
            text, count = re.subn(rf"dns_sd_configs:\n *- {{names: \[{job}\], type: A, port: {port},.*}}",
                                  f"static_configs:\n      - targets: [{targets}]", text)
            assert count == 1, job
        text = text.replace("_interval: 5s", "_interval: 1s")
        with open(os.path.join(self.directory, "prometheus.yml"), "w", encoding="utf-8") as file:
            file.write(text)
        shutil.copy(os.path.join(OBSERVABILITY, "prometheus", "rules.yml"), self.directory)
        self.process = subprocess.Popen(["prometheus", f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/data",
                                         f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self.directory)

    def query(self, text):
        try:
            answer = ask(self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": text}))
        except OSError:
            return []
        assert answer.status in (200, 503), f"{text}: {answer.body}"
        return answer.json()["data"]["result"] if answer.status == 200 else []


def queries():
    with open(os.path.join(OBSERVABILITY, "grafana", "dashboards", "tally.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]


class Observed(StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prometheus = Prometheus(cls.stack)
        cls.addClassCleanup(cls.prometheus.stop)

    def test_every_query_of_the_dashboard_has_data(self):
        with Visitors(self.stack.port, 2):
            wait_for(lambda: len([r for r in self.prometheus.query("up == 1")]) == 4, "four targets")
            end = time.monotonic() + 40
            for title, query in queries():
                with self.subTest(title):
                    result = wait_for(lambda q=query: self.prometheus.query(q), f"data for {query}", max(1, end - time.monotonic()))
                    for row in result:
                        self.assertNotEqual(row["value"][1], "+Inf", query)
        self.assertTrue(float(self.prometheus.query("tally:visits:rate1m")[0]["value"][1]) > 0)

    def test_a_query_without_data_would_be_seen(self):
        wait_for(lambda: self.prometheus.query("up"), "Prometheus")
        self.assertEqual(self.prometheus.query("tally_there_is_no_such_metric"), [])

    def test_metrics_that_the_alerts_name_are_there(self):
        with open(os.path.join(OBSERVABILITY, "prometheus", "rules.yml"), encoding="utf-8") as file:
            names = set(re.findall(r"\b(?:tally|process)_[a-z_]+", file.read()))
        self.stack.visit()
        for name in sorted(names):
            wait_for(lambda n=name: self.prometheus.query(n), name, 20)

    def test_the_rules_do_what_their_tests_say(self):
        run("promtool", "test", "rules", os.path.join(OBSERVABILITY, "prometheus", "rules.test.yml"))
        with open(os.path.join(OBSERVABILITY, "prometheus", "rules.yml"), encoding="utf-8") as file:
            alerts = set(re.findall(r"alert: (\w+)", file.read()))
        with open(os.path.join(OBSERVABILITY, "prometheus", "rules.test.yml"), encoding="utf-8") as file:
            tested = set(re.findall(r"alertname: (\w+)\n *exp_alerts:\n", file.read()))
        self.assertEqual(alerts, tested)


class Encrypted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tls_port = free_port()
        cls.given = tempfile.mkdtemp(prefix="tally-e2e.")
        cls.addClassCleanup(shutil.rmtree, cls.given)
        cls.stack = Stack(COMPOSE_PROFILES="tls", HTTPS_PORT=str(cls.tls_port))
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
        self.stack.compose("up", "-d", "--no-build", "--force-recreate", "--no-deps", "certificate", "nginx-tls")
        wait_for(self.answers, "an answer by https")
        self.assertEqual(self.certificate(), made)
        for name in ("tls", "other"):
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                f"/CN=tally.example.{name}", "-keyout", f"{self.given}/{name}.key", "-out", f"{self.given}/{name}.crt")
        env = {**self.stack.env, "TLS_DIRECTORY": self.given, "HSTS": "max-age=600"}
        run(*self.stack.command, "up", "-d", "--no-build", "--force-recreate", "--no-deps", "certificate", env=env)
        wait_for(lambda: self.stack.inspect("certificate")["State"]["Status"] == "exited", "the certificate")
        run(*self.stack.command, "up", "-d", "--no-build", "--force-recreate", "--no-deps", "nginx-tls", env=env)
        wait_for(self.answers, "an answer by https")
        with open(f"{self.given}/tls.crt", encoding="ascii") as file:
            self.assertEqual(self.certificate(), file.read())
        self.assertEqual(ask(self.tls_port, tls=unverified()).fields["Strict-Transport-Security"], "max-age=600")
        shutil.copy(f"{self.given}/other.key", f"{self.given}/tls.key")
        run(*self.stack.command, "up", "-d", "--no-build", "--force-recreate", "--no-deps", "certificate", env=env)
        wait_for(lambda: self.stack.inspect("certificate")["State"]["Status"] == "exited", "the certificate")
        self.assertEqual(self.stack.inspect("certificate")["State"]["ExitCode"], 1)
        self.assertTrue(self.answers())

    def test_the_key_is_readable_by_nginx_alone(self):
        listing = docker("exec", "--user", "0", self.stack.id("nginx-tls"), "stat", "-c", "%a %u", "/run/tls/tls.key")
        self.assertEqual(listing.split(), ["600", "101"])


class Seen(StackCase):
    """The page in headless Chromium, whole and degraded."""

    def look(self, name):
        os.makedirs(SCREENSHOTS, exist_ok=True)
        profile = tempfile.mkdtemp(prefix="tally-e2e.")
        self.addCleanup(shutil.rmtree, profile, True)
        browser = os.environ.get("CHROMIUM", "chromium")
        common = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
                  "--window-size=1024,768", "--virtual-time-budget=5000"]
        dom = subprocess.run([*common, f"--screenshot={SCREENSHOTS}/compose-{name}.png", "--dump-dom", f"http://127.0.0.1:{self.stack.port}/"],
                             capture_output=True, text=True, timeout=90, check=False).stdout
        self.assertGreater(os.path.getsize(f"{SCREENSHOTS}/compose-{name}.png"), 5000)
        return dom

    def until_page(self, pattern):
        """On both frontends, so that the browser sees it too."""
        def seen():
            return all(re.search(pattern, self.stack.visit(accept="text/html").body) for _ in range(6))
        wait_for(seen, pattern)

    def test_the_page_whole_and_degraded(self):
        dom = self.look("whole")
        self.assertRegex(dom, r'<span id="counter">\d+</span>')
        self.assertIn("<p>Bob</p>", dom)
        self.stack.compose("stop", "redis")
        self.until_page('<span id="counter"[^>]*>unavailable')
        dom = self.look("without-redis")
        self.assertIn("<p>Bob</p>", dom)
        self.stack.compose("start", "redis")
        self.stack.await_whole()
        self.stack.compose("stop", "mysql")
        self.until_page("The users are unavailable")
        self.assertRegex(self.look("without-mysql"), r'<span id="counter">\d+</span>')
        self.stack.compose("start", "mysql")
        self.stack.await_whole()


if __name__ == "__main__":
    tap.main()
