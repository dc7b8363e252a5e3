// timeout: 300
// The consistency check against a fanout of three threads, built with the thread sanitizer: no data race, and nothing wrong.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { BUILD, remove, ROOT, temporary } from "../lib/cli.mjs";

const seconds = process.env.MILLRACE_LONG === "1" ? "120" : "15";
const dir = temporary("race"), programs = join(dir, "programs"), reports = join(dir, "reports");
mkdirSync(programs);
mkdirSync(reports);
symlinkSync(process.env.MR_RACE_FANOUT, join(programs, "millrace-fanout"));
symlinkSync(join(BUILD, "server/worker/millrace-worker"), join(programs, "millrace-worker"));
const args = ["--seconds", seconds, "--clients", "20", "--threads", "3", "--libexec", programs, "--faults", "all", "--every", "1000"];
const env = { ...process.env, TSAN_OPTIONS: `log_path=${join(reports, "race")}:history_size=4` };
const done = spawnSync(process.execPath, [join(ROOT, "tests/checker/run.mjs"), ...args], { encoding: "utf8", timeout: 280000, env });
for (const line of done.stdout.trimEnd().split("\n").slice(0, 60)) console.log(`# ${line.slice(0, 1000)}`);
const races = readdirSync(reports).map((name) => readFileSync(join(reports, name), "utf8"));
for (const line of races.join("").split("\n").slice(0, 80)) if (line) console.log(`# ${line}`);
console.log(`${done.status === 0 && /^0 differences$/m.test(done.stdout) ? "ok" : "not ok"} 1 - three threads show what Postgres holds`);
console.log(`${races.length === 0 ? "ok" : "not ok"} 2 - and race for nothing`);
console.log("1..2");
process.exitCode = done.status === 0 && races.length === 0 ? 0 : 1;
remove(dir);
