// timeout: 180
// The indicator of examples/chat tells the truth: while Postgres stands still, on a line that has died without a word, and offline.
import assert from "node:assert/strict";
import { join } from "node:path";
import { descendants, endAll, freePort, millrace, ROOT, serve, temporary, until } from "../lib/cli.mjs";
import { finish, hasFailed, note, step } from "../lib/tap.mjs";
import { launch, line, live, openPage, say, shot, signIn, status, sure } from "./lib/page.mjs";

const data = join(temporary("stale"), "data");
const port = await freePort();
const url = `http://localhost:${port}/`;
const browser = await launch();
const stopped = new Set();
let server, ann, ben;

/** In the page: each state that the indicator has shown, with its time. */
function watchStatus() {
	globalThis.told = [];
	new MutationObserver(() => {
		const text = document.querySelector(".status")?.textContent;
		if (text !== undefined && globalThis.told.at(-1)?.text !== text) globalThis.told.push({ at: Date.now(), text });
	}).observe(document, { childList: true, subtree: true, characterData: true });
}
const told = (page, since = 0) => page.evaluate((from) => globalThis.told.filter(({ at }) => at >= from), since);

async function person(name) {
	const context = await browser.newContext({ viewport: { width: 1200, height: 760 } });
	context.setDefaultTimeout(10000);
	await context.addInitScript(watchStatus);
	const page = await openPage(context, url);
	await signIn(page, name);
	await live(page);
	return page;
}
function psql(sql) {
	const { status: code, out, err } = millrace(["psql", "--data-dir", data, "--", "-Atqc", sql]);
	assert.equal(code, 0, err);
	return out.trim();
}
function stop(word) {
	const found = descendants(server.pid).filter((p) => p.command.includes(word));
	assert.ok(found.length > 0, word);
	for (const { pid } of found) {
		process.kill(pid, "SIGSTOP");
		stopped.add(pid);
	}
	return Date.now();
}
function go() {
	for (const pid of stopped) process.kill(pid, "SIGCONT");
	stopped.clear();
	return Date.now();
}
/** Waits until the indicator says it; gives how long after `since` it did. */
async function says(page, pattern, since, seconds) {
	let found;
	await until(`${pattern}`, async () => (found = (await told(page, since)).find(({ text }) => pattern.test(text))), seconds).catch(async (e) => {
		throw new Error(`${e.message}; it said ${JSON.stringify(await told(page, since))}`);
	});
	return found.at - since;
}
const AWAY = /^The database does not answer · what you see is \d+ s old/;
const ages = (all) => all.map(({ at, text }) => ({ at, age: Number(/is (\d+) s old/.exec(text)?.[1]) })).filter(({ age }) => !Number.isNaN(age));

await step("two people chat", async () => {
	server = await serve(["dev", "--app-dir", join(ROOT, "examples", "chat"), "--data-dir", data, "--port", String(port), "--workers", "2"]);
	await server.ready();
	ann = await person("Ann");
	ben = await person("Ben");
	await say(ann, "all is well");
	await sure(ben, "all is well");
});

await step("Postgres stands still: the indicator says so within 3 s, and how old the screen is", async () => {
	const since = stop("postgres");
	for (const page of [ann, ben]) {
		const took = await says(page, AWAY, since, 3);
		note(`said after ${took} ms`);
		assert.ok(took < 3000);
	}
	await say(ann, "into the silence");
	await says(ann, /1 unsent/, since, 3);
	await new Promise((resolve) => setTimeout(resolve, 4000));
	for (const page of [ann, ben]) {
		const all = await told(page, since);
		for (const { at, age } of ages(all)) assert.ok(Math.abs(at - since - age * 1000) < 2000, `${age} s old after ${at - since} ms`);
		assert.ok(all.every(({ at, text }) => !text.startsWith("Live") || at - since < 3000), JSON.stringify(all));
	}
	await shot(ann, "stale-database");
});

await step("a tab that opens meanwhile is not Live for a moment", async () => {
	const page = await openPage(ben.context(), url);
	await page.getByText("The database does not answer").waitFor();
	await sure(page, "all is well"); // from what the server remembers
	await page.getByText("what you see may be old").waitFor();
	assert.deepEqual((await told(page)).filter(({ text }) => text.startsWith("Live")), []);
	await shot(page, "stale-new-tab");
	await page.close();
});

await step("Postgres goes on: the tabs are Live by themselves, and what was sent is there once", async () => {
	const since = go();
	for (const page of [ann, ben]) {
		note(`Live after ${await says(page, /^Live$/, since, 10)} ms`);
		await sure(page, "into the silence");
		assert.equal(await line(page, "into the silence").count(), 1);
	}
	assert.equal(psql(`select count(*) from "Message" where body = 'into the silence'`), "1");
});

await step("a line dies without a word: whoever sends on it knows within 7 s", async () => {
	const since = stop("millrace-fanout");
	await say(ann, "on a dead line");
	const took = await says(ann, /^Reconnecting… · what you see is \d+ s old · 1 unsent$/, since, 7);
	note(`said after ${took} ms`);
	const [first] = ages(await told(ann, since));
	assert.ok(first.age >= Math.floor(took / 1000), `${first.age} s old after ${took} ms`);
	await shot(ann, "stale-line");
	psql(`insert into "Message" (channel, author, body) select id, 'psql', 'meanwhile' from "Channel" where name = 'general'`);
});

await step("it lives again: Live, nothing lost or doubled", async () => {
	const since = go();
	note(`Live after ${await says(ann, /^Live$/, since, 15)} ms`);
	await live(ben);
	for (const page of [ann, ben])
		for (const text of ["all is well", "into the silence", "on a dead line", "meanwhile"]) {
			await sure(page, text);
			assert.equal(await line(page, text).count(), 1, text);
		}
	assert.equal(psql(`select count(*) from "Message" where body = 'on a dead line'`), "1");
	await say(ben, "still here");
	await sure(ann, "still here");
});

await step("a call that takes long is no silence", async () => {
	const since = stop("millrace-worker");
	await say(ann, "slow, and patient");
	await new Promise((resolve) => setTimeout(resolve, 7500));
	assert.deepEqual((await told(ann, since)).map(({ text }) => text), ["Live · 1 unsent"]);
	go();
	for (const page of [ann, ben]) await sure(page, "slow, and patient");
});

await step("offline is said at once, and being back is found by itself", async () => {
	const since = Date.now();
	await ann.context().setOffline(true);
	assert.ok((await says(ann, /^Offline · what you see is \d+ s old$/, since, 5)) < 1000);
	await say(ann, "written offline");
	await ann.context().setOffline(false);
	await sure(ben, "written offline");
	await live(ann);
	assert.equal(await line(ben, "written offline").count(), 1);
});

await step("no page has thrown", () => assert.deepEqual([...ann.problems, ...ben.problems], []));

go();
if (hasFailed()) {
	for (const [name, page] of Object.entries({ ann, ben })) if (page) await shot(page, `stale-failed-${name}`).catch(() => undefined);
	note(`the server said:\n${server?.out}${server?.err}`);
}
await browser.close();
await endAll();
finish();
