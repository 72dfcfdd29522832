# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backup and restore of the directory: all or nothing, only by its passphrase, and never the identity of a terminal."""
import ctypes
import fcntl
import hashlib
import hmac
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import termios
import threading

import rig
from rig import BUILD, HANAKO, SETUP, TARO, has_other_users, rig_main, wait_for
from test_ctl import DONE, INVALID, KACHO, KANRI, SEKININ, UIDS, USAGE, Office, last, office
from test_life import gets_in, identity, start, status

SECRET = "umenoki ni uguisu\n"
DIRECTORY = ("users", "members", "terminals", "scopes", "designations", "restrictions", "deputies")


def shared(o, name="backup.keishi"):
    os.makedirs(o.dir + "/shared", exist_ok=True)
    os.chmod(o.dir + "/shared", 0o1777)
    return o.dir + "/shared/" + name


def passphrase(o, who=KANRI, text=SECRET):
    path = shared(o, "passphrase-" + who)
    if not os.path.exists(path):
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o600)
        os.chown(path, UIDS[who], UIDS[who])
    return "--passphrase-file=" + path


def back_up(o, who=KANRI, name="backup.keishi"):
    path = shared(o, name)
    o.done(who, "backup", path, passphrase(o, who))
    os.chmod(path, 0o644)
    return path


def restored(o, path, *options, who=KANRI):
    return o.json(who, "restore", path, passphrase(o, who), *options)


def directory(o):
    """All live rows but for what a restore is free to count on (version, updated, origin)."""
    rows = {}
    for table in DIRECTORY:
        names = [n for n in (c[1] for c in o.sql("PRAGMA table_info(%s)" % table)) if n not in ("id", "version", "updated", "origin", "deleted")]
        names = ["(SELECT uuid FROM scopes s WHERE s.id = n.scope)" if n == "scope" else "n." + n for n in names]
        rows[table] = sorted(o.sql("SELECT %s FROM %s n WHERE deleted = 0" % (", ".join(names), table)), key=str)
    return rows


def fill(o):
    """A directory with something of every kind in it."""
    o.done(KACHO, "designation", "add", "--scope", "会計", "--subject", "user:taro", "--hours", "mon-fri 08:30-17:15", "--until", "2099-03-31")
    o.done(KANRI, "terminal", "add", "T02", "--unit", "総務課", "--purpose", "窓口")
    o.done(KANRI, "scope", "add", "庶務", "--business", "庶務", "--unit", "総務課", "--terminals", "name:T02")
    o.done(KANRI, "user", "add", "soto", "--person", "100009", "--name", "外部四郎", "--unit", "総務課", "--birth", "1975-04-01")
    o.done(SEKININ, "deputy", "add", "--unit", "会計課", "--role", "unit-head", "--person", "100009", "--until", "2099-12-31")


