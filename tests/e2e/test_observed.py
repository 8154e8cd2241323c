#!/usr/bin/env python3
"""The stack as its operators see it: every query of the dashboard and every metric of the alerts in a real Prometheus."""

import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import DEADLINE, ROOT, StackCase, Visitors, ask, docker, image, new_name, run  # noqa: E402
from stagehand import wait_for  # noqa: E402

OBSERVABILITY = os.path.join(ROOT, "observability")


class Prometheus:
    """This machine's Prometheus with the project's configuration, in a container beside the services that it finds by their names."""

    def __init__(self, stack):
        self.directory = tempfile.mkdtemp(prefix="tally-e2e.")
        os.chmod(self.directory, 0o755)
        for name in ["prometheus.yml", "rules.yml"]:
            with open(os.path.join(OBSERVABILITY, "prometheus", name), encoding="utf-8") as file:
                text = file.read()
            with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
                file.write(re.sub(r"_interval: 5s", "_interval: 1s", text))
        network = f"{stack.name}_api"
        self.container = docker("run", "-d", "--name", new_name(), "--network", network, "--read-only", "--cap-drop", "ALL", "--user", "65534",
                                "--tmpfs", "/data:uid=65534", "-v", f"{shutil.which('prometheus')}:/bin/prometheus:ro",
                                "-v", f"{self.directory}:/etc/prometheus:ro", "--entrypoint", "/bin/prometheus", image("nginx"),
                                "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/data", "--log.level=warn").strip()
        self.address = json.loads(docker("inspect", self.container))[0]["NetworkSettings"]["Networks"][network]["IPAddress"]

    def stop(self):
        docker("rm", "-f", self.container)
        shutil.rmtree(self.directory)

    def query(self, text):
        try:
            answer = ask(9090, "/api/v1/query?" + urllib.parse.urlencode({"query": text}), host=self.address)
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
            wait_for(lambda: len(self.prometheus.query("up == 1")) == 4, "four targets")
            end = time.monotonic() + DEADLINE
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
            wait_for(lambda n=name: self.prometheus.query(n), name)

    def test_the_rules_do_what_their_tests_say(self):
        run("promtool", "test", "rules", os.path.join(OBSERVABILITY, "prometheus", "rules.test.yml"))
        with open(os.path.join(OBSERVABILITY, "prometheus", "rules.yml"), encoding="utf-8") as file:
            alerts = set(re.findall(r"alert: (\w+)", file.read()))
        with open(os.path.join(OBSERVABILITY, "prometheus", "rules.test.yml"), encoding="utf-8") as file:
            tested = set(re.findall(r"alertname: (\w+)\n *exp_alerts:\n", file.read()))
        self.assertEqual(alerts, tested)


if __name__ == "__main__":
    tap.main()
