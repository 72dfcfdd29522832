# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the built programs are made of, read from their ELF headers: what the module exports and needs, and the hardening of each installed program."""
import glob
import json
import os
import platform
import subprocess
import sys

BUILD = os.environ["BUILD_ROOT"]
PAM_SYMBOLS = {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt", "pam_sm_open_session", "pam_sm_close_session", "pam_sm_chauthtok"}
PROGRAMS = {"keishid", "keishi-lookup", "keishi-password", "keishi-quality", "keishi-fingerprint", "keishictl"}


def binaries():
    with open(BUILD + "/meson-info/intro-targets.json") as f:
        targets = json.load(f)
    found = {}
    for t in targets:
        if t["installed"] and t["type"] in ("executable", "shared module", "shared library"):
            for name in t["filename"]:
                found[os.path.basename(name)] = name
    return found


def option(name):
    with open(BUILD + "/meson-info/intro-buildoptions.json") as f:
        return next(o["value"] for o in json.load(f) if o["name"] == name)


FILES = binaries()
MODULE = FILES["pam_keishi.so"]


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ, LC_ALL="C")).stdout


def dynamic(path, tag):
    return [line for line in run("readelf", "--wide", "--dynamic", path).splitlines() if "(%s)" % tag in line]


def undefined(path):
    return {line.split()[-1].split("@")[0] for line in run("nm", "--dynamic", "--undefined-only", path).splitlines()}


def each(check):
    wrong = [name for name, path in FILES.items() if not check(path)]
    assert not wrong, wrong


def test_the_programs_and_the_module_are_looked_at():
    assert PROGRAMS | {"pam_keishi.so"} <= set(FILES), sorted(FILES)


def test_the_module_exports_the_six_functions_of_pam_and_nothing_else():
    exported = {line.split()[-1].split("@")[0] for line in run("nm", "--dynamic", "--defined-only", MODULE).splitlines()}
    assert exported == PAM_SYMBOLS, sorted(exported)


def test_the_module_needs_libpam_and_libc_only():
    needed = {line.split("[")[1].rstrip("]") for line in dynamic(MODULE, "NEEDED")}
    allowed = {"libpam.so.0", "libc.so.6"}
    if option("b_sanitize") != "none":
        allowed |= {n for n in needed if n.startswith(("libasan.", "libubsan."))}
    assert needed == allowed, sorted(needed)


def test_the_agent_links_no_library_of_the_network_or_of_pam():
    needed = {line.split("[")[1].rstrip("]").split(".so")[0] for line in dynamic(FILES["keishid"], "NEEDED")}
    assert not needed & {"libcurl", "libssl", "libpam", "libldap", "libnss_sss"}, sorted(needed)


def test_addresses_are_random():
    each(lambda path: "Type:                              DYN" in run("readelf", "--file-header", path))
    for name in PROGRAMS:
        assert any("PIE" in line for line in dynamic(FILES[name], "FLAGS_1")), name


def test_relocations_are_read_only_and_done_at_the_start():
    each(lambda path: "GNU_RELRO" in run("readelf", "--wide", "--program-headers", path))
    each(lambda path: any("NOW" in line for line in dynamic(path, "FLAGS_1")))
    each(lambda path: not dynamic(path, "TEXTREL"))


def test_nothing_is_both_writable_and_executable():
    def check(path):
        rows = [line.split() for line in run("readelf", "--wide", "--program-headers", path).splitlines()]
        flags = ["".join(r[6:-1]) for r in rows if r and r[0] in ("LOAD", "GNU_STACK")]
        return flags and all(not ("W" in f and "E" in f) for f in flags) and any(r and r[0] == "GNU_STACK" for r in rows)
    each(check)


def test_stacks_are_protected():
    each(lambda path: "__stack_chk_fail" in undefined(path))


def test_functions_of_the_c_library_check_sizes():
    if option("b_sanitize") != "none" or option("optimization") in ("0", "plain"):
        return
    each(lambda path: any(s.endswith("_chk") for s in undefined(path)))


def test_control_flow_is_protected():
    """Each object of ours is marked for IBT and SHSTK. A program carries the mark when all it is linked from does: the start files of
    Debian 12's libc do not, so there it stays off; where they do, it must be on."""
    if platform.machine() != "x86_64":
        return
    mark = "x86 feature: IBT, SHSTK"
    directories = [d for d in glob.glob(BUILD + "/agent/**/*.p", recursive=True) + glob.glob(BUILD + "/pam_keishi/*.p") if os.path.isdir(d)]
    objects = [o for d in directories for o in glob.glob(d + "/*.o")]
    unmarked = [o for o in objects if mark not in run("readelf", "--wide", "--notes", o)]
    assert len(objects) > 50 and not unmarked, (len(objects), unmarked)
    start = run("cc", "-print-file-name=Scrt1.o").strip(), run("cc", "-print-file-name=crti.o").strip()
    if all(mark in run("readelf", "--wide", "--notes", f) for f in start):
        each(lambda path: mark in run("readelf", "--wide", "--notes", path))


def test_libraries_are_looked_for_where_the_system_has_them():
    each(lambda path: not dynamic(path, "RPATH") and not dynamic(path, "RUNPATH"))


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    print("1..%d" % len(tests))
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print("ok %d %s" % (number, name))
        except (AssertionError, subprocess.CalledProcessError) as e:
            print("not ok %d %s\n# %s" % (number, name, e))


if __name__ == "__main__":
    sys.exit(main())
