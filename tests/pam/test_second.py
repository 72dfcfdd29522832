# SPDX-License-Identifier: LGPL-2.1-or-later
"""A person who opens a second session on this terminal (R6): noticed, or refused, by policy. Every session here is one of the service login."""
import sys

from rig import HANAKO, JIRO, MADOGUCHI, PASSWORD, UID, Rig, rig_main
from test_enforce import logged_in

PAM_SESSION_ERR = 14

def open_another(rig, user=HANAKO):
    return rig.drive("login", user, "auth", "account", "open", "close", answers=[PASSWORD[user]])

def leave(login):
    login.stdin.close()
    login.wait(10)

def test_a_second_session_is_noticed_and_names_the_first():
    with Rig() as rig:
        login = logged_in(rig, HANAKO)
        first = rig.trail(event="session-opened")[-1]
        assert "open=0" in open_another(rig)
        found = rig.trail(event="second-login")
        assert len(found) == 1 and found[0]["KEISHI_ACCOUNT"] == HANAKO, found
        assert found[0]["KEISHI_SESSION"] == first["KEISHI_SESSION"] and "open already: login" in found[0]["KEISHI_DETAIL"], found
        leave(login)
        assert "open=0" in open_another(rig)
        assert len(rig.trail(event="second-login")) == 1

def test_a_second_session_is_refused_by_policy_until_the_first_is_over():
    with Rig(config="[Sessions]\nOnSecondLogin=refuse\n") as rig:
        login = logged_in(rig, HANAKO)
        lines = open_another(rig)
        assert "open=%d" % PAM_SESSION_ERR in lines and any("already" in x for x in lines), lines
        refused = rig.trail(event="login-refused")[-1]
        assert (refused["KEISHI_REASON"], refused["KEISHI_RULE"]) == ("second-login", "policy:OnSecondLogin"), refused
        assert "open=0" in open_another(rig, JIRO)  # somebody else's session is nothing to them
        assert rig.drive("swaylock", HANAKO, "auth", answers=[PASSWORD[HANAKO]], U=UID[HANAKO])[-1] == "auth=0"
        leave(login)
        assert "open=0" in open_another(rig)

def test_who_uses_a_shared_id_beside_the_own_account_is_one_person():
    with Rig(config="[Sessions]\nOnSecondLogin=refuse\n") as rig:
        def shared():
            return rig.drive("login", MADOGUCHI, "auth", "account", "open", "close", answers=[PASSWORD[MADOGUCHI], "100001"])

        login = logged_in(rig, HANAKO)
        assert "open=%d" % PAM_SESSION_ERR in shared()
        leave(login)
        assert "open=0" in shared()

def test_with_allow_nothing_is_said_of_it():
    with Rig(config="[Sessions]\nOnSecondLogin=allow\n") as rig:
        login = logged_in(rig, HANAKO)
        assert "open=0" in open_another(rig)
        assert not rig.trail(event="second-login")
        leave(login)

def test_a_session_whose_program_died_is_no_first_one():
    with Rig(config="[Sessions]\nOnSecondLogin=refuse\n") as rig:
        login = logged_in(rig, HANAKO)
        login.kill()
        login.wait(10)
        login.stdin.close()
        assert "open=0" in open_another(rig)


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
