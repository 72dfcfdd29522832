# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a login sees, with exact PAM return codes, and what the trail says of it."""
import sys

from rig import HANAKO, JIRO, MADOGUCHI, PASSWORD, TARO, UID, rig_main, wait_for

PAM_SUCCESS, PAM_SYSTEM_ERR, PAM_PERM_DENIED, PAM_AUTH_ERR, PAM_MAXTRIES, PAM_SESSION_ERR = 0, 4, 6, 7, 11, 14
PAM_AUTHINFO_UNAVAIL, PAM_CONV_ERR = 9, 19


def last(rig, **filters):
    entries = rig.trail(**filters)
    assert entries, "no entry %r among %r" % (filters, [e["KEISHI_EVENT"] for e in rig.trail()])
    return entries[-1]


def test_designated_user_logs_in_and_every_stage_is_in_the_trail(rig):
    lines = rig.drive("login", HANAKO, "auth", "account", "open", "authtok", "close", answers=[PASSWORD[HANAKO]], t="tty1")
    assert lines == ["secret: Password: ", "auth=0", "account=0", "open=0", "token: " + PASSWORD[HANAKO], "authtok=0", "close=0"], lines
    granted = rig.trail(event="login-granted")
    assert [e["KEISHI_STAGE"] for e in granted] == ["auth", "account"], granted
    for e in granted:
        assert e["KEISHI_ACCOUNT"] == HANAKO and e["KEISHI_PERSON"] == "100001" and e["KEISHI_NAME"] == "山田花子", e
        assert e["KEISHI_USER_UNIT"] == "会計課" and e["KEISHI_TERMINAL"] == "T01" and e["KEISHI_BUSINESS"] == "会計業務", e
        assert e["KEISHI_RULE"].startswith("designation:") and e["KEISHI_FACTORS"] == "password" and e["KEISHI_TTY"] == "tty1", e
    opened, closed = last(rig, event="session-opened"), last(rig, event="session-closed")
    assert opened["KEISHI_SESSION"] == closed["KEISHI_SESSION"] and closed["KEISHI_REASON"] == "closed"


def test_sequence_has_no_holes_and_journald_gets_the_same(rig):
    rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    seqs = [int(e["KEISHI_SEQ"]) for e in rig.trail()]
    assert seqs == list(range(1, len(seqs) + 1)), seqs
    seen = []
    wait_for("journald to get all", lambda: seen.extend(int(e["KEISHI_SEQ"]) for e in rig.journal.read()) or len(seen) >= len(seqs))
    assert seen == seqs, seen


def test_wrong_password_is_an_auth_error_and_no_token(rig):
    lines = rig.drive("login", HANAKO, "auth", "authtok", answers=["wrong"])
    assert "auth=%d" % PAM_AUTH_ERR in lines and "token: (none)" in lines, lines
    assert last(rig, event="login-refused")["KEISHI_REASON"] == "wrong-password"


def test_group_designation_lets_a_member_in(rig):
    assert "account=0" in rig.drive("login", JIRO, "auth", "account", answers=[PASSWORD[JIRO]])


def test_undesignated_user_is_refused_after_the_right_password_and_told_why(rig):
    lines = rig.drive("login", TARO, "auth", answers=[PASSWORD[TARO]])
    assert lines[-1] == "auth=%d" % PAM_PERM_DENIED, lines
    assert any("not designated" in x for x in lines), lines
    refused = last(rig, event="login-refused")
    assert refused["KEISHI_REASON"] == "default" and refused["KEISHI_RULE"] == "default" and refused["KEISHI_NAME"] == "鈴木太郎", refused


def test_unregistered_undesignated_and_unknown_users_see_the_same_until_the_end(rig):
    seen = {user: rig.drive("login", user, "auth", answers=["wrong"]) for user in (HANAKO, TARO, "soto", "nobody-knows", "x" * 65536, "\x1b[31mred", "名前 空白")}
    assert len(set(map(tuple, seen.values()))) == 1, list(seen.values())


def test_unregistered_nss_user_with_right_password_is_refused(rig):
    lines = rig.drive("login", "soto", "auth", answers=[PASSWORD["soto"]])
    assert lines[-1] == "auth=%d" % PAM_PERM_DENIED and any("not registered" in x for x in lines), lines


def test_empty_password_is_never_one(rig):
    assert "auth=%d" % PAM_AUTH_ERR in rig.drive("login", "nopassword", "auth", answers=[""])


def test_three_failures_lock_over_a_restart_until_released(rig):
    for expected in (PAM_AUTH_ERR, PAM_AUTH_ERR, PAM_MAXTRIES):
        assert rig.drive("login", HANAKO, "auth", answers=["wrong"])[-1] == "auth=%d" % expected
    assert last(rig, event="login-locked")["KEISHI_ACCOUNT"] == HANAKO
    rig.stop_agent()
    rig.start_agent()
    lines = rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
    assert lines[-1] == "auth=%d" % PAM_MAXTRIES and not any(x.startswith("secret") for x in lines), lines
    # from elsewhere she is not locked out
    assert "auth=0" in rig.drive("swaylock", HANAKO, "auth", answers=[PASSWORD[HANAKO]], U=UID[HANAKO])


