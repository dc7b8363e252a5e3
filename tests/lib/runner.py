#!/usr/bin/env python3
"""Runs all tests and sums up. Called by tests/run.

Where tests are found; a new one needs a file, nothing here:
  lint      executables tests/lint/*                                    one result each
  unit      `meson test` in the sanitized build                         TAP or cmocka lines counted one by one, else one result each
  threads   `meson test --suite concurrent` in the build with the thread sanitizer
  race      tests/race/*.mjs      with the sanitized build, and the fanout of the one with the thread sanitizer
  fuzz      executables fuzz_* of the sanitized build, corpora in tests/fuzz/corpus/<name>/
  client    `npm run check` and `npm test` of client/
  flow      tests/flow/*.mjs      with the sanitized build; two at a time, for they wait most of the time, those with the most time first
  browser   tests/browser/*.mjs   with the release build
A script's exit status is its result; if it prints TAP (`ok N - name`, `not ok N - name`) each line is one.
Scripts get MILLRACE_BUILD (a build folder), MILLRACE (the executable), MILLRACE_LONG (with --long) and a TMPDIR of their own; what they
leave running is ended. MR_TEST_POSTGRES is where tests/lib/cli.mjs keeps an empty Postgres, to be copied. A first comment line
`// timeout: SECONDS` or `# timeout: SECONDS` gives a script more time than the usual.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILDS = ROOT / "build"
TAP = re.compile(r"^\s*(not ok|ok)\b\s*\d*\s*-?\s*(.*)$")
SPEC = re.compile(r"^(\u2714|\u2716) (.*?) \(\d[\d.]*ms\)")
CMOCKA = re.compile(r"^\[\s*(OK|FAILED|PASSED)\s*\] (.*)$")
NODE_SUM = re.compile(r"^(?:#|\u2139) (pass|fail) (\d+)\s*$", re.M)
CONCURRENT = ["--suite", "concurrent"]
SCRIPT_SECONDS = 180
LANES = 2
SHOWN_LINES = 120


class Stop(Exception):
    """We were asked to stop."""


class Runner:
    def __init__(self, names, long):
        self.names, self.long = names, long
        self.passed = self.failed = 0
        self.failures = []
        self.temp = pathlib.Path(tempfile.mkdtemp(prefix="millrace-tests-", dir="/tmp"))
        self.temp.chmod(0o755)
        self.groups = set()

    # --- results ---

    def wants(self, suite, name=None):
        """Is any result of this suite (or this one) asked for?"""
        if not self.names:
            return True
        if name is None:
            return any(n.split("/")[0] in suite or "/" not in n for n in self.names)
        return any(n in f"{suite}/{name}" for n in self.names)

    def record(self, suite, name, ok, seconds=None, output=""):
        took = "" if seconds is None else f" ({seconds:.1f} s)"
        print(f"{'ok  ' if ok else 'FAIL'} {suite}/{name}{took}")
        if ok:
            self.passed += 1
            return
        self.failed += 1
        self.failures.append(f"{suite}/{name}")
        lines = output.rstrip().splitlines()
        if len(lines) > SHOWN_LINES:
            print(f"     | ... {len(lines) - SHOWN_LINES} lines before")
        for line in lines[-SHOWN_LINES:]:
            print(f"     | {line}")

    def record_output(self, suite, name, ok, seconds, output):
        """One result per line of TAP, node:test or cmocka; the whole as one where there is none, or where it failed without saying so."""
        parts = []
        for line in output.splitlines():
            if re.search(r"# (SKIP|TOD[O])\b", line):
                continue
            if m := TAP.match(line):
                if not line.startswith(" "):
                    parts.append((m[1] == "ok", m[2].strip() or "unnamed"))
            elif m := SPEC.match(line):
                parts.append((m[1] == "\u2714", m[2]))
            elif (m := CMOCKA.match(line)) and m[1] != "PASSED" and "test(s)" not in m[2]:
                parts.append((m[1] == "OK", m[2].strip()))
        if len(parts) > 1 and parts[-1][1] == name:
            parts.pop()  # a file's own line after those of its tests
        seen = set()
        parts = [p for p in parts if not (p in seen or seen.add(p))]
        if not parts:
            return self.record(suite, name, ok, seconds, output)
        bad = [p for good, p in parts if not good]
        self.passed += len(parts) - len(bad)
        if ok or bad:
            print(f"{'FAIL' if bad else 'ok  '} {suite}/{name}: {len(parts) - len(bad)} of {len(parts)} ({seconds:.1f} s)")
        for i, part in enumerate(bad):
            self.record(suite, f"{name}/{part}", False, None, tap_block(output, part) or (output if i == 0 else ""))
        if not ok and not bad:
            self.record(suite, name, False, seconds, output)

    # --- processes ---

    def run(self, command, env=None, seconds=900, cwd=ROOT):
        """Runs to the end in a process group of its own; gives (status, output, seconds taken). What is left of the group is ended."""
        began = time.monotonic()
        with tempfile.TemporaryFile(dir=self.temp) as out:
            p = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
            self.groups.add(p.pid)
            try:
                status = p.wait(timeout=seconds)
                late = ""
            except subprocess.TimeoutExpired:
                status, late = -1, f"\nended after {seconds} seconds, which is its limit\n"
            self.end_group(p)
            out.seek(0)
            text = out.read().decode(errors="replace") + late
        return status, text, time.monotonic() - began

    def end_group(self, p):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(p.pid, sig)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                p.poll()
                try:
                    os.killpg(p.pid, 0)
                except ProcessLookupError:
                    break
                time.sleep(0.02)
        p.wait()
        self.groups.discard(p.pid)

    def close(self):
        for group in list(self.groups):
            try:
                os.killpg(group, signal.SIGTERM)
            except ProcessLookupError:
                pass
        if self.groups:
            time.sleep(1)
        shutil.rmtree(self.temp, ignore_errors=True)

    # --- builds ---

    def build(self, name, options, env=None, targets=lambda folder: []):
        """Sets up and compiles build/<name>, all of it or some targets; a result of its own. Gives the folder, or None."""
        folder = BUILDS / name
        env = {**os.environ, **(env or {})}
        began, text = time.monotonic(), ""
        asked = folder / "asked.txt"
        if not asked.exists() or asked.read_text().split() != options or not (folder / "build.ninja").exists():
            shutil.rmtree(folder, ignore_errors=True)
            status, text, _ = self.run(["meson", "setup", str(folder), str(ROOT), *options], env)
            if status != 0:
                self.record("build", name, False, time.monotonic() - began, text)
                return None
            asked.write_text("\n".join(options) + "\n")
        status, text, _ = self.run(["ninja", "-C", str(folder), "build.ninja"], env)  # so that targets knows those of today
        if status == 0:
            status, text, _ = self.run(["ninja", "-C", str(folder), *targets(folder)], env, 1800)
        self.record("build", name, status == 0, time.monotonic() - began, text)
        return folder if status == 0 else None

    def sanitized(self):
        if not hasattr(self, "_sanitized"):
            self._sanitized = self.build("sanitized", ["-Db_sanitize=address,undefined", "-Db_lundef=false", "--buildtype=debugoptimized", "-Dfaults=true"], {"CC": "clang"})
        return self._sanitized

    def threads(self):
        if not hasattr(self, "_threads"):
            self._threads = self.build("threads", ["-Db_sanitize=thread", "-Db_lundef=false", "--buildtype=debugoptimized"], {"CC": "clang"}, lambda folder: [
                "fanout/millrace-fanout", *sorted({os.path.relpath(t["cmd"][0], folder) for t in meson_tests(folder) if matches(t, CONCURRENT)})])
        return self._threads

    def release(self):
        return self.build("release", ["--buildtype=release"], None, programs)

    # --- suites ---

    def lint(self):
        wanted = [p for p in executables(ROOT / "tests" / "lint") if self.wants("lint", p.name)]
        if any("MILLRACE_BUILD" in p.read_text() for p in wanted):
            self.sanitized()
        for script in wanted:
            env = {**os.environ, "MILLRACE_BUILD": str(BUILDS / "sanitized")}
            status, text, seconds = self.run([str(script)], env, 600)
            self.record("lint", script.name, status == 0, seconds, text)

    def meson(self, suite, folder, options, env):
        wanted = [t["name"] for t in meson_tests(folder) if self.wants(suite, t["name"]) and matches(t, options)]
        if not wanted:
            return
        log = folder / "meson-logs" / "testlog.json"
        log.unlink(missing_ok=True)
        env = {**os.environ, "TMPDIR": str(self.temp), **({"MILLRACE_LONG": "1"} if self.long else {}), **env}
        timeout = ["-t", "4" if self.long else "2"]
        _, text, _ = self.run(["meson", "test", "-C", str(folder), "--no-rebuild", *timeout, *options, *wanted], env, 3600)
        if not log.exists():
            return self.record(suite, "meson", False, None, text)
        for line in log.read_text().splitlines():
            t = json.loads(line)
            ok = t["result"] in ("OK", "EXPECTEDFAIL", "SKIP")
            self.record_output(suite, t["name"].split(" / ")[-1], ok, t["duration"], f"{t.get('stdout', '')}\n{t.get('stderr', '')}")

    def unit(self):
        if folder := self.sanitized():
            self.meson("unit", folder, [], sanitizer_env(leaks=True))

    def concurrent(self):
        if folder := self.threads():
            self.meson("threads", folder, CONCURRENT, {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"})

    def race(self):
        if folder := self.threads():
            self.scripts("race", self.sanitized, {"MR_RACE_FANOUT": str(folder / "fanout" / "millrace-fanout")})

    def fuzz(self):
        folder = self.sanitized()
        if not folder:
            return
        seconds = 60 if self.long else 4
        for target in sorted(p for p in folder.rglob("fuzz_*") if p.is_file() and os.access(p, os.X_OK)):
            if not self.wants("fuzz", target.name):
                continue
            work = self.temp / target.name
            work.mkdir()
            corpus = ROOT / "tests" / "fuzz" / "corpus" / target.name.removeprefix("fuzz_")
            command = [str(target), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={work}/", "-print_final_stats=0",
                       str(work)] + ([str(corpus)] if corpus.is_dir() else [])
            status, text, took = self.run(command, {**os.environ, **sanitizer_env(leaks=True)}, seconds + 60)
            self.record("fuzz", target.name, status == 0, took, text)

    def client(self):
        env = {**os.environ, "TMPDIR": str(self.temp)}
        for name, command in (("types", ["npm", "run", "--silent", "check"]), ("test", ["npm", "--silent", "test"])):
            if not self.wants("client", name):
                continue
            status, text, seconds = self.run(command, env, 600, ROOT / "client")
            counts = {k: int(n) for k, n in NODE_SUM.findall(text)}
            if counts and not any(TAP.match(line) for line in text.splitlines()):
                good, bad = counts.get("pass", 0), counts.get("fail", 0)
                self.passed += good
                print(f"{'ok  ' if not bad else 'FAIL'} client/{name}: {good} of {good + bad} ({seconds:.1f} s)")
                if bad or status != 0:
                    self.record("client", name, False, seconds, text)
                    self.failed += max(bad - 1, 0)
            else:
                self.record_output("client", name, status == 0, seconds, text)

    def script(self, suite, script, folder, more):
        """Runs one; gives what `run` does."""
        temp = self.temp / f"{suite}-{script.stem}"
        temp.mkdir()
        temp.chmod(0o755)
        env = {**os.environ, **sanitizer_env(leaks=False), **(more or {}), "TMPDIR": str(temp), "MILLRACE_BUILD": str(folder),
               "MR_TEST_POSTGRES": str(self.temp / "postgres"),
               "MILLRACE": str(folder / "server" / "cli" / "millrace"), "MILLRACE_ROOT": str(ROOT)}
        for name in [n for n in env if n.startswith("MILLRACE_") and n not in ("MILLRACE_BUILD", "MILLRACE_ROOT")] + ["DATABASE_URL", "NODE_TEST_CONTEXT"]:
            env.pop(name, None)
        if self.long:
            env["MILLRACE_LONG"] = "1"
        return self.run(["node", str(script)], env, limit_of(script) * (10 if self.long else 1))

    def scripts(self, suite, build, more=None, lanes=1):
        wanted = [p for p in sorted((ROOT / "tests" / suite).glob("*.mjs")) if self.wants(suite, p.stem)]
        folder = build() if wanted else None
        if not folder:
            return
        if lanes > 1:
            wanted.sort(key=limit_of, reverse=True)
        pool = concurrent.futures.ThreadPoolExecutor(lanes)
        try:
            begun = {pool.submit(self.script, suite, p, folder, more): p for p in wanted}
            for done in concurrent.futures.as_completed(begun):
                status, text, took = done.result()
                self.record_output(suite, begun[done].stem, status == 0, took, text)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def flow(self):
        self.scripts("flow", self.sanitized, lanes=1 if self.long else LANES)

    def browser(self):
        self.scripts("browser", self.release)

    def all(self):
        for suite, work in (("unit", self.unit), ("lint", self.lint), ("threads", self.concurrent), ("race", self.race), ("fuzz", self.fuzz),
                            ("client", self.client), ("flow", self.flow), ("browser", self.browser)):
            if self.wants(suite):
                work()


def tap_block(output, name):
    """What TAP says below `not ok N - name`; where it says nothing there, what was printed since the result before. Nothing where the line is not found."""
    m = re.search(rf"^not ok \d+ - {re.escape(name)}\s*\n((?:(?:  |#).*\n|\n)*)", output, re.M)
    if not m:
        return ""
    before = re.split(r"^(?:not ok|ok) \d+.*\n", output[: m.start()], flags=re.M)[-1]
    return m[1] if m[1].strip() else before


def executables(folder):
    return sorted(p for p in folder.glob("*") if p.is_file() and os.access(p, os.X_OK)) if folder.is_dir() else []


def meson_tests(folder):
    info = folder / "meson-info" / "intro-tests.json"
    return json.loads(info.read_text()) if info.exists() else []


def programs(folder):
    """The executables that are installed."""
    targets = json.loads((folder / "meson-info" / "intro-targets.json").read_text())
    return sorted(os.path.relpath(t["filename"][0], folder) for t in targets if t["type"] == "executable" and t["installed"])


def matches(test, options):
    """Does the test belong to the suite that the options name?"""
    return "--suite" not in options or any(s.split(":")[-1] == options[options.index("--suite") + 1] for s in test["suite"])


def sanitizer_env(leaks):
    return {"ASAN_OPTIONS": f"detect_leaks={int(leaks)}:abort_on_error=0:detect_stack_use_after_return=0",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


def limit_of(script):
    m = re.search(r"^(?://|#) timeout: (\d+)", script.read_text()[:2000], re.M)
    return int(m[1]) if m else SCRIPT_SECONDS


def main(args):
    long = "--long" in args
    names = [a for a in args if not a.startswith("--")]
    unknown = [a for a in args if a.startswith("--") and a != "--long"]
    if unknown:
        sys.exit(f"{unknown[0]} is not an option; see tests/run --help.")
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: (_ for _ in ()).throw(Stop()))
    runner = Runner(names, long)
    began = time.monotonic()
    try:
        runner.all()
    except Stop:
        print("stopped")
        runner.failed += 1
    finally:
        runner.close()
    if names and not runner.passed and not runner.failed:
        print(f"no test is named {' or '.join(names)}")
        runner.failed += 1
    if runner.failures:
        print("\nfailed:\n" + "".join(f"  {name}\n" for name in runner.failures), end="")
    print(f"took {time.monotonic() - began:.0f} s")
    print(f"{runner.passed} passed, {runner.failed} failed")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
