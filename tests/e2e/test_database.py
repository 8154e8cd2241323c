#!/usr/bin/env python3
"""The backend's image logs in to MySQL as its users do now: caching_sha2_password over TCP, with TLS, without, and with a certificate checked."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import DB_IMAGE, docker, image, new_name, run  # noqa: E402
from stagehand import wait_for  # noqa: E402

PASSWORD = "a p@ss:w/ord%"
QUOTED = "a%20p%40ss%3Aw%2Ford%25"


def make_certificates(directory):
    """ca.pem, and server.pem for the name `mysql` alone."""
    run("sh", "-ec", f"""cd {directory}
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=mysql -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:mysql' >san
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other-ca -keyout other.key -out other-ca.pem
        chmod 0755 . && chmod 0444 *.pem && chown 999 server.key && chmod 0400 server.key""")


class Database(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.name = new_name()
        cls.directory = tempfile.mkdtemp(prefix="tally-e2e.")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        make_certificates(cls.directory)
        docker("network", "create", "--internal", cls.name)
        cls.addClassCleanup(docker, "network", "rm", cls.name)
        docker("run", "-d", "--name", cls.name, "--network", cls.name, "--network-alias", "mysql", "--network-alias", "elsewhere",
               "--tmpfs", "/var/lib/mysql:uid=999", "-v", f"{cls.directory}:/tls:ro", "-e", f"MYSQL_ROOT_PASSWORD={PASSWORD}",
               DB_IMAGE, "--ssl-ca=/tls/ca.pem", "--ssl-cert=/tls/server.pem", "--ssl-key=/tls/server.key")
        cls.addClassCleanup(docker, "rm", "-f", "-v", cls.name)
        wait_for(cls.is_up, "MySQL", pause=0.5)

    @classmethod
    def is_up(cls):
        return "alive" in docker("exec", "-e", f"MYSQL_PWD={PASSWORD}", cls.name, "mysqladmin", "ping", "-h", "127.0.0.1", "--protocol=tcp", check=False)

    def migrate(self, user, host="mysql", tls="off", ca=None):
        """Status and words of the image's --migrate and --seed, which log in as root and make the user."""
        self.__class__.last = f"mysql://{user}:{QUOTED}@{host}:3306/tally"
        command = ["docker", "run", "--rm", "--name", new_name(), "--network", self.name, "--read-only", "--cap-drop", "ALL", "-v", f"{self.directory}:/tls:ro",
                   "-e", f"DATABASE_URI={self.last}", "-e", f"MIGRATE_DATABASE_URI=mysql://root:{QUOTED}@{host}:3306/tally",
                   "-e", f"DATABASE_TLS={tls}", "-e", "MIGRATE_TIMEOUT_S=5", *(["-e", f"DATABASE_CA_FILE=/tls/{ca}"] if ca else []),
                   image("backend"), "--migrate", "--seed"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertNotIn(PASSWORD, done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr

    def users_of(self, user, tls, ca=None):
        """What a backend that logs in as this user serves; a fresh user is in no cache of the server's."""
        container = docker("run", "-d", "--name", new_name(), "--network", self.name, "-v", f"{self.directory}:/tls:ro", "-e", f"DATABASE_TLS={tls}",
                           "-e", f"DATABASE_URI=mysql://{user}:{QUOTED}@mysql:3306/tally", *(["-e", f"DATABASE_CA_FILE=/tls/{ca}"] if ca else []),
                           image("backend")).strip()
        try:
            address = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container).strip()
            read = lambda: run("curl", "-fsS", "--max-time", "3", f"http://{address}:5001/backend", check=False)  # noqa: E731
            return wait_for(read, f"users: {docker('logs', container)}", pause=0.2)
        finally:
            docker("rm", "-f", container)

    def check_login(self, user, tls, ca=None):
        status, said = self.migrate(user, tls=tls, ca=ca)
        self.assertEqual(status, 0, said)
        self.assertIn('{"userName":"Bob"}', self.users_of(user, tls, ca))

    def test_login_without_tls_asks_for_the_servers_key(self):
        self.check_login("plain", "off")
        plugin = docker("exec", "-e", f"MYSQL_PWD={PASSWORD}", self.name, "mysql", "-h127.0.0.1", "-uroot", "-Ne",
                        "SELECT plugin FROM mysql.user WHERE user = 'plain'")
        self.assertEqual(plugin.strip(), "caching_sha2_password")

    def test_login_with_tls(self):
        self.check_login("encrypted", "require")

    def test_login_with_a_certificate_that_is_right(self):
        self.check_login("verified", "verify", "ca.pem")

    def test_a_certificate_with_a_wrong_name_is_refused(self):
        status, said = self.migrate("nobody", host="elsewhere", tls="verify", ca="ca.pem")
        self.assertNotEqual(status, 0, said)
        self.assertRegex(said.lower(), "tls|ssl|certificate")

    def test_a_certificate_of_a_stranger_is_refused(self):
        status, said = self.migrate("nobody", tls="verify", ca="other-ca.pem")
        self.assertNotEqual(status, 0, said)
        self.assertRegex(said.lower(), "tls|ssl|certificate")

    def test_a_self_made_certificate_is_no_match_for_the_systems_authorities(self):
        status, said = self.migrate("nobody", tls="verify")
        self.assertNotEqual(status, 0, said)


if __name__ == "__main__":
    tap.main()