def test_unknown_names_lock_like_known_ones(rig):
    codes = [rig.drive("login", "nobody-knows", "auth", answers=["wrong"])[-1] for _ in range(4)]
    assert codes == ["auth=7", "auth=7", "auth=11", "auth=11"], codes


def test_success_refunds_root_callers_attempts(rig):
    for _ in range(4):
        rig.drive("login", HANAKO, "auth", answers=["wrong"])
        assert "auth=0" in rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])


def test_locker_proves_only_itself_and_clears_no_counter(rig):
    assert rig.drive("swaylock", HANAKO, "auth", answers=["wrong"], U=UID[HANAKO])[-1] == "auth=7"
    assert rig.drive("swaylock", HANAKO, "auth", "setcred", answers=[PASSWORD[HANAKO]], U=UID[HANAKO])[-2:] == ["auth=0", "setcred=0"]
    assert rig.drive("swaylock", HANAKO, "auth", answers=["wrong"], U=UID[HANAKO])[-1] == "auth=7"
    assert rig.drive("swaylock", HANAKO, "auth", answers=["wrong"], U=UID[HANAKO])[-1] == "auth=11"


def test_unprivileged_caller_may_not_ask_about_another(rig):
    assert rig.drive("swaylock", HANAKO, "auth", answers=[PASSWORD[HANAKO]], U=UID[TARO])[-1] == "auth=%d" % PAM_PERM_DENIED
    assert last(rig, event="protocol-abuse")["KEISHI_REASON"] == "about-another"


def test_unprivileged_caller_may_not_use_a_login_service(rig):
    assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]], U=UID[HANAKO])[-1] == "auth=%d" % PAM_PERM_DENIED


def test_account_without_our_auth_is_refused(rig):
    assert rig.drive("login", HANAKO, "account")[-1] == "account=%d" % PAM_PERM_DENIED
    assert last(rig, event="login-refused")["KEISHI_REASON"] == "not-authenticated"


def test_session_without_account_is_refused(rig):
    assert rig.drive("login", HANAKO, "auth", "open", answers=[PASSWORD[HANAKO]])[-1] == "open=%d" % PAM_SESSION_ERR


def test_session_for_another_than_the_account_stage_let_through_is_refused(rig):
    lines = rig.drive("login", HANAKO, "auth", "account", "user=" + JIRO, "open", answers=[PASSWORD[HANAKO]])
    assert lines[-1] == "open=%d" % PAM_SESSION_ERR, lines


def test_auth_of_one_user_does_not_carry_another_through_account(rig):
    assert rig.drive("login", HANAKO, "auth", "user=" + JIRO, "account", answers=[PASSWORD[HANAKO]])[-1] == "account=%d" % PAM_PERM_DENIED


def test_a_proof_of_one_process_does_not_serve_another(rig):
    rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
    assert rig.drive("login", HANAKO, "account")[-1] == "account=%d" % PAM_PERM_DENIED


def test_service_without_a_row_is_refused(rig):
    assert rig.drive("unknown-service", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=%d" % PAM_PERM_DENIED
    assert last(rig, event="login-refused")["KEISHI_REASON"] == "service-unknown"


def test_remote_is_closed_by_default_and_loopback_is_remote(rig):
    for host in ("192.0.2.7", "127.0.0.1", "::1"):
        assert rig.drive("sshd", HANAKO, "auth", answers=[PASSWORD[HANAKO]], r=host)[-1] == "auth=%d" % PAM_PERM_DENIED
        assert last(rig, event="login-refused")["KEISHI_REASON"] == "remote-closed"
    assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]], r="192.0.2.7")[-1] == "auth=%d" % PAM_PERM_DENIED


def test_sshd_key_login_without_auth_stage_is_refused(rig):
    assert rig.drive("sshd", HANAKO, "account", r="192.0.2.7")[-1] == "account=%d" % PAM_PERM_DENIED


def test_unattended_services_run_for_system_accounts_and_designated_users_only(rig):
    assert rig.drive("cron", "daemon1", "account", "open", "close") == ["account=0", "open=0", "close=0"]
    assert rig.drive("systemd-user", HANAKO, "account")[-1] == "account=0"
    assert rig.drive("cron", TARO, "account")[-1] == "account=%d" % PAM_PERM_DENIED
    assert rig.drive("cron", "soto", "account")[-1] == "account=%d" % PAM_PERM_DENIED


def test_greeter_account_needs_no_registration_but_staff_do_not_pass_as_one(rig):
    assert rig.drive("lightdm-greeter", "daemon1", "account")[-1] == "account=0"
    assert rig.drive("lightdm-greeter", HANAKO, "account")[-1] == "account=%d" % PAM_PERM_DENIED


