# SPDX-License-Identifier: LGPL-2.1-or-later
"""An agent that is there and does nothing: the module gives up within its patience (KEISHI_PATIENCE_SEC, really waited for)."""
import signal
import subprocess
import sys
import time

from rig import HANAKO, PASSWORD, rig_main

PATIENCE = 30


def start(rig, *calls, **options):
    return subprocess.Popen(rig.drive_command("login", HANAKO, *calls, i=1, **options), env=rig.environment(), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_the_module_gives_up_on_a_hung_agent_within_its_patience(rig):
    asked = start(rig, "auth")
    assert asked.stdout.readline() == "secret: Password: \n"
    rig.agent.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    fresh = [start(rig, "auth"), start(rig, "account"), start(rig, "open")]
    try:
        asked.stdin.write(PASSWORD[HANAKO] + "\n")
        asked.stdin.flush()
        # It had spoken: not absent, only broken (4). It never spoke to the others: absent (9), which is what opens break-glass.
        assert asked.communicate(timeout=PATIENCE + 15)[0].splitlines()[-1] == "auth=4"
        took = time.monotonic() - begun
        assert PATIENCE - 2 <= took <= PATIENCE + 5, took
        ends = [p.communicate(timeout=15)[0].splitlines() for p in fresh]
        assert [lines[-1] for lines in ends] == ["auth=9", "account=9", "open=9"], ends
        assert any("not running" in x for x in ends[0]), ends[0]
    finally:
        rig.agent.send_signal(signal.SIGCONT)
    # What waited in its queue meanwhile is nobody's any more, and opened nothing.
    assert rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])[1:] == ["auth=0", "account=0"]
    assert len(rig.trail(event="login-granted")) == 2
    assert not rig.trail(event="session-opened")


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
