# SPDX-License-Identifier: LGPL-2.1-or-later
"""Birth dates: personal data that keishid needs for passwords (R7) and tells to nobody else. Against a real keishid; see test_ctl.py."""
import glob
import json
import os
import sys

from rig import HANAKO, TARO, has_other_users, rig_main
from test_csv import put, rows
from test_ctl import ETSURAN, INVALID, KACHO, KANRI, REFUSED, SEKININ, TOCHOKU, USAGE, last, office

BIRTH, ERA = "1975-04-01", "S50.4.1"
WRITINGS = (BIRTH, ERA, "1975/4/1", "19750401")


def tells(text):
    return any(w in text for w in WRITINGS)


def nothing_is_in_the_trail(o):
    entries = json.dumps(o.trail(), ensure_ascii=False)
    assert not tells(entries), entries
    assert not tells("".join(str(r) for r in o.sql("SELECT CAST(entry AS TEXT) FROM outbox")))


@office
def test_a_birth_date_is_registered_in_each_usual_writing_and_recorded_without_its_value(o):
    for writing in (BIRTH, "1975/4/1", ERA, "昭和50年4月1日"):
        r = o.done(KANRI, "user", "change", TARO, "--birth", writing)
        assert not tells(r), r
        assert o.sql("SELECT birth FROM users WHERE account = 'taro'") == [(BIRTH,)], writing
    o.done(KANRI, "user", "change", TARO, "--birth", "1975-04-02")
    e = last(o, "directory-changed")
    assert json.loads(e["KEISHI_BEFORE"])["birth"] == "set" and json.loads(e["KEISHI_AFTER"])["birth"] == "changed", e
    o.done(KANRI, "user", "change", TARO, "--birth", "")
    e = last(o, "directory-changed")
    assert json.loads(e["KEISHI_BEFORE"])["birth"] == "set" and "birth" not in json.loads(e["KEISHI_AFTER"]), e
    added = o.json(KANRI, "user", "add", "soto", "--person", "100009", "--name", "外部四郎", "--unit", "会計課", "--birth", ERA)
    assert added["birth"] == "set"
    hired = o.json(KANRI, "user", "hire", "goro", "--person", "100010", "--name", "五郎", "--unit", "会計課", "--birth", ERA)
    assert hired["user"]["birth"] == "set" and o.sql("SELECT birth FROM users WHERE account = 'goro'") == [(BIRTH,)]
    o.done(KANRI, "user", "remove", "soto", "--reason", "試験")
    nothing_is_in_the_trail(o)


@office
def test_only_who_registers_users_is_shown_a_birth_date(o):
    o.done(KANRI, "user", "change", TARO, "--birth", BIRTH)
    for who in (KANRI, SEKININ):
        assert o.json(who, "user", "show", TARO)["birth"] == BIRTH, who
    for who in (KACHO, TOCHOKU, ETSURAN):
        shown = o.ctl(who, "user", "show", TARO, "--json").stdout
        assert json.loads(shown)["birth"] == "set", (who, shown)
    for who in (KANRI, SEKININ, KACHO, TOCHOKU, ETSURAN):
        for arguments in (("user", "list"), ("user", "list", "--json"), ("user", "list", "--account", TARO, "--json")):
            r = o.ctl(who, *arguments)
            assert r.returncode == 0 and not tells(r.stdout), (who, r)
    for who in (HANAKO, TARO):
        r = o.ctl(who, "user", "show", TARO, "--json")
        assert r.returncode == REFUSED and not tells(r.stdout + r.stderr), r
    nothing_is_in_the_trail(o)


@office
def test_nobody_finds_out_a_birth_date_by_looking_users_up(o):
    o.done(KANRI, "user", "change", TARO, "--birth", BIRTH)
    for who in (KANRI, KACHO, ETSURAN):
        assert o.ctl(who, "user", "list", "--birth", BIRTH).returncode == USAGE
        for wanted in (BIRTH, "1975-04-02"):
            r = o.ctl(who, "user", "list", "--fields", "-", stdin=json.dumps({"birth": wanted}))
            assert r.returncode in (USAGE, INVALID) and TARO not in r.stdout, r


