// Starts a server of its own in production mode, measures, stops it.
import { spawn } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BUILD, freePort, millrace, ROOT, serve } from "../../tests/lib/cli.mjs";
import { machine, measure, readWords } from "../lib.mjs";

const { quick, serving, value } = readWords();
const writes = value("--writes", quick ? "60" : "500");
const subscribers = value("--subscribers", "1,100,1000").split(",");
for (const n of [writes, ...subscribers]) if (!/^[1-9]\d*$/.test(n)) throw new Error(`not a number of writes or subscribers: ${n}`);

async function begin(home) {
	console.log(machine() + (serving.length ? `; ${serving.join(" ")}` : ""));
	const app = join(home, "app");
	const data = join(home, "data");
	cpSync(join(ROOT, "bench", "latency", "app"), app, { recursive: true });
	const common = ["--app-dir", app, "--data-dir", data];
	const migrated = millrace(["migrate", "--apply", ...common]);
	if (migrated.status !== 0) throw new Error(migrated.err);
	const port = await freePort();
	const server = await serve(["serve", ...common, "--port", String(port), ...serving]);
	await server.ready();
	const conninfo = readFileSync(join(data, "run", "database"), "utf8").trim();
	return { args: [String(port), conninfo, writes, ...subscribers], said: () => server.err, end() { this.measuring?.kill(); } };
}

async function latency(rig) {
	rig.measuring = spawn(join(BUILD, "bench", "latency", "latency"), rig.args, { stdio: "inherit" });
	const status = await new Promise((resolve) => rig.measuring.once("close", (code) => resolve(code ?? 1)));
	if (status !== 0) throw new Error(`latency ended with status ${status}`);
}

await measure("latency", { cases: { latency }, chosen: ["latency"] }, begin);
