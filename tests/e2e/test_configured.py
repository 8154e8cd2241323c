#!/usr/bin/env python3
"""Who may do and see what in the compose stack."""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import DB_ADMIN, DB_CLIENT, DB_IMAGE, ONE_SHOT, SERVICES, StackCase, docker, image, new_name, passwords_of, run  # noqa: E402
from stagehand import wait_for  # noqa: E402

# Who mounts which secret: nobody else may.
READERS = {
    "secret-redis": {"secrets", "redis"},
    "secret-redis-client": {"secrets", "frontend-1", "frontend-2"},
    "secret-database": {"secrets", "backend-1", "backend-2", "migrate"},
    "secret-database-admin": {"secrets", "migrate"},
    "secret-database-root": {"secrets", "mysql"},
    "secret-grafana": {"secrets"},
}
USERS = {"frontend-1": "65532", "frontend-2": "65532", "backend-1": "65532", "backend-2": "65532", "redis": "999",
         "mysql": "999", "nginx": "101"}


class Configured(StackCase):
    @classmethod
    def start(cls):
        cls.stack.up()
        cls.stack.await_status("nginx", "healthy")
        cls.first = cls.stack.visit()
        cls.stack.await_whole()

    def test_the_first_visit_is_whole(self):
        self.assertEqual((self.first.status, self.first.json()["visitor"]), (200, 1))
        self.assertIn({"userName": "Bob"}, self.first.json()["users"])
        for service in SERVICES + ONE_SHOT:
            self.assertEqual(self.stack.inspect(service)["RestartCount"], 0, f"{service} was started too early")
        self.assertEqual(self.stack.inspect("migrate")["State"]["ExitCode"], 0)

    def test_the_database_is_not_healthy_during_the_first_starts_preparation(self):
        """A server that listens on its socket only prepares; it is held there by a script of the first start."""
        check = self.stack.inspect("mysql")["Config"]["Healthcheck"]["Test"][1]
        scripts = tempfile.mkdtemp(prefix="tally-e2e.")
        self.addCleanup(shutil.rmtree, scripts)
        with open(os.path.join(scripts, "hold.sh"), "w", encoding="ascii") as file:
            file.write("until [ -e /docker-entrypoint-initdb.d/go ]; do sleep 0.1; done\n")
        os.chmod(scripts, 0o755)
        server = docker("run", "-d", "--name", new_name(), "--network", "none", "--tmpfs", "/var/lib/mysql:uid=999", "-v", f"{scripts}:/docker-entrypoint-initdb.d:ro",
                        "-e", "MYSQL_ALLOW_EMPTY_PASSWORD=1", "-e", "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1", DB_IMAGE).strip()
        self.addCleanup(docker, "rm", "-f", "-v", server)

        def passes(command):
            return subprocess.run(["docker", "exec", server, "sh", "-c", command], capture_output=True, check=False).returncode == 0

        wait_for(lambda: passes(f"{DB_ADMIN} ping -h localhost"), "the server that prepares", pause=0.5)
        self.assertFalse(passes(check))
        with open(os.path.join(scripts, "go"), "w", encoding="ascii"):
            pass
        wait_for(lambda: passes(check), "the server itself", pause=0.5)

    def test_what_runs_is_of_this_commit(self):
        revision = os.environ.get("REVISION") or run("git", "rev-parse", "--short=12", "HEAD").strip()
        self.assertEqual(self.stack.visit().json()["version"], revision)

    def test_up_again_changes_nothing(self):
        before = [self.stack.id(service) for service in SERVICES]
        self.stack.up()
        self.assertEqual([self.stack.id(service) for service in SERVICES], before)

    def test_the_page_shows_number_pod_and_users(self):
        page = self.stack.visit(accept="text/html").body
        for part in ['<span id="counter">', '<span id="pod_name">frontend-', "Here are our users:", "<p>Bob</p>"]:
            self.assertIn(part, page)

    def test_only_nginx_publishes_a_port_on_the_address_asked_for(self):
        for service in SERVICES:
            published = {port: binding for port, binding in self.stack.inspect(service)["NetworkSettings"]["Ports"].items() if binding}
            expected = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(self.stack.port)}]} if service == "nginx" else {}
            self.assertEqual(published, expected, service)

    def test_users_roots_and_capabilities(self):
        for service in SERVICES:
            with self.subTest(service):
                state = self.stack.inspect(service)
                host = state["HostConfig"]
                self.assertTrue(host["ReadonlyRootfs"])
                self.assertEqual(host["CapDrop"], ["ALL"])
                self.assertFalse(host["CapAdd"])
                self.assertGreater(host["Memory"], 0)
                self.assertGreater(host["PidsLimit"], 0)
                self.assertEqual(host["LogConfig"]["Config"], {"max-file": "3", "max-size": "10m"})
                with open(f"/proc/{state['State']['Pid']}/status", encoding="ascii") as file:
                    status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
                self.assertEqual(status["Uid"].split(), [USERS[service]] * 4)
                for kind in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"]:
                    self.assertEqual(int(status[kind], 16), 0, kind)
                self.assertEqual(status["NoNewPrivs"], "1")
                self.assertEqual(status["Seccomp"], "2")

    def test_the_grace_period_is_longer_than_the_drain(self):
        for service in ["frontend-1", "frontend-2", "backend-1", "backend-2"]:
            self.assertGreater(self.stack.inspect(service)["Config"]["StopTimeout"], 5 + 10)

    def test_each_secret_is_mounted_only_where_it_is_read(self):
        readers = {}
        for service in SERVICES + ONE_SHOT:
            for mount in self.stack.inspect(service)["Mounts"]:
                name = mount.get("Name", "").removeprefix(self.stack.name + "_")
                if mount["Type"] == "volume":
                    self.assertTrue(mount["Name"].startswith(self.stack.name), f"{service} has a volume without a name")
                if name.startswith("secret-"):
                    readers.setdefault(name, set()).add(service)
                    self.assertEqual(mount["RW"], service == "secrets", f"{service}: {name}")
        self.assertEqual(readers, READERS)

    def test_secrets_are_in_no_inspect_no_log_and_no_foreign_environment(self):
        secrets = {name: passwords_of(text) for name, text in self.stack.secrets().items()}
        self.assertEqual(set(secrets), set(READERS))
        self.assertTrue(all(secrets.values()))
        logs = self.stack.logs()
        for service in SERVICES + ONE_SHOT:
            inspected = docker("inspect", self.stack.id(service))
            pid = self.stack.inspect(service)["State"]["Pid"]
            environment = ""
            if pid:
                with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
                    environment = file.read()
            for name, passwords in secrets.items():
                for password in passwords:
                    self.assertNotIn(password, inspected, f"{name} in docker inspect of {service}")
                    self.assertNotIn(password, logs, name)
                    if service != "mysql" or name == "secret-redis":
                        self.assertNotIn(password, environment, f"{name} in the environment of {service}")

    def test_secrets_are_in_no_image(self):
        passwords = [p.encode() for text in self.stack.secrets().values() for p in passwords_of(text)]
        for service in ["frontend", "backend", "nginx"]:
            container = docker("create", "--network", "none", image(service)).strip()
            self.addCleanup(docker, "rm", container)
            content = docker("export", container, binary=True) + docker("history", "--no-trunc", image(service), binary=True)
            self.assertEqual([p for p in passwords if p in content], [], service)

    def test_each_stack_has_passwords_of_its_own(self):
        found = [p for text in self.stack.secrets().values() for p in passwords_of(text)]
        # Redis's stands in its own two files and its clients' one; root's in the server's and the migration's.
        self.assertEqual(len(set(found)), 4)

    def test_the_backends_may_not_alter_tables(self):
        uri = self.stack.secrets()["secret-database"]
        password = uri.split(":")[2].split("@")[0]
        done = docker("exec", self.stack.id("mysql"), "sh", "-c",
                      f"MYSQL_PWD={password} {DB_CLIENT} -h 127.0.0.1 -u tally tally -e 'DROP TABLE users' 2>&1; true")
        self.assertIn("denied", done)

    def test_stores_are_not_reachable_from_the_edge(self):
        for name in ["redis", "mysql", "backend"]:
            done = subprocess.run(["docker", "exec", self.stack.id("nginx"), "getent", "hosts", name], capture_output=True, check=False)
            self.assertNotEqual(done.returncode, 0, name)

    def test_the_operators_routes_are_not_public(self):
        for path in ["/metrics", "/readyz", "/healthz", "/stub_status"]:
            self.assertEqual(self.stack.visit(path=path).status, 404, path)


if __name__ == "__main__":
    tap.main()
