# SPDX-License-Identifier: LGPL-2.1-or-later
"""The accounts of the test terminal, as tests/vm/rootfs/accounts lists them."""

from .places import ROOTFS

ACCOUNTS = {}
for _line in (ROOTFS / "accounts").read_text().splitlines():
    _fields = _line.split()
    ACCOUNTS[_fields[0]] = {"password": _fields[1], "name": _fields[2], "groups": _fields[3:]}

PASSWORD = {name: account["password"] for name, account in ACCOUNTS.items()}