@office
def test_birth_dates_are_exported_only_when_asked_and_only_by_the_system_manager(o):
    o.done(KANRI, "user", "change", TARO, "--birth", BIRTH)
    for who in (KANRI, KACHO, ETSURAN):
        text = o.done(who, "export", "user", "--lang", "en")
        assert "birth" not in text and not tells(text), (who, text)
    text = o.done(KANRI, "export", "user", "--private", "--lang", "ja")
    assert "生年月日" in text.splitlines()[0] and "," + BIRTH in next(x for x in text.splitlines() if x.startswith(TARO + ",")), text
    o.done(KANRI, "user", "change", TARO, "--name", "鈴木二郎")
    assert o.json(KANRI, "import", "user", put(o, text.replace("鈴木二郎", "鈴木太郎").encode("utf-8")))["changed"] == 1
    assert o.sql("SELECT birth FROM users WHERE account = 'taro'") == [(BIRTH,)]
    os.mkdir(o.dir + "/out")
    os.chmod(o.dir + "/out", 0o777)
    for who in (KACHO, ETSURAN):
        path = o.dir + "/out/births.csv"
        r = o.ctl(who, "export", "user", path, "--private")
        assert r.returncode == REFUSED and not tells(r.stdout + r.stderr) and not glob.glob(path + "*"), r
    assert o.done(KACHO, "export", "member", "--private")


@office
def test_birth_dates_are_imported_as_excel_writes_them_and_a_dry_run_shows_only_that_they_change(o):
    o.done(KANRI, "user", "change", TARO, "--birth", "1975-04-02")
    path = put(o, "利用者,生年月日\ntaro,1975/4/1\nhanako,S50.4.1\njiro,\n", encoding="cp932")
    r = o.ctl(KANRI, "import", "user", path, "--dry-run")
    assert r.returncode == 0 and "changed" in r.stdout and not tells(r.stdout), r
    assert o.json(KANRI, "import", "user", path)["changed"] == 2
    assert dict(rows(o, "users", "account", "birth")) == dict(dict.fromkeys(dict(rows(o, "users", "account", "birth"))), taro=BIRTH, hanako=BIRTH)
    e = [e for e in o.trail(event="directory-changed") if e.get("KEISHI_TARGET") == TARO][-1]
    assert json.loads(e["KEISHI_BEFORE"])["birth"] == "set" and json.loads(e["KEISHI_AFTER"])["birth"] == "changed", e
    nothing_is_in_the_trail(o)
    bad = put(o, "account,birth\ntaro,1975/2/29\nhanako,1899-12-31\njiro,2999-01-01\nmadoguchi,1975-04-01\n")
    r = o.ctl(KANRI, "import", "user", bad, "--json")
    found = [(e["line"], e["column"]) for e in json.loads(r.stderr)["errors"]]
    assert r.returncode == INVALID and found == [(2, 2), (3, 2), (4, 2), (5, 2)], r
    nothing_is_in_the_trail(o)


@office
def test_a_column_that_is_missing_leaves_birth_dates_and_another_change_keeps_them(o):
    o.done(KANRI, "user", "change", TARO, "--birth", BIRTH)
    o.done(KANRI, "user", "change", TARO, "--name", "鈴木二郎")
    assert o.json(KANRI, "import", "user", put(o, "account,name\ntaro,鈴木三郎\n"))["changed"] == 1
    assert o.sql("SELECT birth FROM users WHERE account = 'taro'") == [(BIRTH,)]
    assert o.json(KANRI, "user", "show", TARO)["version"] == 4


@office
def test_no_birth_date_reaches_a_file_but_the_registry(o):
    o.done(KANRI, "user", "change", TARO, "--birth", BIRTH)
    o.json(KANRI, "import", "user", put(o, "account,birth\nhanako,S50.4.1\n", "births.csv"))
    o.stop_agent()
    found = set()
    for directory, _, names in os.walk(o.dir):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path) and any(w.encode() in open(path, "rb").read() for w in WRITINGS):
                found.add(name)
    assert found <= {"births.csv", "registry.db", "registry.db-wal"}, found


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP callers are real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    sys.exit(rig_main(globals()))
