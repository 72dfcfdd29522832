# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a scenario may say about the terminal it wants."""


def scenario(*, snapshot=None, durable=False, timeout=300):
    """Marks a function as a scenario.

    snapshot  which prepared terminal it starts from; None: the file's SNAPSHOT, or "designated"
    durable   the guest's flushes reach the disk image, so that power_cut() is allowed
    timeout   seconds until the terminal is taken away and the scenario fails
    """

    def mark(function):
        function.snapshot = snapshot
        function.durable = durable
        function.timeout = timeout
        return function

    return mark
