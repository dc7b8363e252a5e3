// timeout: 180
// examples/chat in Chromium, on a server of its own: two people, refused and unsent messages, psql, a server that goes and comes back.
import assert from "node:assert/strict";
import { join } from "node:path";
import { descendants, endAll, freePort, millrace, ROOT, serve, temporary, until } from "../lib/cli.mjs";
import { finish, hasFailed, note, step } from "../lib/tap.mjs";
import { launch, line, live, openPage, say, shot as takeShot, signIn, status, sure } from "./lib/page.mjs";

const data = join(temporary("chat"), "data");
const port = await freePort();
const args = ["dev", "--app-dir", join(ROOT, "examples", "chat"), "--data-dir", data, "--port", String(port), "--workers", "2"];
const url = `http://localhost:${port}/`;
let server;

const browser = await launch();

/** In the page: what became of each message line, so that what lasts a millisecond is seen as well. */
function watchLines() {
	globalThis.seen = {};
	const look = (element) => {
		for (const line of element.querySelectorAll?.(".line") ?? []) noteLine(line);
		const line = element.closest?.(".line");
		if (line) noteLine(line);
	};
	const noteLine = (line) => {
		line.number ??= ++globalThis.lines;
		add(line.querySelector(".body").textContent, `${"pending" in line.dataset ? "pending" : "sure"} ${line.number}`);
	};
	const add = (body, what) => {
		const all = (globalThis.seen[body] ??= []);
		if (all.at(-1) !== what) all.push(what);
	};
	globalThis.lines = 0;
	new MutationObserver((records) => {
		for (const record of records) {
			look(record.target);
			for (const node of record.addedNodes) look(node);
			for (const node of record.removedNodes)
				if (node.matches?.(".line")) add(node.querySelector(".body").textContent, `gone ${node.number}`);
		}
	}).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-pending"] });
}

async function person(options) {
	const context = await browser.newContext({ viewport: { width: 1200, height: 760 }, locale: "en-US", ...options });
	context.setDefaultTimeout(10000);
	await context.addInitScript(watchLines);
	return tab(context);
}
const tab = (context) => openPage(context, url);
const shot = (page, name) => takeShot(page, `chat-${name}`);
const count = (page, name) => page.locator(".people li", { hasText: name }).locator(".number");
const counts = (page, name, n) => until(`${name} with ${n}`, async () => (await count(page, name).allTextContents()).join() === String(n), 10);
const history = (page, text) => page.evaluate((body) => globalThis.seen[body] ?? [], text);
function psql(sql) {
	const { status: code, out, err } = millrace(["psql", "--data-dir", data, "--", "-Atqc", sql]);
	assert.equal(code, 0, err);
	return out.trim();
}
let ann, ben;

await step("the server starts", async () => {
	server = await serve(args);
	assert.equal(await server.ready(), url);
});

await step("two people sign in, and find the first channels", async () => {
	ann = await person({ colorScheme: "light" });
	ben = await person({ colorScheme: "dark" });
	await signIn(ann, "Ann");
	await signIn(ben, "Ben");
	for (const page of [ann, ben]) {
		await live(page);
		assert.deepEqual(await page.locator("nav a").evaluateAll((all) => all.map((a) => a.getAttribute("href"))), ["#general", "#random"]);
	}
});

await step("what one says, both see", async () => {
	await say(ann, "Good morning, Ben");
	await sure(ben, "Good morning, Ben");
	await say(ben, "Good morning, Ann");
	await sure(ann, "Good morning, Ann");
	assert.equal(await line(ben, "Good morning, Ben").locator(".author").textContent(), "Ann");
});

await step("a message shows as pending at once, then as confirmed, and never leaves the screen between", async () => {
	await say(ann, "as quick as that");
	await sure(ann, "as quick as that");
	const was = await history(ann, "as quick as that");
	assert.equal(was.length, 2, was.join(", "));
	assert.match(was[0], /^pending/);
	assert.equal(was[1], was[0].replace("pending", "sure")); // the same element
	assert.equal(await line(ann, "as quick as that").count(), 1);
});

await step("a refused message is taken back; its text and the reason stay", async () => {
	await say(ann, "!!!");
	const failed = ann.locator(".failed");
	await failed.getByText("No shouting, please").waitFor();
	assert.equal(await failed.locator(".body").textContent(), "!!!");
	assert.equal(await line(ann, "!!!").count(), 0);
	const was = await history(ann, "!!!");
	assert.deepEqual(was.map((w) => w.split(" ")[0]), ["pending", "gone"]);
	assert.equal(psql(`select count(*) from "Message" where body = '!!!'`), "0");
	assert.deepEqual(await history(ben, "!!!"), []);
});

