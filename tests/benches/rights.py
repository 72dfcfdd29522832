# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/bench rights: importing, restricting, reviewing; see tests/README.md. Last line: one line of JSON."""
import json
import subprocess
import sys

# The part, what it gives, its limit, under which name the last line has it.
PARTS = (
    ("rights-import.py", "import_ratio", 3.0, "importing 100000 designations, times SQLite's own import"),
    ("rights-review.py", "review_s", 2.0, "seconds for access review over 100000 designations, with 1000000 trail entries"),
    ("rights-restrict.py", "restrict_p95_ms", 1000, "milliseconds from a restriction to nothing left of the user, p95"),
)


def part(script, top, build):
    """Runs one part in a process of its own; returns its last line, or None when it broke."""
    process = subprocess.Popen([sys.executable, f"{top}/tests/benches/{script}", top, build], stdout=subprocess.PIPE, text=True)
    last = ""
    for line in process.stdout:
        print("  " + line, end="", flush=True)
        last = line
    process.wait()
    try:
        return json.loads(last)
    except ValueError:
        return None


def run(top, build):
    found, missed = {}, []
    for script, key, _, what in PARTS:
        print("== " + what, flush=True)
        result = part(script, top, build)
        found[key] = result and result.get(key)
    print("== limits")
    for _, key, limit, what in PARTS:
        good = found[key] is not None and found[key] <= limit
        print("  %-4s %s: %s, at most %s" % ("ok" if good else "MISS", what, found[key], limit))
        if not good:
            missed.append(key)
    print(json.dumps({key: found[key] for key in ("import_ratio", "restrict_p95_ms", "review_s")}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:3]))
