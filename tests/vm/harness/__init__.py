# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real Debian terminal in a virtual machine, for scenarios: see tests/README.md."""

from . import desk, keishi
from .accounts import ACCOUNTS, PASSWORD
from .failure import Failure, Skip, check
from .scenario import scenario
from .terminal import Terminal

__all__ = ["ACCOUNTS", "PASSWORD", "Failure", "Skip", "Terminal", "check", "desk", "keishi", "scenario"]
