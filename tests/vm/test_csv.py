# SPDX-License-Identifier: LGPL-2.1-or-later
"""CSV files as Excel makes them, imported and exported at a terminal; an import that is killed leaves nothing."""

import json

from harness import check, keishi, scenario

ROWS = "利用者,職員番号,氏名,所属\r\n{0}1,71001,\"髙﨑,一\",会計課\r\n{0}2,71002,\"=cmd|' /C calc'!A0\",会計課\r\n"

# Answers in place of people, so that a program can be stopped in the middle.
RULE = """polkit.addRule(function(action, subject) {
        return action.id.indexOf("org.keishi1.") == 0 ? polkit.Result.YES : polkit.Result.NOT_HANDLED;
});
"""


def names(terminal, like):
    return terminal.run(f"sqlite3 -readonly {keishi.REGISTRY} \"select account from users where deleted = 0 and account like '{like}' order by 1\"").split()


@scenario(timeout=540)
def test_files_of_excel_are_taken_and_given_and_a_killed_import_leaves_nothing(terminal):
    for prefix, encoding in (("bom", "utf-8-sig"), ("sjis", "cp932")):
        terminal.put(ROWS.format(prefix).encode(encoding), f"/tmp/{prefix}.csv")
        keishi.ctl_must(terminal, "kanri", "import", "user", f"/tmp/{prefix}.csv")
        check(names(terminal, prefix + "_") == [prefix + "1", prefix + "2"], f"{encoding}: {names(terminal, prefix + '_')}")
    name = terminal.run(f"sqlite3 -readonly {keishi.REGISTRY} \"select name from users where account = 'sjis1'\"").strip()
    check(name == "髙﨑,一", f"the name came through as {name!r}")
    terminal.put(ROWS.format("bad").replace("71002", "7100\"2").encode("cp932"), "/tmp/bad.csv")
    status, text = keishi.ctl(terminal, "kanri", "import", "user", "/tmp/bad.csv")
    check(status not in (0, 127) and not names(terminal, "bad_"), f"a bad file ended with {status}")

    terminal.put(RULE.encode(), "/etc/polkit-1/rules.d/00-test.rules")
    kanri = "setpriv --reuid kanri --regid kanri --init-groups "
    terminal.wait_for(lambda: terminal.ssh(kanri + "keishictl user list --no-ask-password").rc == 0, "polkit to have read the rule", 30)
    written = terminal.run(kanri + "keishictl export user --encoding utf-8")
    check("\"'=cmd|" in written or ",'=cmd|" in written, "a formula is exported alive")
    # Half of a file, and then nothing more: until it is killed the import waits for the rest.
    rows = "account,person,name,unit\n" + "".join(f"half{i:04d},{72000 + i},職員{i},会計課\n" for i in range(4000))
    terminal.put(rows.encode(), "/tmp/half.csv")
    before = len(keishi.trail(terminal, "directory-changed"))
    terminal.run("systemd-run --quiet --unit=half --uid=kanri sh -c '(cat /tmp/half.csv; sleep 600) | keishictl import user -'")
    pid = terminal.wait_for(lambda: terminal.ssh("pgrep -u kanri -x keishictl").out.strip(), "the import to begin", 30)
    terminal.wait_for(lambda: int(terminal.ssh(f"cut -d' ' -f14 /proc/{pid}/stat").out or 0) > 0 and
                      terminal.ssh(f"cat /proc/{pid}/wchan").out.startswith("pipe"), "it to wait for the rest", 60)
    terminal.run(f"kill -9 {pid}; systemctl stop half")
    check(not names(terminal, "half%"), "half of a file was taken")
    check(len(keishi.trail(terminal, "directory-changed")) == before, "the trail speaks of rows that were not taken")
    result = json.loads(terminal.run(kanri + "keishictl import user /tmp/half.csv --json", timeout=120))
    check(result["added"] == 4000 and len(names(terminal, "half%")) == 4000, f"the whole file gave {result}")