@office
def test_a_directory_comes_back_from_a_backup_as_it_was(o):
    fill(o)
    path, before = back_up(o), directory(o)
    backed_up = last(o, "directory-backed-up")
    assert backed_up["KEISHI_ACCOUNT"] == KANRI and int(backed_up["KEISHI_COUNT"]) == sum(map(len, before.values())), backed_up
    result = restored(o, path)
    assert all(n["added"] == n["changed"] == n["removed"] == 0 for n in result["nouns"].values()), result
    assert directory(o) == before

    o.done(KANRI, "user", "change", "taro", "--name", "鈴木次郎")
    o.done(KACHO, "designation", "remove", o.json(KACHO, "designation", "list", "--subject", "user:taro")[0]["uuid"], "--reason", "x")
    o.done(KANRI, "terminal", "add", "T03", "--unit", "会計課")
    o.done(KANRI, "scope", "change", "庶務", "--name", "総務")
    o.done(KANRI, "scope", "add", "庶務", "--business", "別", "--unit", "会計課", "--terminals", "name:T01")  # the name is taken meanwhile
    assert not gets_in(o, TARO)
    dry = restored(o, path, "--dry-run")
    assert dry["dry_run"] and dry["nouns"]["user"]["changed"] == 1 and dry["nouns"]["terminal"]["removed"] == 1, dry
    assert {(c["noun"], c["change"]) for c in dry["changes"]} == {("user", "changed"), ("designation", "added"), ("terminal", "removed"), ("scope", "changed"), ("scope", "removed")}, dry
    assert "1975" not in json.dumps(dry)
    out = o.done(KANRI, "restore", path, passphrase(o), "--dry-run")
    assert "~ user taro" in out and "鈴木次郎" in out and "- terminal T03" in out and "dry run" in out, out
    assert directory(o) != before and not [e for e in o.trail(event="directory-restored") if e["KEISHI_COUNT"] != "0"]

    restored(o, path)
    assert directory(o) == before and gets_in(o, TARO)
    entry = last(o, "directory-restored")
    with open(path, "rb") as f:
        assert entry["KEISHI_HASH"] == hashlib.sha256(f.read()).hexdigest()
    assert entry["KEISHI_ACCOUNT"] == KANRI and entry["KEISHI_COUNT"] == "5" and "T01" in entry["KEISHI_DETAIL"], entry
    assert identity(o)["state"] == "right"
    assert o.sql("SELECT birth FROM users WHERE account = 'soto'") == [("1975-04-01",)]
    assert not o.sql("SELECT 1 FROM restore_rows")
    versions = dict(o.sql("SELECT account, version FROM users WHERE deleted = 0"))
    assert versions["taro"] == 3, "a version never goes back"


@office
def test_a_backup_shows_nothing_without_its_passphrase(o):
    fill(o)
    path = back_up(o)
    with open(path, "rb") as f:
        data = f.read()
    for word in ("山田花子", "hanako", "keishi-directory", "1975"):
        assert word.encode() not in data, word
    o.done(KANRI, "backup", shared(o, "second"), passphrase(o))
    st = os.stat(shared(o, "second"))
    assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == UIDS[KANRI]
    wrong = shared(o, "wrong")
    with open(wrong, "w") as f:
        f.write("kono ume dewa nai\n")
    os.chmod(wrong, 0o600)
    os.chown(wrong, UIDS[KANRI], UIDS[KANRI])
    o.refused(KANRI, "restore", path, "--passphrase-file", wrong, code=INVALID, says="passphrase")
    os.chmod(wrong, 0o644)
    o.refused(KANRI, "restore", path, "--passphrase-file", wrong, code=1, says="0600")
    with open(wrong, "w") as f:
        f.write("kurz\n")
    os.chmod(wrong, 0o600)
    o.refused(KANRI, "backup", shared(o, "third"), "--passphrase-file", wrong, code=INVALID, says="12 bytes")
    o.refused(KANRI, "backup", shared(o, "third"), code=USAGE, says="passphrase-file")
    assert not os.path.exists(shared(o, "third"))


