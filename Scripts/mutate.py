#!/usr/bin/env python3
"""Breaks the code on purpose, one place at a time, and runs the test that has to notice.

Scripts/mutations.json lists the mutations: {"file", "old", "new", "killer", "about"}. `old` stands exactly once in the file. `killer` is what
`swift test --filter` takes, a pattern of Module.Suite/test; null where the test is still to be written, which counts as a failure. Works on a
copy of the tree in .build-mutations, on each instruction set that this machine has. Needs Swift alone; takes about a minute a mutation.

    Scripts/mutate.py                 all of them
    Scripts/mutate.py --only PATTERN  those whose file, about or killer match the regular expression
    Scripts/mutate.py --list          only checks the list against the files
    Scripts/mutate.py --here          in this tree itself, whose build is warm; each file is restored
    Scripts/mutate.py --isa NAME      on one instruction set alone
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COPY = os.path.join(ROOT, ".build-mutations", "tree")
tree = COPY  # where mutations are applied
TIMEOUT = 900  # seconds for a build or a test; a mutation may well make a loop endless


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_if_changed(path, data):
    """Leaves the time of an unchanged file alone, so that builds stay incremental."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == data:
                return
    with open(path, "wb") as file:
        file.write(data)


def copy_tree():
    """The tracked files and the new ones that git does not ignore, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    names = [name for name in os.fsdecode(listed.stdout).split("\0") if name and os.path.isfile(os.path.join(ROOT, name))]
    kept = set(names)
    for folder, folders, files in os.walk(COPY):
        folders[:] = [name for name in folders if not (folder == COPY and name == ".build")]
        for name in files:
            path = os.path.join(folder, name)
            if os.path.relpath(path, COPY) not in kept | {"Package.resolved"}:
                os.remove(path)
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            write_if_changed(os.path.join(COPY, name), file.read())


def run(arguments, **environment):
    """Exit status, or None after too long a time, and what was printed."""
    try:
        done = subprocess.run(
            arguments, cwd=tree, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def build():
    return run(["swift", "build", "--build-tests"])


def test(killer, isa):
    """"passed", "failed" or "no test": a filter that matches nothing passes too."""
    status, output = run(["swift", "test", "--skip-build", "--filter", killer], CK_ISA=isa)
    if status == 0:
        return "passed" if re.search(r"Test run with [1-9]\d* tests?", output) else "no test"
    return "failed"


def instruction_sets():
    """Tests refuse a set that does not exist with a line of those that do."""
    _, output = run(["swift", "test", "--skip-build", "--filter", "none"], CK_ISA="none")
    found = re.search(r"available here: ([a-z0-9_ ]+)", output)
    if not found:
        sys.exit("expected a line of the available instruction sets, found:\n" + output[-2000:])
    return found.group(1).split()


def check_rows(rows):
    problems = []
    for row in rows:
        path = os.path.join(ROOT, row["file"])
        count = text_of(path).count(row["old"]) if os.path.exists(path) else 0
        if count != 1:
            problems.append(f"{row['file']}: expected once, found {count} times: {row['old']!r}")
        if not row["killer"]:
            problems.append(f"{row['file']}: no test named yet for: {row['about']}")
    return problems


def judge(row, sets):
    """What happened to one mutation, in words; the first is "killed" or another."""
    path = os.path.join(tree, row["file"])
    original = text_of(path)
    write_if_changed(path, original.replace(row["old"], row["new"]).encode())
    try:
        status, output = build()
        if status != 0:
            return "does not build: " + next((line for line in output.splitlines() if "error:" in line), output[-300:])
        survived = [isa for isa in sets if test(row["killer"], isa) != "failed"]
        return "SURVIVED on " + " ".join(survived) if survived else "killed"
    finally:
        write_if_changed(path, original.encode())


def main():
    global tree
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="PATTERN", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--isa", metavar="NAME")
    options = parser.parse_args()
    rows = json.loads(text_of(os.path.join(ROOT, "Scripts", "mutations.json")))
    rows = [row for row in rows if re.search(options.only, " ".join([row["file"], row["about"], row["killer"] or ""]))]
    problems = check_rows(rows)
    rows = [row for row in rows if row["killer"]]
    if not options.list:
        if options.here:
            tree = ROOT
        else:
            copy_tree()
        status, output = build()
        if status != 0:
            sys.exit("the tree does not build:\n" + output[-3000:])
        sets = [options.isa] if options.isa else instruction_sets()
        print(f"{len(rows)} mutations on {' '.join(sets)}", flush=True)
        for killer in sorted({row["killer"] for row in rows}):
            for isa in sets:
                result = test(killer, isa)
                if result != "passed":
                    sys.exit(f"{killer} on {isa} without a mutation: expected to pass, found: {result}")
        for row in rows:
            start = time.monotonic()
            result = judge(row, sets)
            print(f"{result:9} {row['file']}: {row['about']} ({row['killer']}, {time.monotonic() - start:.0f} s)", flush=True)
            if result != "killed":
                problems.append(f"{row['file']}: {row['about']}: {result}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
