# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a scenario says that something is wrong, or that it cannot run here."""


class Failure(Exception):
    """What was expected did not happen; the message is one plain sentence."""


class Skip(Exception):
    """The scenario cannot run here; the message names the reason."""


def check(condition, why):
    """Fails the scenario with `why` unless `condition` holds."""
    if not condition:
        raise Failure(why)