def at_a_terminal(o, answers, *arguments):
    """Runs keishictl as the system manager at a terminal of its own, types each answer when there is another question; the code and all that was shown."""
    master, slave = pty.openpty()
    env = dict(o.names(), DBUS_SYSTEM_BUS_ADDRESS=o.bus_address)
    process = subprocess.Popen([BUILD + "/agent/ctl/keishictl", *arguments], env=env, stdin=slave, stdout=slave, stderr=slave, user=UIDS[KANRI], group=UIDS[KANRI], extra_groups=[],
                               start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(slave)
    shown, answers = b"", list(answers)
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
        if answers and data.rstrip(b" ").endswith(b":"):
            os.write(master, answers.pop(0).encode() + b"\n")
    os.close(master)
    return process.wait(), shown.decode()


@office
def test_at_a_terminal_the_passphrase_is_asked_for_twice_and_not_shown(o):
    path, secret = shared(o), SECRET.strip()
    code, shown = at_a_terminal(o, [secret, secret + "x"], "backup", path)
    assert code == 1 and "not the same" in shown and not os.path.exists(path), shown
    code, shown = at_a_terminal(o, [secret, secret], "backup", path)
    assert code == DONE and shown.count("assphrase") >= 2 and secret not in shown, shown
    code, shown = at_a_terminal(o, [secret], "restore", path, "--dry-run")
    assert code == DONE and "dry run" in shown and secret not in shown, shown


@office
def test_a_backup_that_is_cut_off_turned_or_not_one_changes_nothing(o):
    fill(o)
    path, before = back_up(o), directory(o)
    o.done(KANRI, "user", "change", "taro", "--name", "鈴木次郎")
    with open(path, "rb") as f:
        data = f.read()
    after, broken = directory(o), shared(o, "broken")
    for bad, says in ((data[:-1], "cut off"), (data[:200], "cut off"), (data[:70], "cut off"), (b"", "cut off"), (data + b"x", "altered"),
                      (data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], "altered"), (b"PK\3\4" + data[4:], "not a backup"), (data[:17] + b"\2" + data[18:], "newer")):
        with open(broken, "wb") as f:
            f.write(bad)
        os.chmod(broken, 0o644)
        r = o.ctl(KANRI, "restore", broken, passphrase(o))
        assert r.returncode == INVALID and (says in r.stderr or not bad) and "nothing was changed" in r.stderr, (says, r)
    assert directory(o) == after != before and not o.trail(event="directory-restored")
    wait_for("what was staged to be thrown away", lambda: not o.sql("SELECT 1 FROM restore_rows"))


@office
def test_only_system_managers_back_up_and_restore_and_polkit_is_asked(o):
    path = back_up(o)
    for who in (KACHO, HANAKO, "soto", "root"):
        o.refused(who, "backup", shared(o, "x-" + who), passphrase(o, who))
        assert not os.path.exists(shared(o, "x-" + who))
        o.refused(who, "restore", path, passphrase(o, who))
    asked = len(o.polkit_asked())
    restored(o, path)
    assert len(o.polkit_asked()) == asked + 1
    o.polkit_says("no")
    o.refused(KANRI, "backup", shared(o, "y"), passphrase(o))
    o.refused(KANRI, "restore", path, passphrase(o))
    o.polkit_says("yes")
    restored(o, path, who=SEKININ)


@office
def test_a_restore_gives_nobody_back_what_was_taken(o):
    fill(o)
    path = back_up(o)
    o.done(SEKININ, "restriction", "add", "--person", "100002", "--reason", "調査中")
    o.done(KANRI, "user", "change", "jiro", "--retired", "yes")
    o.done(KANRI, "terminal", "retire", "T02", "--reason", "廃棄")
    result = restored(o, path)["nouns"]
    assert result["restriction"]["kept"] == 1 and result["user"]["kept"] == 1 and result["terminal"]["kept"] == 1, result
    assert not gets_in(o, TARO) and last(o, "login-refused")["KEISHI_REASON"] == "restricted"
    assert o.json(KANRI, "user", "show", "jiro")["retired"] and o.json(KANRI, "terminal", "show", "T02")["retired"]
    # a restriction that was lifted since is in force again
    o.done(SEKININ, "restriction", "lift", o.json(SEKININ, "restriction", "list")[0]["uuid"], "--reason", "x")
    row = o.json(SEKININ, "restriction", "add", "--account", HANAKO, "--reason", "x")
    path = back_up(o)
    o.done(SEKININ, "restriction", "lift", row["uuid"], "--reason", "x")
    assert restored(o, path)["nouns"]["restriction"]["added"] == 1 and not gets_in(o)


