# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where things are, and the keys under which what was built is kept."""

import functools
import hashlib
import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
TOP = HERE.parent.parent
ROOTFS = HERE / "rootfs"
BUILD = pathlib.Path(os.environ.get("KEISHI_VM_DIR", TOP / "build" / "vm"))
LOGS = BUILD / "logs"
BEGAN = time.monotonic()


def say(what):
    """One progress line with the time since the start."""
    print(f"[{time.monotonic() - BEGAN:6.1f}s] {what}", flush=True)


def key(*parts):
    """A short key for what `parts` (strings or paths of files) say."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, pathlib.Path) else str(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:12]


@functools.lru_cache(maxsize=None)
def source_key():
    """A key for everything that the Debian packages are built from, as it was when first asked."""
    listed = subprocess.run(["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], cwd=TOP,
                            check=True, capture_output=True).stdout.decode().split("\0")
    skipped = ("tests/", ".ci/", "packaging/demo")
    names = sorted(name for name in listed
                   if name and not name.startswith(skipped) and not name.endswith(".md") and (TOP / name).is_file())
    return key(*(part for name in names for part in (name, TOP / name)))
