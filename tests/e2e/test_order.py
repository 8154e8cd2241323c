#!/usr/bin/env python3
"""The services start in any order, and alone."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tap  # noqa: E402
from engine import SERVICES, Stack  # noqa: E402
from stagehand import wait_for  # noqa: E402


class AnyOrder(unittest.TestCase):
    def test_each_service_alone_in_reverse_order(self):
        """Each starts with nothing that it needs there, and finds it by itself when it comes."""
        stack = Stack()
        self.addCleanup(stack.down)
        for service in ["nginx", "frontend-1", "frontend-2", "backend-1", "backend-2", "migrate", "mysql", "redis"]:
            stack.up("--no-deps", service)
            self.assertIsNotNone(stack.id(service), service)
        # The frontends end without their secret and are started again: one refuses (502), or its address is nobody's just then (504).
        self.assertIn(stack.await_first_answer().status, [502, 504])
        stack.up("--no-deps", "secrets")
        stack.await_whole()
        self.assertEqual(stack.visit().json()["visitor"], stack.total())
        for service in SERVICES:
            wait_for(lambda name=service: stack.status(name) == "healthy", f"{service} to be healthy", pause=0.5)


if __name__ == "__main__":
    tap.main()
