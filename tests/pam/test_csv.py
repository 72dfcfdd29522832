# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishictl import and export: CSV files as Excel makes them, against a real keishid.

The bus is a private dbus-daemon, polkit is polkit-double (see there), callers are real uids; see rig.py. No Excel made these files: their bytes are those that
Excel writes (CRLF, quotation marks only where needed, CP932 or UTF-8 with BOM, TRUE, 2027/3/31)."""
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time

from rig import BUILD, HANAKO, JIRO, PASSWORD, TARO, has_other_users, rig_main, wait_for
from test_ctl import DONE, INVALID, KACHO, KANRI, SEKININ, SOMU, STAFF, UIDS, UNAVAILABLE, USAGE, Office, last, office

DB = "var/lib/keishi/registry.db"


def put(o, text, name="rows.csv", encoding="utf-8"):
    path = o.dir + "/" + name
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode(encoding))
    os.chmod(path, 0o644)
    return path


def rows(o, table, *columns):
    return o.sql("SELECT %s FROM %s WHERE deleted = 0 ORDER BY 1, 2" % (", ".join(columns), table))


def errors(o, who, *arguments, code=INVALID):
    """The errors that --json tells."""
    r = o.ctl(who, *arguments, "--json")
    assert r.returncode == code, r
    return json.loads(r.stderr)["errors"]


def users(n, first=0, unit="会計課"):
    return "".join("u%06d,%07d,職員%06d,%s\n" % (i, 3000000 + i, i, unit) for i in range(first, first + n))


HEAD = "account,person,name,unit\n"
NEW = "account,person,name,unit\nsoto,100009,外部四郎,会計課\ngoro,100010,\"髙﨑,五郎\",総務課\n"


def imported(o, data, *options, name="rows.csv"):
    return o.json(KANRI, "import", "user", put(o, data, name), *options)


@office
def test_utf8_with_and_without_bom_and_cp932_are_read_as_excel_writes_them(o):
    for encoding in ("utf-8", "utf-8-sig", "cp932"):
        assert imported(o, NEW.replace("\n", "\r\n").encode(encoding))["added"] == 2, encoding
        assert o.json(KANRI, "user", "show", "goro")["name"] == "髙﨑,五郎"
        for account in ("soto", "goro"):
            o.done(KANRI, "user", "remove", account, "--reason", "試験")
    assert o.json(KANRI, "import", "user", put(o, NEW, encoding="cp932"), "--encoding", "cp932")["added"] == 2
    assert o.json(KANRI, "import", "user", put(o, NEW))["unchanged"] == 2


@office
def test_each_row_of_an_import_is_in_the_trail_with_before_and_after(o):
    before = len(o.trail())
    assert imported(o, "account,name\ntaro,鈴木次郎\n", name="異動.csv") == {"removed": 0, "changed": 1, "added": 0, "unchanged": 0, "dry_run": False}
    e = last(o, "directory-changed")
    assert e["KEISHI_ACCOUNT"] == KANRI and e["KEISHI_NAME"] == "係員kanri" and e["KEISHI_TARGET"] == TARO and e["KEISHI_NOUN"] == "user", e
    assert json.loads(e["KEISHI_BEFORE"])["name"] == "鈴木太郎" and json.loads(e["KEISHI_AFTER"])["name"] == "鈴木次郎", e
    done = last(o, "directory-imported")
    assert done["KEISHI_RESULT"] == "done" and "異動.csv: 0 added, 1 changed" in done["KEISHI_DETAIL"] and done["KEISHI_OBJECT"] in e["KEISHI_DETAIL"], done
    assert json.loads(e["KEISHI_AFTER"])["version"] == json.loads(e["KEISHI_BEFORE"])["version"] + 1
    assert len(o.trail()) == before + 2
    imported(o, "account,name\ntaro,鈴木次郎\n")
    assert len(o.trail()) == before + 2  # nothing changed, nothing happened


@office
def test_japanese_headings_and_values_are_taken_and_written(o):
    text = "利用者,職員番号,氏名,所属,共用\nsoto,100009,外部四郎,会計課,いいえ\n"
    assert imported(o, text)["added"] == 1
    written = o.done(KANRI, "export", "user", "--lang", "ja", "--encoding", "utf-8")
    assert written.splitlines()[0] == "利用者,職員番号,氏名,所属,共用,退職" and "soto,100009,外部四郎,会計課,いいえ,いいえ" in written, written
    assert imported(o, written.replace("\r\n", "\n"))["unchanged"] == 11


@office
def test_dates_and_truths_are_read_as_excel_writes_them(o):
    text = "name,business,unit,terminals,from,until,remote,review\n課内,会計業務,会計課,name:T01,2026/4/1,2027/3/31,FALSE,2026/9/1 8:30\n"
    assert o.json(KANRI, "import", "scope", put(o, text))["added"] == 1
    row = o.json(KANRI, "scope", "show", "課内")
    assert row["from"].startswith("2026-04-01T00:00:00") and row["until"].startswith("2027-04-01T00:00:00") and row["review"].startswith("2026-09-01T08:30"), row
    written = o.done(KANRI, "export", "scope", "--encoding", "utf-8")
    assert ",2026-04-01,2027-03-31,no," in written, written


@office
def test_everything_that_is_exported_is_imported_as_unchanged(o):
    o.done(KACHO, "designation", "add", "--scope", "会計", "--subject", "user:taro", "--hours", "mon-fri 08:30-17:15", "--until", "2027-03-31")
    for noun in ("user", "member", "terminal", "scope", "designation"):
        count = len(o.json(SEKININ, noun, "list"))
        for encoding in ("utf-8", "utf-8-bom", "cp932"):
            for lang in ("ja", "en"):
                path = o.dir + "/shared/out.csv"
                os.makedirs(o.dir + "/shared", exist_ok=True)
                os.chmod(o.dir + "/shared", 0o1777)
                if os.path.exists(path):
                    os.unlink(path)
                assert o.json(SEKININ, "export", noun, path, "--encoding", encoding, "--lang", lang) == {"rows": count}
                assert os.stat(path).st_mode & 0o777 == 0o600
                with open(path, "rb") as f:
                    data = f.read()
                assert data.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-bom") and data.count(b"\r\n") == count + 1 == data.count(b"\n")
                result = o.json(SEKININ, "import", noun, path, "--replace")
                assert result["unchanged"] == count and result["added"] + result["changed"] + result["removed"] == 0, (noun, encoding, lang, result)
    assert not o.trail(event="directory-imported")


@office
def test_formulas_are_exported_inert_and_come_back_as_they_were(o):
    names = ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(1,2)", "'=1", "＝1+1", "'tis"]
    for i, name in enumerate(names):
        o.done(KANRI, "user", "add", "x%d" % i, "--person", "4%05d" % i, "--name", name, "--unit", "会計課")
    written = o.done(KANRI, "export", "user", "--encoding", "utf-8")
    for line in written.splitlines()[1:]:
        cells = line.replace('"', "").split(",")
        assert not any(c[:1] in "=+-@\t\r＝＋－＠" for c in cells if c), line
    assert "'=cmd|'/C calc'!A0" in written and "\"'@SUM(1,2)\"" in written and ",'tis," in written, written
    assert imported(o, written.encode())["unchanged"] == 10 + len(names)


@office
def test_a_character_that_cp932_lacks_is_an_error_and_no_file_is_left(o):
    o.done(KANRI, "user", "add", "soto", "--person", "100009", "--name", "𠮷田", "--unit", "会計課")
    o.done(KANRI, "user", "add", "yen", "--person", "100010", "--name", "¥記号", "--unit", "会計課")  # would come back as a backslash
    os.makedirs(o.dir + "/shared")
    os.chmod(o.dir + "/shared", 0o1777)
    r = o.ctl(KANRI, "export", "user", o.dir + "/shared/out.csv", "--encoding", "cp932")
    assert r.returncode == INVALID and "soto" in r.stderr and "𠮷" in r.stderr and "yen" in r.stderr and "UTF-8" in r.stderr, r
    assert os.listdir(o.dir + "/shared") == []
    o.done(KANRI, "export", "user", o.dir + "/shared/out.csv")
    assert os.listdir(o.dir + "/shared") == ["out.csv"]


@office
def test_errors_have_line_column_and_the_offending_text_and_nothing_is_changed(o):
    before = rows(o, "users", "account", "name")
    text = HEAD + "soto,100009,外部四郎,会計課\nbad/name,100010,だれか,会計課\n\"x\ny\",1,2,3\nkara,100011,,会計課\ngoro,1 2,五郎,会計課\n"
    found = [(e["line"], e.get("column"), e.get("field"), e.get("text")) for e in errors(o, KANRI, "import", "user", put(o, text))]
    assert found == [(3, 1, "account", "bad/name"), (4, 1, "account", "x\\x0d\\x0ay"), (6, 3, "name", ""), (7, 2, "person", "1 2")], found
    r = o.ctl(KANRI, "import", "user", put(o, text))
    assert "rows.csv:3: column 1 (account) \"bad/name\": " in r.stderr and "nothing was changed" in r.stderr, r.stderr
    assert rows(o, "users", "account", "name") == before and not o.trail(event="directory-imported")


@office
def test_what_is_no_csv_is_refused_with_its_place(o):
    for data, line, says in (
            (b"account,person\r\na\"b,1\r\n", 2, "quotation mark"),
            (b"account,person\r\n\"ab\"c,1\r\n", 2, "behind"),
            (b"account,person\r\na,1\r\n\"ab,1\r\n", 3, "no end"),
            (b"account\rperson\r", 1, "CR alone"),
            ("account,person\r\n".encode("utf-16"), 1, ""),
            (b"account,person\r\na,\x00\r\n", 2, "UTF-16"),
            (b"account,person,name,unit\r\na,1,b,c\r\nd,2", 3, "cut off"),
            (b"account,person\r\na,1,x\r\n", 2, "no heading"),
            (b"account,frob\r\n", 1, "there is no such column"),
            (b"account,person,account\r\n", 1, "stands twice"),
            (b"", 1, "first line"),
            ("account,name\r\nsoto,".encode() + b"\xff\xff\r\n", 2, "CP932")):
        found = errors(o, KANRI, "import", "user", put(o, data))
        assert found[0]["line"] == line and says in found[0]["message"], (data, found)
    assert "UTF-8" in errors(o, KANRI, "import", "user", put(o, NEW, encoding="cp932"), "--encoding", "utf-8")[0]["message"]
    r = o.ctl(KANRI, "import", "user", put(o, "person,name\n1,2\n"))
    assert r.returncode == INVALID and "account" in r.stderr, r
    o.refused(KANRI, "import", "user", o.dir + "/nowhere.csv", code=1)
    o.refused(KANRI, "import", "restriction", put(o, NEW), code=USAGE)
    o.refused(KANRI, "import", "user", put(o, NEW), "--encoding", "sjis", code=USAGE)


@office
def test_empty_lines_and_cells_that_excel_leaves_out_or_adds_are_taken(o):
    text = "account,person,name,unit,shared,,\nsoto,100009,外部,会計課\n,,,,,,\n\ngoro,100010,五郎,総務課,no,,\n"
    assert imported(o, text)["added"] == 2
    assert imported(o, (HEAD + "roku,100011,六郎,会計課").encode())["added"] == 1  # no line end at the end, but complete


@office
def test_a_key_that_is_there_twice_is_told_with_both_lines(o):
    found = errors(o, KANRI, "import", "user", put(o, HEAD + "soto,1,甲,会計課\ngoro,2,乙,会計課\nsoto,3,丙,会計課\n"))
    assert [(e["line"], e["text"]) for e in found] == [(4, "soto")] and "line 2" in found[0]["message"], found
    found = errors(o, KACHO, "import", "designation", put(o, "scope,subject\n会計,user:taro\n会計,user:taro\n"))
    assert found[0]["line"] == 3 and "line 2" in found[0]["message"], found


@office
def test_a_dry_run_shows_the_difference_and_changes_nothing(o):
    before, trail = rows(o, "users", "account", "name"), len(o.trail())
    text = "account,person,name,unit\nsoto,100009,外部四郎,会計課\ntaro,100002,鈴木次郎,会計課\nhanako,100001,山田花子,会計課\nkanri,%s,係員kanri,会計課\nmadoguchi,900001,窓口,会計課\n" % ("20%04d" % STAFF[KANRI])
    out = o.done(KANRI, "import", "user", put(o, text), "--dry-run")
    assert "+ soto\n" in out and "~ taro  name: \"鈴木太郎\" → \"鈴木次郎\"\n" in out and "1 added, 1 changed, 0 removed, 3 unchanged" in out and "dry run" in out, out
    result = imported(o, text, "--dry-run")
    assert [c["line"] for c in result["changes"]] == [2, 3] and result["dry_run"] and result["changes"][1]["before"]["name"] == "鈴木太郎", result
    assert rows(o, "users", "account", "name") == before and len(o.trail()) == trail
    wait_for("staged rows to be thrown away", lambda: not o.sql("SELECT 1 FROM import_rows"))


@office
def test_replace_removes_what_the_file_does_not_have(o):
    o.done(KACHO, "designation", "add", "--scope", "会計", "--subject", "user:taro")
    text = "scope,subject\n会計,user:jiro\n会計,user:hanako\n"
    out = o.done(SEKININ, "import", "designation", put(o, text), "--replace", "--dry-run")
    assert "- 会計 user:taro\n" in out and "- 会計 group:keiri\n" in out and "1 added, 0 changed, 3 removed, 1 unchanged" in out, out
    o.done(SEKININ, "import", "designation", put(o, text), "--replace")
    assert [r[0] for r in rows(o, "designations", "subject", "id")] == ["user:hanako", "user:jiro"]
    gone = [e for e in o.trail(event="directory-changed") if "KEISHI_AFTER" not in e]
    assert len(gone) == 3 and all("KEISHI_BEFORE" in e for e in gone)
    # what others refer to stays, and then so does everything
    r = o.ctl(KANRI, "import", "terminal", put(o, "name,unit\nT09,会計課\n"), "--replace")
    assert r.returncode == INVALID and "T09" not in str(rows(o, "terminals", "name", "unit")), r


@office
def test_a_unit_head_imports_and_replaces_only_what_is_of_the_own_unit(o):
    o.done(KANRI, "scope", "add", "庶務", "--business", "庶務", "--unit", "総務課", "--terminals", "name:T01")
    o.done(SEKININ, "designation", "add", "--scope", "庶務", "--subject", "unit:総務課")
    found = errors(o, KACHO, "import", "designation", put(o, "scope,subject\n庶務,unit:総務課\n会計,user:taro\n庶務,user:%s\n" % SOMU))
    assert found[0]["line"] == 4 and "unit" in found[0]["message"], found
    assert last(o, "change-refused")["KEISHI_REASON"] == "unit"
    result = o.json(KACHO, "import", "designation", put(o, "scope,subject\n会計,user:taro\n"), "--replace")
    assert result["added"] == 1 and result["removed"] == 2, result  # hanako and madoguchi; the group and the other unit are not the unit head's
    assert {r[0] for r in rows(o, "designations", "subject", "id")} == {"user:taro", "group:keiri", "unit:総務課"}


@office
def test_roles_and_own_rows_hold_for_every_row_of_an_import(o):
    for who in (KACHO, SOMU, HANAKO):
        o.refused(who, "import", "user", put(o, NEW))
    o.refused(KANRI, "import", "designation", put(o, "scope,subject\n会計,user:taro\n"))
    own = HEAD + "kanri,%s,別名,会計課\nsoto,100009,外部,会計課\n" % ("20%04d" % STAFF[KANRI])
    found = errors(o, KANRI, "import", "user", put(o, own))
    assert found[0]["line"] == 2 and "themselves" in found[0]["message"], found
    assert last(o, "change-refused")["KEISHI_REASON"] == "own-row"
    r = o.ctl(KANRI, "import", "user", put(o, HEAD + "soto,100009,外部,会計課\n"), "--replace")  # would remove the caller, too
    assert r.returncode != DONE and len(rows(o, "users", "account", "name")) == 10, r
    found = errors(o, KACHO, "import", "designation", put(o, "scope,subject\n会計,user:kacho\n"))
    assert "themselves" in found[0]["message"], found


@office
def test_an_import_shuts_out_neither_a_system_owner_nor_a_break_glass_account(o):
    owner = "account,retired\nsekinin,yes\n"
    r = o.ctl(KANRI, "import", "user", put(o, owner))
    assert r.returncode != DONE and "system owner" in r.stderr, r
    assert last(o, "change-refused")["KEISHI_REASON"] == "system-owner"
    assert o.ctl(KANRI, "import", "user", put(o, owner), "--dry-run").returncode != DONE
    o.write("etc/keishi/break-glass", "taro\n", 0o600)
    found = errors(o, KANRI, "import", "user", put(o, "account,unit\ntaro,総務課\n"))
    assert "break-glass" in found[0]["message"], found
    assert imported(o, "account,retired\njiro,yes\n")["changed"] == 1  # others are not in the way
    assert not o.sql("SELECT 1 FROM users WHERE account = 'sekinin' AND retired = 1")


@office
def test_a_deputy_imports_for_the_unit_and_the_trail_names_the_deputy(o):
    o.done(SEKININ, "deputy", "add", "--unit", "会計課", "--role", "unit-head", "--person", "20%04d" % STAFF[SOMU], "--from", "2020-01-01", "--until", "2099-12-31")
    assert o.json(SOMU, "import", "designation", put(o, "scope,subject\n会計,user:taro\n"))["added"] == 1
    assert last(o, "directory-changed").get("KEISHI_DEPUTY"), last(o, "directory-changed")


@office
def test_polkit_is_asked_once_for_an_import_and_once_for_an_export(o):
    asked = len(o.polkit_asked())
    assert imported(o, HEAD + users(1500))["added"] == 1500
    assert len(o.polkit_asked()) == asked + 1
    o.done(KANRI, "export", "user")
    assert len(o.polkit_asked()) == asked + 2
    o.polkit_says("no")
    o.refused(KANRI, "import", "user", put(o, NEW))
    o.refused(KANRI, "export", "user")


@office
def test_a_file_that_somebody_else_overtakes_is_a_conflict(o):
    process = ctl_process(o, KANRI, "import", "user", "-")
    process.stdin.write((HEAD + users(1000)).encode())
    process.stdin.flush()
    wait_for("rows to be staged", lambda: o.sql("SELECT count(*) FROM import_rows")[0][0] >= 400)
    o.refused(SEKININ, "import", "user", put(o, NEW), code=UNAVAILABLE, says="Another import")
    o.done(SEKININ, "user", "change", TARO, "--name", "次郎")
    process.stdin.close()
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait() == INVALID and b"somebody else" in err, (out, err)
    assert len(rows(o, "users", "account", "name")) == 10
    wait_for("staged rows to be thrown away", lambda: not o.sql("SELECT 1 FROM import_rows"))
    assert imported(o, NEW)["added"] == 2


def ctl_process(o, who, *arguments, **options):
    env = dict(o.names(), DBUS_SYSTEM_BUS_ADDRESS=o.bus_address)
    return subprocess.Popen([BUILD + "/agent/ctl/keishictl", *arguments], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            user=UIDS[who], group=UIDS[who], extra_groups=[], **options)


@office
def test_an_import_whose_caller_is_killed_halfway_leaves_nothing(o):
    process = ctl_process(o, KANRI, "import", "user", "-")
    process.stdin.write((HEAD + users(2000)).encode())
    process.stdin.flush()
    wait_for("rows to be staged", lambda: o.sql("SELECT count(*) FROM import_rows")[0][0] >= 1200)
    process.kill()
    process.communicate()
    wait_for("staged rows to be thrown away", lambda: not o.sql("SELECT 1 FROM import_rows"))
    assert len(rows(o, "users", "account", "name")) == 10 and not o.trail(event="directory-imported")
    assert imported(o, NEW)["added"] == 2


@office
def test_an_agent_killed_while_rows_are_staged_leaves_nothing(o):
    process = ctl_process(o, KANRI, "import", "user", "-")
    process.stdin.write((HEAD + users(2000)).encode())
    process.stdin.flush()
    wait_for("rows to be staged", lambda: o.sql("SELECT count(*) FROM import_rows")[0][0] >= 1200)
    o.stop_agent(signal.SIGKILL)
    process.stdin.close()
    process.stdout.read()
    assert process.wait() == UNAVAILABLE
    o.start_agent()
    wait_for("staged rows to be thrown away", lambda: not o.sql("SELECT 1 FROM import_rows"))
    assert len(rows(o, "users", "account", "name")) == 10
    wait_for("the agent on the bus", lambda: o.ctl(HANAKO, "status").returncode == DONE)
    assert imported(o, NEW)["added"] == 2


@office
def test_an_agent_killed_while_rows_are_applied_applies_the_rest_at_its_next_start(o):
    process = ctl_process(o, KANRI, "import", "user", put(o, HEAD + users(20000)))
    wait_for("rows to be applied", lambda: 10 < len(rows(o, "users", "account", "name")) < 20010, 60)
    o.stop_agent(signal.SIGKILL)
    process.communicate()
    assert 10 < len(rows(o, "users", "account", "name")) < 20010
    o.start_agent()
    wait_for("the rest", lambda: len(rows(o, "users", "account", "name")) == 20010, 60)
    wait_for("the end", lambda: not o.sql("SELECT 1 FROM imports"))
    assert [e["KEISHI_RESULT"] for e in o.trail(event="directory-imported")] == ["begun", "done"]
    changed = o.trail(event="directory-changed")
    assert len({e["KEISHI_OBJECT"] for e in changed if "import " in e.get("KEISHI_DETAIL", "")}) == 20000
    assert all(e["KEISHI_ACCOUNT"] == KANRI and e["KEISHI_PERSON"] == "20%04d" % STAFF[KANRI] for e in changed[-100:])


@office
def test_logins_and_restrictions_go_on_while_an_import_is_applied_and_other_changes_wait(o):
    process = ctl_process(o, KANRI, "import", "user", put(o, HEAD + users(30000)))
    wait_for("rows to be applied", lambda: 10 < len(rows(o, "users", "account", "name")), 60)
    times = []
    refused = None
    while process.poll() is None:
        began = time.monotonic()
        lines = o.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
        times.append(time.monotonic() - began)
        assert "auth=0" in lines and "account=0" in lines, lines
        if refused is None:
            refused = o.ctl(SEKININ, "user", "change", TARO, "--name", "次郎")
            restricted = o.ctl(SEKININ, "restriction", "add", "--account", JIRO, "--reason", "調査中")
    assert process.returncode == DONE and len(rows(o, "users", "account", "name")) == 30010
    assert refused.returncode == UNAVAILABLE and "an import is being applied" in refused.stderr, refused
    assert restricted.returncode == DONE, restricted
    assert times and max(times) < 5, times
    print("# logins during an import: %d, slowest %.0f ms" % (len(times), max(times) * 1000))
    process.communicate()


@office
def test_many_rows_show_progress_on_a_terminal(o):
    path = put(o, HEAD + users(20000))
    master, slave = pty.openpty()
    env = dict(o.names(), DBUS_SYSTEM_BUS_ADDRESS=o.bus_address)
    process = subprocess.Popen([BUILD + "/agent/ctl/keishictl", "import", "user", path], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave,
                               user=UIDS[KANRI], group=UIDS[KANRI], extra_groups=[])
    os.close(slave)
    seen = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    out = process.communicate()[0].decode()
    os.close(master)
    assert process.returncode == DONE and "20000 added" in out, (out, seen)
    assert b"rows read (" in seen and b"of 20000 rows written" in seen, seen


@office
def test_a_csv_of_a_gigabyte_costs_no_memory_and_is_refused(o):
    def peak(chunks):
        """Feeds it; its exit code, what it says, and its peak in KiB."""
        process, kb = ctl_process(o, KANRI, "import", "user", "-"), 0
        said = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
        reader.start()
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
                with open("/proc/%d/status" % process.pid) as f:
                    kb = max([kb] + [int(line.split()[1]) for line in f if line.startswith("VmHWM:")])
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.stdout.read()
        reader.join()
        return process.wait(), said[0], kb
    code, err, kb = peak([b"account,name\r\na,\""] + [b"x" * (1 << 20)] * 1024)
    assert code == INVALID and b"longer than a row" in err and kb < 20 << 10, (code, err, kb)
    code, err, kb = peak([HEAD.encode()] + [b"\r\n" * (1 << 19)] * 1024 + [b"soto,100009,x,y\r\n"])
    assert code == DONE and 0 < kb < 20 << 10, (code, err, kb)
    path = o.dir + "/big.csv"  # a file of that size, sparse: it is looked through for its encoding, and is no text
    with open(path, "wb") as f:
        f.write(b"account,name\r\na,b\r\n")
        f.truncate(1 << 30)
    os.chmod(path, 0o644)
    assert "UTF-16" in errors(o, KANRI, "import", "user", path)[0]["message"]


@office
def test_more_rows_than_an_import_may_have_are_refused_before_they_fill_anything(o):
    def lines():
        yield HEAD.encode()
        for i in range(0, 260000, 20000):
            yield users(20000, i).encode()
    process = ctl_process(o, KANRI, "import", "user", "-")
    feeder = threading.Thread(target=lambda: feed(process, lines()))
    feeder.start()
    err = process.stderr.read()
    assert process.wait() == INVALID and b"250000 rows" in err, err
    feeder.join()
    assert len(rows(o, "users", "account", "name")) == 10


def feed(process, chunks):
    try:
        for chunk in chunks:
            process.stdin.write(chunk)
        process.stdin.close()
    except BrokenPipeError:
        pass


@office
def test_methods_of_an_import_belong_to_the_connection_that_began_it(o):
    def call(who, method, *arguments):
        return subprocess.run(["busctl", "--address=" + o.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", method, *arguments], env=o.names(),
                              capture_output=True, text=True, user=UIDS[who], group=UIDS[who], extra_groups=[])
    process = ctl_process(o, KANRI, "import", "user", "-")
    process.stdin.write((HEAD + users(1000)).encode())
    process.stdin.flush()
    wait_for("rows to be staged", lambda: o.sql("SELECT count(*) FROM import_rows")[0][0] >= 400)
    for who in (SEKININ, KANRI, HANAKO):
        assert "no import of this connection" in call(who, "ImportRows", "s", '[[2,"x"]]').stderr
        assert "no import of this connection" in call(who, "ImportCommit").stderr
        call(who, "ImportAbort")
    process.stdin.close()
    process.stdout.read()
    assert process.wait() == DONE
    for options in ("", "{}", '{"columns":[]}', '{"columns":["account","account"]}', '{"columns":["frob"]}', '{"columns":"x"}', '{"frob":1}', "x"):
        assert call(KANRI, "ImportBegin", "ss", "user", options).returncode != 0, options
    assert call(KANRI, "ImportBegin", "ss", "restriction", '{"columns":["account"]}').returncode != 0
    assert imported(o, NEW)["added"] == 2


@office
def test_a_designation_is_known_by_scope_subject_and_terminals_or_else_by_its_id(o):
    for _ in range(2):
        o.done(KACHO, "designation", "add", "--scope", "会計", "--subject", "user:taro")
    found = errors(o, KACHO, "import", "designation", put(o, "scope,subject,hours\n会計,user:taro,mon-fri 08:30-17:15\n"))
    assert "several" in found[0]["message"] and "uuid" in found[0]["message"], found
    written = o.done(SEKININ, "export", "designation", "--ids", "--encoding", "utf-8").replace("\r\n", "\n")
    lines = [l for l in written.splitlines() if "user:taro" in l]
    changed = written.replace(lines[1], lines[1].replace("user:taro,,,,", "user:taro,,,mon-fri 08:30-17:15,"))
    result = o.json(SEKININ, "import", "designation", put(o, changed))
    assert result["changed"] == 1 and result["unchanged"] == 4, result
    found = errors(o, SEKININ, "import", "designation", put(o, "scope,subject,uuid\n会計,user:taro,12345678-0000-4000-8000-000000000000\n"))
    assert found[0]["column"] == 3, found


@office
def test_an_empty_cell_takes_a_value_away_and_leaves_the_review_date(o):
    path = put(o, "scope,subject,hours,review\n会計,user:taro,mon-fri 08:30-17:15,\n")
    assert o.json(KACHO, "import", "designation", path)["added"] == 1
    first = o.json(KACHO, "designation", "list", "--subject", "user:taro")[0]
    assert first["review"]
    assert o.json(KACHO, "import", "designation", path)["unchanged"] == 1
    assert o.json(KACHO, "import", "designation", put(o, "scope,subject,hours,review\n会計,user:taro,,\n"))["changed"] == 1
    row = o.json(KACHO, "designation", "list", "--subject", "user:taro")[0]
    assert "hours" not in row and row["review"] == first["review"], row


@office
def test_a_scope_is_renamed_by_its_id_but_not_to_a_name_that_is_taken(o):
    o.done(KANRI, "scope", "add", "庶務", "--business", "庶務", "--unit", "総務課", "--terminals", "name:T01")
    ids = {r["name"]: r["uuid"] for r in o.json(KANRI, "scope", "list")}
    found = errors(o, KANRI, "import", "scope", put(o, "uuid,name\n%s,会計\n" % ids["庶務"]))
    assert "already" in found[0]["message"], found
    found = errors(o, KANRI, "import", "scope", put(o, "uuid,name,business,unit,terminals\n%s,新,庶務,総務課,name:T01\n,新,庶務,総務課,name:T01\n" % ids["庶務"]))
    assert found[0]["line"] == 3, found
    assert o.json(KANRI, "import", "scope", put(o, "uuid,name\n%s,総務\n" % ids["庶務"]))["changed"] == 1


@office
def test_an_import_that_cannot_be_written_changes_nothing(o):
    import sqlite3
    db = sqlite3.connect(o.path(DB), isolation_level=None)
    process = ctl_process(o, KANRI, "import", "user", "-")
    process.stdin.write((HEAD + users(400)).encode())
    process.stdin.flush()
    wait_for("rows to be staged", lambda: o.sql("SELECT count(*) FROM import_rows")[0][0] >= 400)
    db.execute("BEGIN IMMEDIATE")
    process.stdin.close()
    process.stdout.read()
    assert process.wait() == UNAVAILABLE
    db.execute("ROLLBACK")
    db.close()
    assert len(rows(o, "users", "account", "name")) == 10
    wait_for("staged rows to be thrown away", lambda: not o.sql("SELECT 1 FROM import_rows"))
    assert imported(o, NEW)["added"] == 2


@office
def test_a_disk_that_an_import_does_not_fit_on_stays_usable_and_nothing_is_changed(o):
    o.stop_agent()
    state = o.path("var/lib/keishi")
    os.rename(state, state + ".disk")
    os.mkdir(state, 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", state], check=True)
    try:
        for name in os.listdir(state + ".disk"):
            subprocess.run(["cp", "-p", state + ".disk/" + name, state], check=True)
        o.start_agent()
        wait_for("the agent on the bus", lambda: o.ctl(HANAKO, "status").returncode == DONE)
        for n in (9000, 60000):
            r = o.ctl(KANRI, "import", "user", put(o, HEAD + users(n)))
            assert r.returncode == UNAVAILABLE and "room on the disk" in r.stderr, (n, r)
            wait_for("staged rows to be thrown away", lambda: not o.sql("SELECT 1 FROM import_rows"), 30)
            assert len(rows(o, "users", "account", "name")) == 10 and not o.trail(event="directory-imported")
            lines = o.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
            assert "auth=0" in lines and "account=0" in lines, (n, lines)
        assert imported(o, NEW)["added"] == 2
        o.stop_agent()
    finally:
        o.stop_agent()
        subprocess.run(["umount", "-l", state], check=True)


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP callers are real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    sys.exit(rig_main(globals()))