@office
def test_a_backup_that_would_leave_no_system_manager_or_no_terminal_is_refused(o):
    path = back_up(o)
    o.done(SEKININ, "user", "add", "soto", "--person", "100009", "--name", "外部四郎", "--unit", "会計課")
    with open(o.path("etc/group")) as f:
        group = f.read()
    o.write("etc/group", group.replace("keishi-system-manager:x:4000:kanri", "keishi-system-manager:x:4000:kanri,soto"))
    o.stop_agent()
    start(o)
    r = o.ctl("soto", "restore", path, passphrase(o, "soto"))
    assert r.returncode == INVALID and "soto" in r.stderr and "system manager" in r.stderr, r
    assert last(o, "change-refused")["KEISHI_REASON"] == "backup"
    row = o.json(SEKININ, "restriction", "add", "--account", TARO, "--reason", "x")
    path = back_up(o, name="restricted")
    o.done(SEKININ, "restriction", "lift", row["uuid"], "--reason", "x")
    o.write("etc/keishi/break-glass", "taro\n")
    r = o.ctl(KANRI, "restore", path, passphrase(o))
    assert r.returncode == INVALID and "break-glass" in r.stderr, r
    o.write("etc/keishi/break-glass", "nopassword\n")
    assert gets_in(o) and o.json(KANRI, "user", "show", "soto")


def test_on_new_hardware_the_directory_comes_over_and_the_identity_does_not():
    with Office() as old:
        fill(old)
        path, before, first = back_up(old), directory(old), identity(old)
        with open(path, "rb") as f:
            data = f.read()
        uuid = old.json(KANRI, "terminal", "show", "T01")["uuid"]
    with Office() as new:
        copy = shared(new)
        with open(copy, "wb") as f:
            f.write(data)
        os.chmod(copy, 0o644)
        result = restored(new, copy)
        assert result["took_over"] == "T01", result
        i, row = identity(new), new.json(KANRI, "terminal", "show", "T01")
        assert row["uuid"] == uuid and i["key"] != first["key"] and row["key"] == i["key"] and i["state"] == "right", (row, i)
        assert i["epoch"].startswith("2-") and row["epoch"] == 2, "the terminal's second epoch, though this machine's first one"
        after = directory(new)
        assert {t: after[t] for t in after if t != "terminals"} == {t: before[t] for t in before if t != "terminals"}
        entry = last(new, "directory-restored")
        assert entry["KEISHI_TERMINAL_UUID"] == uuid and entry["KEISHI_EPOCH"] == i["epoch"], entry
        assert gets_in(new) and gets_in(new, TARO)
        new.stop_agent()
        start(new)
        assert identity(new) == i and gets_in(new)
    setup = dict(SETUP, terminal=dict(SETUP["terminal"], name="T77"))
    kept, rig.SETUP = rig.SETUP, setup
    try:
        with Office() as other:
            copy = shared(other)
            with open(copy, "wb") as f:
                f.write(data)
            os.chmod(copy, 0o644)
            r = other.ctl(KANRI, "restore", copy, passphrase(other))
            assert r.returncode == INVALID and "T77" in r.stderr and "set this one up under a name" in r.stderr, r
            assert status(other)["terminal"]["name"] == "T77"
    finally:
        rig.SETUP = kept


def many(o, n):
    rows = "".join("u%06d,%07d,職員%06d,会計課\n" % (i, 3000000 + i, i) for i in range(n))
    with open(shared(o, "users.csv"), "w") as f:
        f.write("account,person,name,unit\n" + rows)
    os.chmod(shared(o, "users.csv"), 0o644)
    o.done(KANRI, "import", "user", shared(o, "users.csv"))


@office
def test_an_agent_or_caller_killed_in_the_middle_of_a_restore_leaves_all_or_nothing(o):
    many(o, 6000)
    path, full = back_up(o), directory(o)
    for i in range(0, 30):
        o.done(KANRI, "user", "change", "u%06d" % i, "--name", "変更")
    few = directory(o)
    seen = set()
    for number in range(4):
        process = o.start(KANRI, "restore", path, passphrase(o))
        if number % 2:
            wait_for("rows to be staged", lambda: process.poll() is not None or o.sql("SELECT count(*) FROM restore_rows")[0][0] > 1000 * number, 60)
            process.kill()
        else:
            wait_for("rows to be staged", lambda: process.poll() is not None or o.sql("SELECT count(*) FROM restore_rows")[0][0] > 5000, 60)
            threading.Event().wait(0.05 * number)
            o.stop_agent(signal.SIGKILL)
        process.communicate()
        if o.agent.poll() is not None:
            start(o)
        wait_for("what was staged to be thrown away", lambda: not o.sql("SELECT 1 FROM restore_rows"))
        now = directory(o)
        assert now in (full, few), "neither as it was nor as the backup"
        seen.add(now == full)
    assert False in seen
    restored(o, path)
    assert directory(o) == full and o.sql("PRAGMA integrity_check") == [("ok",)]