await step("both see who says how much, live", async () => {
	for (const page of [ann, ben]) {
		await counts(page, "Ann", 2);
		await counts(page, "Ben", 1);
	}
	await say(ben, "one more of mine");
	for (const page of [ann, ben]) await counts(page, "Ben", 2);
});

await step("a row that psql writes is on both screens at once", async () => {
	psql(`insert into "Message" (channel, author, "authorName", body) select id, 'psql', 'psql', 'written by hand' from "Channel" where name = 'general'`);
	const began = Date.now();
	await Promise.all([sure(ann, "written by hand"), sure(ben, "written by hand")]);
	const took = Date.now() - began;
	note(`shown ${took} ms after psql had ended`);
	assert.ok(took < 2000, `it took ${took} ms`);
	for (const page of [ann, ben]) await counts(page, "psql", 1);
	psql(`delete from "Message" where author = 'psql'`);
	await line(ben, "written by hand").waitFor({ state: "detached" });
});

await step("a new channel is everybody's", async () => {
	await ann.getByLabel("New channel").fill("Lunch");
	await ann.keyboard.press("Enter");
	await ann.getByRole("heading", { name: "#lunch" }).waitFor();
	await ben.getByRole("link", { name: "lunch" }).click();
	await say(ann, "Noodles at noon?");
	await sure(ben, "Noodles at noon?");
	await ben.getByLabel("New channel").fill("lunch");
	await ben.keyboard.press("Enter");
	await ben.getByText("There is a channel #lunch already.").waitFor();
});

await step("a reload comes back as the same person, in the same channel", async () => {
	const id = await ann.locator(".me").getAttribute("title");
	await ann.reload();
	await sure(ann, "Noodles at noon?");
	await live(ann);
	assert.equal(await ann.locator(".me").textContent(), "Ann");
	assert.equal(await ann.locator(".me").getAttribute("title"), id);
	assert.equal(await ann.getByRole("heading", { name: "#lunch" }).count(), 1);
	const second = await tab(ann.context());
	await second.getByText("Ann", { exact: true }).first().waitFor();
	await live(second);
	await second.close();
});

await step("a reload while a message is under way loses nothing and sends nothing twice", async () => {
	const workers = descendants(server.pid).filter((p) => p.command.includes("millrace-worker"));
	assert.equal(workers.length, 2);
	for (const { pid } of workers) process.kill(pid, "SIGSTOP"); // nobody answers
	try {
		await say(ann, "sent before the reload");
		await line(ann, "sent before the reload").and(ann.locator("[data-pending]")).waitFor();
		await ann.reload();
		await ann.getByText("1 unsent").waitFor();
	} finally {
		for (const { pid } of workers) process.kill(pid, "SIGCONT");
	}
	for (const page of [ann, ben]) await sure(page, "sent before the reload");
	await live(ann);
	assert.equal(psql(`select count(*) from "Message" where body = 'sent before the reload'`), "1");
});

await step("while the server is away the page says so, and keeps what is sent", async () => {
	for (const page of [ann, ben]) await page.goto(`${url}#general`);
	await Promise.all([ann, ben].map((page) => sure(page, "as quick as that")));
	assert.equal((await server.stop()).code, 0);
	for (const page of [ann, ben]) {
		await until("the truth", async () => /Reconnecting… · what you see is [1-9]\d* s old/.test(await status(page).textContent()), 10);
		assert.equal(await page.locator('.status[data-state="live"]').count(), 0);
	}
	await say(ann, "is anybody there?");
	await line(ann, "is anybody there?").and(ann.locator("[data-pending]")).getByRole("img", { name: "sending" }).waitFor();
	assert.match(await status(ann).textContent(), /1 unsent/);
	await shot(ann, "away");
});

await step("when it is back, the tabs are back by themselves, and the message arrives once", async () => {
	server = await serve(args);
	await server.ready();
	await Promise.all([ann, ben].map((page) => sure(page, "is anybody there?")));
	await Promise.all([ann, ben].map(live));
	assert.equal(await status(ann).textContent(), "Live");
	assert.equal(psql(`select count(*) from "Message" where body = 'is anybody there?'`), "1");
	assert.equal(await line(ann, "is anybody there?").count(), 1);
	await say(ben, "yes, still here");
	await sure(ann, "yes, still here");
	for (const page of [ann, ben]) {
		await counts(page, "Ann", 3);
		await counts(page, "Ben", 3);
	}
	await shot(ann, "light");
	await shot(ben, "dark");
});