def test_sudo_checks_actor_and_target(rig):
    lines = rig.drive("sudo", HANAKO, "auth", "user=root", "account", "open", "close", answers=[PASSWORD[HANAKO]], u=HANAKO)
    assert lines[1:] == ["auth=0", "user=root=0", "account=0", "open=0", "close=0"], lines
    opened = last(rig, event="session-opened")
    assert opened["KEISHI_ACCOUNT"] == HANAKO and opened["KEISHI_TARGET"] == "root", opened
    assert rig.drive("sudo", JIRO, "auth", answers=[PASSWORD[JIRO]], u=JIRO)[-1] == "auth=%d" % PAM_PERM_DENIED


def test_sudo_that_names_its_target_in_the_session_only_as_the_real_one_does_is_recorded_with_it(rig):
    lines = rig.drive("sudo", HANAKO, "auth", "account", "user=root", "open", "close", answers=[PASSWORD[HANAKO]], u=HANAKO)
    assert lines[1:] == ["auth=0", "account=0", "user=root=0", "open=0", "close=0"], lines
    opened = last(rig, event="session-opened")
    assert opened["KEISHI_ACCOUNT"] == HANAKO and opened["KEISHI_TARGET"] == "root", opened
    lines = rig.drive("sudo", HANAKO, "auth", "account", "user=soto", "open", answers=[PASSWORD[HANAKO]], u=HANAKO)
    assert lines[-1] == "open=%d" % PAM_PERM_DENIED, lines


def test_sudo_without_a_password_is_refused(rig):
    assert rig.drive("sudo", "root", "account", u=HANAKO)[-1] == "account=%d" % PAM_PERM_DENIED


def test_root_sets_the_password_of_an_account_that_is_not_registered_yet(rig):
    lines = rig.drive("passwd", "soto", "account", "password", answers=["Kx9-mmvQ72wz"] * 2)
    assert [x for x in lines if "=" in x] == ["account=0", "password=0"], lines
    assert last(rig, event="password-allowed")["KEISHI_RULE"] == "service:passwd"


def test_shared_id_names_its_person(rig):
    lines = rig.drive("login", MADOGUCHI, "auth", "account", "open", answers=[PASSWORD[MADOGUCHI], "100001"])
    assert lines[-1] == "open=0", lines
    assert last(rig, event="session-opened")["KEISHI_PERSON"] == "100001"
    assert last(rig, event="login-granted", stage="account")["KEISHI_NAME"] == "山田花子"
    assert rig.drive("login", MADOGUCHI, "auth", answers=[PASSWORD[MADOGUCHI], "100002"])[-1] == "auth=7"


def test_sshd_style_fork_auth_in_a_child_session_in_the_parent(rig):
    setup = rig.drive("login", HANAKO, "fork", "auth", "account", "join", "open", answers=[PASSWORD[HANAKO]])
    assert setup[-1] == "open=0", setup


def test_conversation_that_fails_or_answers_null_is_abandoned(rig):
    for option in ({"f": 1}, {"n": 1}):
        assert rig.drive("login", HANAKO, "auth", **option)[-1] == "auth=%d" % PAM_CONV_ERR
        assert last(rig, event="login-abandoned")["KEISHI_ACCOUNT"] == HANAKO


def test_no_agent_is_a_hard_error_with_a_message(rig):
    rig.stop_agent()
    lines = rig.drive("login", HANAKO, "auth", "account", "open", answers=[PASSWORD[HANAKO]])
    assert [x for x in lines if "=" in x] == ["auth=9", "account=9", "open=9"], lines
    assert any("not running" in x for x in lines), lines


def test_agent_killed_between_the_stages_refuses_the_rest(rig):
    lines = rig.drive("login", HANAKO, "auth", "kill=%d" % rig.agent.pid, "account", answers=[PASSWORD[HANAKO]])
    assert lines[-1] == "account=9", lines
    rig.agent.wait()
    rig.start_agent()
    assert last(rig, event="agent-crashed")


def test_session_whose_process_dies_is_closed_in_the_trail(rig):
    rig.drive("login", HANAKO, "auth", "account", "open", answers=[PASSWORD[HANAKO]])
    wait_for("the entry", lambda: rig.trail(event="session-closed"))
    assert last(rig, event="session-closed")["KEISHI_REASON"] == "process-gone"
    assert rig.sql("SELECT count(*) FROM sessions") == [(0,)]


def test_journald_away_logins_go_on_and_nothing_is_lost(rig):
    seen = [int(e["KEISHI_SEQ"]) for e in rig.journal.read()]
    rig.journal.stop()
    assert "account=0" in rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    rig.journal.start()
    assert "account=0" in rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    total = len(rig.trail())

    def all_seen():
        seen.extend(int(e["KEISHI_SEQ"]) for e in rig.journal.read())
        return len(set(seen)) == total
    wait_for("the journal to catch up", all_seen, 45)
    assert sorted(set(seen)) == list(range(1, total + 1))


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
