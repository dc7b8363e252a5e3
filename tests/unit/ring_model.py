#!/usr/bin/env python3
"""Has spin check the model of the ring (proto/ring.pml) whole, and that it finds each mutation of it wrong. Prints TAP.

`ring_model.py DIRECTION...` checks one variant and shows how it fails, for example `ring_model.py NO_RECHECK`."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).resolve().parent.parent.parent / "proto" / "ring.pml"
IS_LONG = bool(os.environ.get("MILLRACE_LONG"))
MEMORY_MB = 4000 if IS_LONG else 1000
RIGHT = [
    ("every interleaving of two lives, either cut off anywhere, is right", []),
    ("a stopped writer that wakes up between two calls finds another epoch", ["STOPPED"]),
]
LONG = [
    ("the same with more records in the second life", ["RECORDS=2", "RECORDS2=3"]),
    ("three records in both lives", ["RECORDS=3", "RECORDS2=3"]),
    ("four records in the first life", ["RECORDS=4", "RECORDS2=1"]),
]
WRONG = ["INTENT_LATE", "TAIL_EARLY", "NO_RECHECK", "STATE_UNCHECKED", "FLIP_BLIND", "RESET_AT_TAIL", "GIVEN_EARLY", "STOPPED NO_EPOCH"]


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check(directions, folder, trail=False, options=("-O1",)):
    """Gives (number of errors, states, what was said); None for a search that did not come to its end."""
    defines = [f"-D{d}" for d in directions]
    shutil.copy(MODEL, folder)
    for command in (["spin", *defines, "-a", MODEL.name], ["cc", "-w", *options, "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"]):
        status, text = run(command, folder)
        if status != 0:
            return None, 0, text
    _, text = run(["./pan", "-m100000"], folder)
    errors, states = re.search(r"errors: (\d+)", text), re.search(r"(\d+) states, stored\n", text)
    complete = errors and (errors[1] != "0" or "+ Partial Order Reduction" in text and not re.search(r"not completed|too small|out of memory|memory limit", text))
    if trail and complete and errors[1] != "0":
        text += run(["spin", *defines, "-t", "-p", "-g", "-l", MODEL.name], folder)[1]
    return int(errors[1]) if complete else None, int(states[1]) if states else 0, text


def unreached(text):
    return [n for n in re.findall(r"^\s*\((\d+) of \d+ states\)", text, re.M) if n != "0"]


def tell(number, name, ok, note, text):
    print(f"{'ok' if ok else 'not ok'} {number} - {name}\n# {note}")
    for line in [] if ok else text.splitlines()[-60:]:
        print(f"  {line}")
    return ok


def check_all(work):
    good, number = True, 0
    for name, directions in RIGHT + (LONG if IS_LONG else []):
        number += 1
        errors, states, text = check(directions, tempfile.mkdtemp(dir=work))
        # A model that cannot get everywhere would be right about too little.
        ok = errors == 0 and (bool(directions) or not unreached(text))
        good &= tell(number, name, ok, f"{states} states", text)
    for mutation in WRONG:
        number += 1
        # Quick to compile, and from the other end, where most are found sooner.
        errors, states, text = check(mutation.split(), tempfile.mkdtemp(dir=work), options=("-O0", "-DT_REVERSE"))
        ok = bool(errors) and "assertion violated" in text
        good &= tell(number, f"{mutation.replace(' ', ' and ')} is found wrong", ok, f"after {states} states", text)
    print(f"1..{number}")
    return good


def main(directions):
    if not shutil.which("spin"):
        sys.exit("The model checker spin is missing: apt-get install spin (deploy/packages-test.txt).")
    with tempfile.TemporaryDirectory(prefix="ring-model-") as work:
        if not directions:
            return 0 if check_all(work) else 1
        errors, states, text = check(directions, work, trail=True)
        print(text)
        return 0 if errors == 0 else 1


sys.exit(main(sys.argv[1:]))