@office
def test_a_restore_meets_an_import_and_a_change_meanwhile(o):
    many(o, 3000)
    path = back_up(o)
    process = o.start(KANRI, "restore", path, passphrase(o))
    wait_for("rows to be staged", lambda: o.sql("SELECT count(*) FROM restore_rows")[0][0] > 0)
    refused = o.ctl(SEKININ, "restore", path, passphrase(o, SEKININ))
    changed = o.ctl(SEKININ, "user", "change", TARO, "--name", "次郎")
    out, err = process.communicate()
    assert refused.returncode in (5, DONE) and changed.returncode == DONE, (refused, changed)
    assert process.returncode == INVALID and "somebody else" in err or process.returncode == DONE, (out, err)


def test_a_full_disk_in_a_restore_changes_nothing():
    with Office(state_size=40 << 20) as o:
        many(o, 4000)
        path, before = back_up(o), None
        for i in range(20):
            o.done(KANRI, "user", "change", "u%06d" % i, "--name", "変更")
        before = directory(o)
        with open(o.path("var/lib/keishi/filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        r = o.ctl(KANRI, "restore", path, passphrase(o))
        assert r.returncode == 5, r
        assert directory(o) == before
        os.unlink(o.path("var/lib/keishi/filler"))
        assert restored(o, path)["nouns"]["user"]["changed"] == 20


@office
def test_methods_of_a_restore_take_nothing_but_rows_of_their_own_caller(o):
    before = directory(o)

    def call(who, method, *arguments):
        return subprocess.run(["busctl", "--address=" + o.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", method, *arguments], env=o.names(),
                              capture_output=True, text=True, user=UIDS[who], group=UIDS[who], extra_groups=[])
    for method, arguments in (("RestoreRows", ("ss", "user", "[]")), ("RestoreCommit", ("s", "{}"))):
        for who in (KANRI, KACHO, HANAKO):
            assert "no restore of this connection" in call(who, method, *arguments).stderr
    assert "no backup of this connection" in call(KANRI, "Backup", "t", "5").stderr
    call(HANAKO, "RestoreAbort")
    assert directory(o) == before and o.agent.poll() is None


@office
def test_a_backup_made_up_by_who_knows_the_format_is_checked_row_by_row(o):
    """The container is right, the content is not: each of these is refused, and says why."""
    head = {"format": "keishi-directory", "version": 1, "terminal": "T01", "made_usec": 1, "nouns": ["user", "member", "terminal", "scope", "designation", "restriction", "deputy", "credential"]}
    uuid = "12345678-0000-4000-8000-00000000000%d"
    user = {"uuid": uuid % 1, "version": 1, "values": {"account": "soto", "person": "100009", "name": "外部", "unit": "会計課", "shared": 0, "retired": 0}}
    before = directory(o)

    def attempt(*lines):
        path = shared(o, "made-up")
        with open(path, "wb") as f:
            f.write(vault(SECRET.strip(), "".join(json.dumps(line) + "\n" for line in lines).encode()))
        os.chmod(path, 0o644)
        r = o.ctl(KANRI, "restore", path, passphrase(o))
        assert r.returncode == INVALID and directory(o) == before, (lines, r)
        return r.stderr

    def row(noun, r):
        return {"noun": noun, "row": r}
    assert "content" in attempt()
    assert "content" in attempt({"end": 0})
    assert "newer" in attempt(dict(head, version=2), {"end": 0})
    assert "content" in attempt(dict(head, format="x"), {"end": 0})
    assert "content" in attempt(head)
    assert "content" in attempt(head, row("user", user), {"end": 2})
    assert "content" in attempt(head, row("user", user), {"end": 1}, row("user", user))
    assert "newer" in attempt(head, row("frob", user), {"end": 1})
    assert "every kind" in attempt(dict(head, nouns=["user"]), row("user", user), {"end": 1})
    assert "twice" in attempt(head, row("user", user), row("user", user), {"end": 2})
    assert "a uuid" in attempt(head, row("user", dict(user, uuid="x")), {"end": 1})
    assert "no \"frob\"" in attempt(head, row("user", dict(user, values=dict(user["values"], frob=1))), {"end": 1})
    assert "account" in attempt(head, row("user", dict(user, values=dict(user["values"], account="a/b"))), {"end": 1})
    assert "shared" in attempt(head, row("user", dict(user, values=dict(user["values"], shared=7))), {"end": 1})
    assert "needed" in attempt(head, row("user", dict(user, values={"account": "soto"})), {"end": 1})
    assert "two users" in attempt(head, row("user", user), row("user", dict(user, uuid=uuid % 2)), {"end": 2})
    designation = {"uuid": uuid % 3, "version": 1, "values": {"scope": uuid % 4, "subject": "user:soto", "review": 5}}
    assert "scope" in attempt(head, row("user", user), row("designation", designation), {"end": 2})
    assert "no shared ID" in attempt(head, row("user", user), row("member", {"uuid": uuid % 5, "version": 1, "values": {"account": "soto", "person": "1"}}), {"end": 2})
    assert "kanri" in attempt(head, row("user", user), {"end": 1})
    assert "content" in attempt(head, {"x": "y" * 70000}, {"end": 0})


def vault(secret, text):
    """A container as util/vault.h describes it, made by other means: AES-GCM by way of libcrypto, scrypt of Python."""
    lib = ctypes.CDLL("libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
        getattr(lib, name).restype = ctypes.c_void_p
    salt = os.urandom(16)
    head = b"keishi backup\n\0\0" + b"\0\1" + bytes([14, 8, 1, 0]) + (65536).to_bytes(4, "big") + bytes(6) + salt
    keys = hashlib.scrypt(secret.encode(), salt=salt, n=1 << 14, r=8, p=1, maxmem=1 << 26, dklen=64)
    head += hmac.new(keys[32:], head, "sha256").digest()
    out, index = head, 0
    while True:
        piece, text = text[:65536], text[65536:]
        end = not text
        length = (len(piece) | (0x80000000 if end else 0)).to_bytes(4, "big")
        context = ctypes.c_void_p(lib.EVP_CIPHER_CTX_new())
        n, sealed, tag = ctypes.c_int(), ctypes.create_string_buffer(len(piece) + 16), ctypes.create_string_buffer(16)
        nonce = index.to_bytes(8, "big") + bytes([0, 0, 0, end])
        assert lib.EVP_EncryptInit_ex(context, ctypes.c_void_p(lib.EVP_aes_256_gcm()), None, keys[:32], nonce) == 1
        for data in (head, length):
            lib.EVP_EncryptUpdate(context, None, ctypes.byref(n), data, len(data))
        lib.EVP_EncryptUpdate(context, sealed, ctypes.byref(n), piece, len(piece))
        assert lib.EVP_EncryptFinal_ex(context, None, ctypes.byref(n)) == 1 and lib.EVP_CIPHER_CTX_ctrl(context, 0x10, 16, tag) == 1
        lib.EVP_CIPHER_CTX_free(context)
        out += length + sealed.raw[:len(piece)] + tag.raw
        index += 1
        if end:
            return out


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP callers are real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    sys.exit(rig_main({n: f for n, f in globals().items() if getattr(f, "__module__", "") in ("__main__", "test_ctl")}))
