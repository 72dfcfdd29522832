# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds scenarios, runs each in its own terminal, two at a time, and says how they went."""

import concurrent.futures
import fnmatch
import importlib.util
import shutil
import threading
import time
import traceback

from . import snapshots
from .failure import Failure, Skip
from .places import HERE, LOGS, say

AT_ONCE = 2


class Case:
    """One scenario: a function `test_…` of a file `test_….py`."""

    def __init__(self, module, function):
        self.module = module
        self.function = function
        self.name = f"{module.__name__.removeprefix('test_')}.{function.__name__.removeprefix('test_')}"
        self.snapshot = getattr(function, "snapshot", None) or getattr(module, "SNAPSHOT", "designated")
        self.durable = getattr(function, "durable", False)
        self.timeout = getattr(function, "timeout", 300)
        self.first = None  # why the first of two tries failed
        self.again = False

    def wanted(self, names):
        return not names or any(name in self.name or fnmatch.fnmatch(self.name, name) for name in names)


def find(names):
    """Groups of cases: the cases of a group share one terminal, in order."""
    groups = []
    for path in sorted(HERE.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        cases = [Case(module, function) for name, function in vars(module).items()
                 if name.startswith("test_") and callable(function)]
        cases = [case for case in cases if case.wanted(names)]
        if getattr(module, "SHARED", False):
            if len({case.snapshot for case in cases}) > 1:
                raise Failure(f"{path.name}: scenarios that share a terminal must start from the same one")
            groups.extend([cases] if cases else [])
        else:
            groups.extend([case] for case in cases)
    return groups


class Report:
    """Counts, and one line for each case as it ends."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0

    def end(self, case, began, error=None):
        """An emulated machine on a busy host misses a moment now and then: what fails gets one more try, on a fresh terminal, and both are told."""
        took = time.monotonic() - began
        case.again = error is not None and not isinstance(error, Skip) and case.first is None
        with self.lock:
            if case.again:
                case.first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                print(f"again {case.name}: {case.first} ({took:.1f}s; {LOGS / case.name}.first)", flush=True)
                shutil.rmtree(LOGS / f"{case.name}.first", ignore_errors=True)
                if (LOGS / case.name).exists():
                    (LOGS / case.name).rename(LOGS / f"{case.name}.first")
            elif error is None:
                self.passed += 1
                print(f"ok   {case.name} {took:.1f}s{' (second try)' if case.first else ''}", flush=True)
            elif isinstance(error, Skip):
                self.skipped += 1
                print(f"skip {case.name} {error}", flush=True)
            else:
                self.failed += 1
                why = str(error).strip().splitlines() or [type(error).__name__]
                kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
                print(f"FAIL {case.name} {kind}{why[0]} ({took:.1f}s; {LOGS / case.name})", flush=True)


def _run_case(case, terminal, report, began):
    """Runs one case on a running terminal. Returns whether the terminal can serve the next case."""
    late = threading.Event()

    def too_late():
        late.set()
        process = terminal.process
        last = threading.Timer(60, process.kill) if process else None
        if last:
            last.start()
        terminal.save_evidence(LOGS / case.name)
        if last:
            last.cancel()
            process.kill()

    watchdog = threading.Timer(case.timeout, too_late)
    watchdog.start()
    try:
        case.function(terminal)
    except Skip as reason:
        report.end(case, began, reason)
        return True
    except Exception as error:
        watchdog.cancel()
        if not late.is_set():
            terminal.save_evidence(LOGS / case.name)
        (LOGS / case.name).mkdir(parents=True, exist_ok=True)
        (LOGS / case.name / "failure.txt").write_text(traceback.format_exc())
        report.end(case, began, Failure(f"not done within {case.timeout} s: {error}") if late.is_set() else error)
        return False
    finally:
        watchdog.cancel()
    report.end(case, began)
    return True


def _run_group(cases, report):
    waiting = list(cases)
    while waiting:
        began = time.monotonic()
        try:
            with snapshots.terminal(waiting[0].snapshot, waiting[0].name,
                                    durable=any(case.durable for case in waiting)) as terminal:
                while waiting:
                    case = waiting.pop(0)
                    shutil.rmtree(LOGS / case.name, ignore_errors=True)
                    if not _run_case(case, terminal, report, began):
                        if case.again:
                            waiting.insert(0, case)
                        break
                    began = time.monotonic()
        except Exception as error:
            if not waiting:
                raise
            report.end(waiting[0], began, Failure(f"no terminal: {error}"))
            if not waiting[0].again:
                waiting.pop(0)


def _prepare(groups, report):
    """Makes the terminals that the groups start from; returns the groups whose terminal could be made."""
    broken = {}
    for name in snapshots.RECIPES:
        if any(case.snapshot == name for cases in groups for case in cases):
            try:
                snapshots.ensure(name)
            except Exception as error:
                broken[name] = error
                say(f"no terminal '{name}': {error}")
    for cases in groups:
        for case in cases:
            if case.snapshot in broken:
                case.first = "no terminal"  # one try is enough
                report.end(case, time.monotonic(), Failure(f"no terminal '{case.snapshot}': {broken[case.snapshot]}"))
    return [cases for cases in groups if cases[0].snapshot not in broken]


def main(names):
    """Runs the scenarios whose name contains one of `names` (all: none given). Returns the exit status."""
    LOGS.mkdir(parents=True, exist_ok=True)
    groups = find(names)
    if not groups:
        print(f"no scenario is called {' '.join(names)}" if names else "no scenarios")
        print("0 passed, 1 failed")
        return 1
    report = Report()
    groups = _prepare(groups, report)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for ended in concurrent.futures.as_completed([pool.submit(_run_group, group, report) for group in groups]):
            ended.result()
    print(f"{report.passed} passed, {report.failed} failed" + (f", {report.skipped} skipped" if report.skipped else ""))
    return 1 if report.failed else 0
