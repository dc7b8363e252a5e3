// timeout: 900
// deploy/quickstart as a user meets it: builds, serves the example, stops, comes back quickly, says what is wrong.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { alive, descendants, endAll, freePort, makeApp, ROOT, startOther, temporary } from "../lib/cli.mjs";

after(endAll);
const QUICKSTART = join(ROOT, "deploy", "quickstart");
const data = join(temporary("quickstart"), "data");
const elsewhere = { cwd: temporary("elsewhere") };
const port = await freePort();
const args = ["--data", data, "--port", String(port), "--workers", "1"];

test("it builds what is missing and serves the example", async () => {
	const server = startOther(QUICKSTART, args, elsewhere);
	assert.equal(await server.ready(800), `http://localhost:${port}/`);
	const page = await fetch(server.url);
	assert.equal(page.status, 200);
	assert.match(await page.text(), /<script/);
	const all = descendants(server.pid).map((p) => p.pid);
	const { code, took } = await server.stop();
	assert.equal(code, 0);
	assert.ok(took < 2000, `stopping took ${took} ms`);
	assert.deepEqual(all.filter(alive), []);
});

test("the second start takes less than three seconds", async () => {
	const server = startOther(QUICKSTART, args, elsewhere);
	await server.ready();
	assert.ok(server.took < 3000, `it took ${server.took} ms`);
	await server.stop();
});

test("another app, given relative to where one stands", async () => {
	const app = makeApp();
	const server = startOther(QUICKSTART, ["--app=.", `--port=${port}`], { cwd: app });
	await server.ready();
	assert.match(server.out, /Millrace serves app-/);
	await server.stop();
});

test("what is wrong is said in one sentence", async () => {
	const held = createServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => held.once("listening", resolve));
	const taken = held.address().port;
	const say = (...words) => spawnSync(QUICKSTART, words, { encoding: "utf8", ...elsewhere });
	for (const [words, expected] of [
		[["--port", String(taken)], `Port ${taken} is taken by another program; stop that one, or give another with --port.`],
		[["--app", "/nonexistent"], "There is no app.ts in /nonexistent; --app takes the folder of an app."],
		[["--port", "high"], "--port takes a number, not high."],
		[["--frobnicate"], "--frobnicate is not an option; see deploy/quickstart --help."],
	]) {
		// the event loop must turn for the port to be held, which spawnSync prevents only for us, not for the kernel
		const { status, stderr } = say(...words);
		assert.equal(status, 1);
		assert.equal(stderr.trim(), expected);
	}
	held.close();
	assert.equal(say("--help").status, 0);
});