await step("a killed fanout is forgotten in a moment", async () => {
	const [fanout] = descendants(server.pid).filter((p) => p.command.includes("millrace-fanout"));
	process.kill(fanout.pid, "SIGKILL");
	await say(ann, "through the crash");
	await sure(ben, "through the crash");
	await sure(ann, "through the crash");
	await Promise.all([ann, ben].map(live));
	assert.equal(psql(`select count(*) from "Message" where body = 'through the crash'`), "1");
	await counts(ben, "Ann", 4);
});

await step("the newest 50 show first, and scrolling up brings more, where one was reading", async () => {
	psql(`insert into "Message" (channel, author, "authorName", body, "createdAt") select c.id, 'psql', 'psql', 'line ' || i, now() - interval '1 day' + i * interval '1 second' from "Channel" c, generate_series(1, 130) i where c.name = 'random'`);
	await ann.getByRole("link", { name: "random" }).click();
	await sure(ann, "line 130");
	assert.equal(await ann.locator(".line").count(), 50);
	const box = await line(ann, "line 130").boundingBox();
	assert.ok(box && box.y > 0 && box.y < 760, "the newest is in sight");
	for (const oldest of [31, 1]) {
		await until(`line ${oldest}`, async () => {
			await ann.locator(".scroll").evaluate((list) => list.scrollBy(0, -2000));
			return (await line(ann, `line ${oldest}`).count()) === 1;
		}, 10);
	}
	await ann.getByText("The beginning of this channel").waitFor();
	assert.equal(await ann.locator(".line").count(), 130);
	const bodies = await ann.locator(".line .body").allTextContents();
	assert.deepEqual(bodies, Array.from({ length: 130 }, (_, i) => `line ${i + 1}`));
	// what comes meanwhile does not move what is being read
	await ann.locator(".scroll").evaluate((list) => list.scrollTo(0, -1000));
	const reading = line(ann, "line 60");
	const before = (await reading.boundingBox()).y;
	psql(`insert into "Message" (channel, author, body) select id, 'psql', 'the newest' from "Channel" where name = 'random'`);
	await ann.getByRole("button", { name: "New messages" }).waitFor();
	assert.ok(Math.abs((await reading.boundingBox()).y - before) < 3, "the line moved");
	await ann.getByRole("button", { name: "New messages" }).click();
	await until("the end", async () => (await line(ann, "the newest").boundingBox())?.y < 760, 10);
});

await step("it fits a telephone", async () => {
	await ben.setViewportSize({ width: 390, height: 780 });
	assert.equal(await ben.evaluate(() => document.documentElement.scrollWidth), 390);
	await sure(ben, "yes, still here");
	assert.ok(await ben.getByLabel("Message to #general").isVisible());
	await shot(ben, "narrow");
});

await step("a time takes one line beside long names, and none of a line that follows, also where the day has two halves", async () => {
	psql(`insert into "Message" (channel, author, "authorName", body) select id, 'long', 'Maximiliana Featherstonehaugh-Longfellow', 'long ' || i from "Channel", generate_series(1, 3) i where name = 'general'`);
	for (const page of [ann, ben]) {
		await page.goto(`${url}#general`);
		await sure(page, "long 3");
		const lines = await page.locator(".line").evaluateAll((all) =>
			all.map((one) => ({
				first: "first" in one.dataset,
				height: one.getBoundingClientRect().height,
				time: one.querySelector("time").textContent,
				timeHeight: one.querySelector("time").getBoundingClientRect().height,
				wide: one.scrollWidth > one.clientWidth,
			})),
		);
		for (const { first, height, time, timeHeight, wide } of lines) {
			assert.match(time, first ? /^\d\d:\d\d [AP]M$/ : /^\d\d:\d\d$/);
			assert.ok(!wide && timeHeight < 26 && height < (first ? 52 : 28), `${time}: ${height} px, its time ${timeHeight} px`);
		}
		assert.ok(lines.filter(({ first }) => !first).length >= 2);
	}
	await shot(ben, "narrow-long-names");
	psql(`delete from "Message" where author = 'long'`);
});

await step("signing out forgets who one was", async () => {
	await ben.getByRole("button", { name: "Sign out" }).click();
	await ben.getByLabel("Your name").waitFor();
	await ben.reload();
	await ben.getByLabel("Your name").waitFor();
	await shot(ben, "signin");
});

await step("no page has thrown, and the types are right", async () => {
	assert.deepEqual([...ann.problems, ...ben.problems], []);
	await until("the end of the type check", () => !descendants(server.pid).some((p) => p.command.includes("/tsc ")), 60);
	assert.doesNotMatch(server.err + server.out, /error TS\d/);
});

if (hasFailed()) {
	for (const [name, page] of Object.entries({ ann, ben })) if (page) await shot(page, `failed-${name}`).catch(() => undefined);
	note(`the server said:\n${server?.out}${server?.err}`);
}
await browser.close();
await endAll();
finish();
