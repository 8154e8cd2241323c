#!/usr/bin/env python3
"""The images: what is in them, what is not, how they were made, and that one commit gives one binary."""

import hashlib
import io
import json
import os
import re
import sys
import tarfile
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import ROOT, docker, image, run  # noqa: E402

SERVICES = ["frontend", "backend"]
MEGABYTE = 1000 * 1000


def inspect(name):
    return json.loads(docker("image", "inspect", name))[0]


class Files:
    """What a container of an image would see."""

    def __init__(self, name):
        container = docker("create", "--network", "none", name, "none").strip()
        try:
            self.tar = tarfile.open(fileobj=io.BytesIO(docker("export", container, binary=True)))
        finally:
            docker("rm", container)
        self.names = {"/" + member.name for member in self.tar if not member.isdir()}

    def read(self, path):
        return self.tar.extractfile(path.lstrip("/")).read()


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = {service: Files(image(service)) for service in SERVICES}

    def test_each_service_is_at_most_40_mb(self):
        for service in SERVICES:
            self.assertLess(inspect(image(service))["Size"], 40 * MEGABYTE, service)

    def test_there_is_nothing_but_the_binary_its_libraries_and_certificates(self):
        expected = re.compile(r"/tally-\w+|/(usr/)?lib(64)?/([\w-]+/)?[\w.+-]+\.so(\.[\d.]+)?|.*/plugin/caching_sha2_password\.so|"
                              r"/etc/ssl/certs/ca-certificates\.crt|/etc/(nsswitch\.conf|passwd|group)|"
                              r"/\.dockerenv|/dev/console|/etc/(hosts|hostname|resolv\.conf|mtab)")
        for service, files in self.files.items():
            self.assertEqual([name for name in sorted(files.names) if not expected.fullmatch(name)], [], service)

    def test_the_backend_has_the_plugin_that_logs_in_to_mysql(self):
        self.assertTrue([name for name in self.files["backend"].names if name.endswith("/plugin/caching_sha2_password.so")])

    def test_there_is_no_shell(self):
        for service in SERVICES:
            for shell in ["/bin/sh", "sh", "/bin/bash", "/busybox/sh"]:
                done = run("sh", "-c", f"docker run --rm --network none --entrypoint {shell} {image(service)} -c true 2>&1; echo $?")
                self.assertIn(done.split()[-1], ("126", "127"), done)

    def test_the_user_is_a_number_and_not_root(self):
        for service, user in [("frontend", "65532:65532"), ("backend", "65532:65532"), ("nginx", "101")]:
            self.assertEqual(inspect(image(service))["Config"]["User"], user)

    def test_the_binary_asks_for_its_own_health(self):
        for service in SERVICES:
            config = inspect(image(service))["Config"]
            self.assertEqual(config["Healthcheck"]["Test"], ["CMD", f"/tally-{service}", "--healthcheck"])
            self.assertEqual(config["Entrypoint"], [f"/tally-{service}"])

    def test_the_binaries_are_hardened(self):
        with tempfile.TemporaryDirectory() as directory:
            for service, files in self.files.items():
                path = os.path.join(directory, f"tally-{service}")
                with open(path, "wb") as file:
                    file.write(files.read(f"/tally-{service}"))
                run("scripts/check-hardening", path)

    def test_the_hardening_check_finds_what_lacks(self):
        with tempfile.TemporaryDirectory() as directory:
            source, binary = os.path.join(directory, "a.c"), os.path.join(directory, "a")
            with open(source, "w", encoding="ascii") as file:
                file.write("int main(void) { return 0; }\n")
            run("gcc", "-no-pie", "-fno-stack-protector", "-Wl,-z,norelro,-z,execstack", source, "-o", binary)
            said = run("scripts/check-hardening", binary, check=False)
            for what in ["PIE", "full RELRO", "non-executable stack", "stack protector", "FORTIFY_SOURCE"]:
                self.assertIn(f"no {what}", said)

    def test_labels_say_where_it_comes_from(self):
        for service in SERVICES + ["nginx"]:
            labels = inspect(image(service))["Config"]["Labels"]
            label = lambda name: labels[f"org.opencontainers.image.{name}"]  # noqa: E731
            self.assertEqual(label("title"), f"tally-{service}")
            self.assertEqual(label("licenses"), "MIT")
            for name in ["revision", "version", "source", "created"]:
                self.assertTrue(label(name), name)
            self.assertNotIn("@", label("source"))

    def test_the_binary_says_revision_and_tree(self):
        for service in SERVICES:
            revision = inspect(image(service))["Config"]["Labels"]["org.opencontainers.image.revision"]
            said = docker("run", "--rm", "--network", "none", image(service), "--version")
            self.assertRegex(said, rf"revision {re.escape(revision)}, tree \S+\)")

    def test_it_runs_with_a_read_only_root_and_no_capability(self):
        for service in SERVICES:
            docker("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                   image(service), "--help")

    def test_the_bill_of_materials_names_every_library(self):
        for service, files in self.files.items():
            with open(os.path.join(ROOT, "build", "sbom", f"tally-{service}.spdx.json"), encoding="utf-8") as file:
                bill = json.load(file)
            packages = {p["name"] for p in bill["packages"]}
            self.assertIn("libc6", packages)
            self.assertIn("ca-certificates", packages)
            self.assertEqual(bill["packages"][0]["checksums"][0]["checksumValue"],
                             hashlib.sha256(files.read(f"/tally-{service}")).hexdigest())
            for name in ["libuv", "libmicrohttpd", *(["libmariadb"] if service == "backend" else ["libcurl", "libhiredis"])]:
                self.assertTrue([p for p in packages if p.startswith(name)], f"{service}: {name}")
            self.assertTrue(all(p["versionInfo"] for p in bill["packages"]))

    def test_two_builds_of_one_commit_give_the_same_binary(self):
        """The second is made in another folder, at another time, by one job."""
        sums = docker("run", "--rm", "--network", "none", image("build"), "sh", "-ec",
                      "cp -a /src /elsewhere && cd /elsewhere && set -- $(cat build/revision) && rm -rf build &&"
                      " make -j2 build REVISION=$1 TREE=$2 >/dev/null && sha256sum build/release/tally-frontend build/release/tally-backend",
                      timeout=300)
        for service, files in self.files.items():
            self.assertIn(hashlib.sha256(files.read(f"/tally-{service}")).hexdigest(), sums, service)

    def test_both_services_come_out_of_one_build_stage(self):
        stages = []
        for service in SERVICES:
            with open(os.path.join(ROOT, service, "Dockerfile"), encoding="utf-8") as file:
                stages.append(re.search(r"^ARG BASE.*?(?=^FROM build)", file.read(), re.M | re.S).group())
        self.assertEqual(*stages)

    def test_only_what_is_listed_reaches_a_build(self):
        """Keys that lie about in the folder were in the predecessors' images."""
        with open(os.path.join(ROOT, ".dockerignore"), encoding="utf-8") as file:
            rules = [line for line in file.read().splitlines() if line and not line.startswith("#")]
        self.assertEqual(rules[0], "*")
        allowed = {rule[1:] for rule in rules if rule.startswith("!")}
        self.assertLessEqual(allowed, {"LICENSE", "Makefile", "backend", "frontend", "lib", "nginx", "scripts", "tests", "bench"})

    def test_no_image_is_pinned_to_latest(self):
        for path in ["frontend/Dockerfile", "backend/Dockerfile", "nginx/Dockerfile", "docker-compose.yml"]:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                for line in file:
                    if re.match(r"\s*(FROM|image:)", line) and "tally-" not in line:
                        self.assertNotIn(":latest", line)
                        self.assertRegex(line, r":[\w.-]+|scratch|FROM build|\$\{BASE\}")


if __name__ == "__main__":
    tap.main()
