// timeout: 180
// examples/waitlist: a thousand who join at once leave one row that says a thousand, on a page in Chromium too; who they are stays on the server.
import assert from "node:assert/strict";
import { join } from "node:path";
import { descendants, endAll, ROOT, until } from "../lib/cli.mjs";
import { Stack } from "../lib/stack.mjs";
import { finish, hasFailed, note, step } from "../lib/tap.mjs";
import { launch, openPage, shot } from "./lib/page.mjs";

const ALL = 1000;
const OVER_HTTP = 200;

const browser = await launch();
let stack, page, other;

const count = async (on) => Number((await on.locator(".count strong").textContent()).replace(/\D/g, ""));
const shows = (on, n) => until(`the page shows ${n}`, async () => (await count(on)) === n, 20);
const live = (on) => on.getByText("Live", { exact: true }).waitFor();
async function tab(options) {
	const context = await browser.newContext({ viewport: { width: 900, height: 640 }, locale: "en-US", ...options });
	context.setDefaultTimeout(10000);
	return openPage(context, stack.url);
}
async function joinOverHttp(args) {
	const headers = { "content-type": "application/json" };
	const response = await fetch(new URL("/api/fn/joinWaitlist", stack.url), { method: "POST", headers, body: JSON.stringify(args), signal: AbortSignal.timeout(90000) });
	return response.json();
}
async function joinAs(on, email) {
	await on.getByLabel("Email address").fill(email);
	await on.keyboard.press("Enter");
}

await step("the server starts; nobody waits", async () => {
	stack = await Stack.start([], undefined, join(ROOT, "examples", "waitlist"));
	page = await tab({ colorScheme: "light" });
	other = await tab({ colorScheme: "dark" });
	for (const on of [page, other]) await live(on).then(() => shows(on, 0));
	await until("the end of the type check", () => !descendants(stack.server.pid).some((p) => p.command.includes("/tsc ")), 60);
	assert.doesNotMatch(stack.server.err + stack.server.out, /error TS\d/);
});

await step(`${ALL} join at once: each is answered with a place of its own, and one row says ${ALL}`, async () => {
	await page.evaluate(() => {
		globalThis.seen = [];
		const number = document.querySelector(".count strong");
		new MutationObserver(() => globalThis.seen.push(Number(number.textContent.replace(/\D/g, "")))).observe(number, { childList: true, characterData: true, subtree: true });
	});
	const clients = await Promise.all(Array.from({ length: ALL - OVER_HTTP }, () => stack.client()));
	const email = (i) => ({ email: `someone.${i}@example.org` });
	const began = Date.now();
	const answers = await Promise.all([
		...clients.map((client, i) => client.call("joinWaitlist", email(i), { seconds: 90 })),
		...Array.from({ length: OVER_HTTP }, (_, i) => joinOverHttp(email(ALL - OVER_HTTP + i))),
	]);
	note(`answered within ${Date.now() - began} ms`);
	for (const client of clients) client.close();
	assert.deepEqual(answers.filter((one) => one.error).map((one) => one.error), []);
	assert.deepEqual(answers.map((one) => one.value).sort((a, b) => a - b), Array.from({ length: ALL }, (_, i) => i + 1));
	assert.deepEqual(stack.rows(`select count from "WaitlistStat"`), [{ count: ALL }]);
	assert.equal(stack.psql(`select count(*) from "Signup"`), String(ALL));
	for (const on of [page, other]) await shows(on, ALL);
	const seen = await page.evaluate(() => globalThis.seen);
	assert.ok(seen.length > 1, "it was seen to rise");
	assert.deepEqual(seen, [...seen].sort((a, b) => a - b), "and only to rise");
});

await step("in the page: join, what is no address, who has joined already", async () => {
	await joinAs(page, "ann@example.org");
	await page.getByText("You are in: number 1,001.").waitFor();
	await shows(other, ALL + 1);
	await joinAs(other, "Ann@Example.org ");
	await other.getByText("You are on the list already.").waitFor();
	await joinAs(other, "ann@home");
	await other.getByText("That does not look like an email address.").waitFor();
	await shot(other, "waitlist-dark");
	await shot(page, "waitlist-light");
	assert.deepEqual(stack.rows(`select count from "WaitlistStat"`), [{ count: ALL + 1 }]);
});

await step("no client reads or writes a signup, nor writes the count", async () => {
	const client = await stack.client({ token: stack.token("somebody") });
	const signups = client.subscribe({ entity: "Signup" });
	await client.until("the refusal", () => client.messages.some((m) => m.t === "error" && m.re === signups.id && m.error.code === "forbidden"));
	const headers = { authorization: `Bearer ${stack.token("somebody")}` };
	assert.deepEqual((await stack.http("GET", "/api/entities/Signup", undefined, headers)).json, { data: [] });
	const insert = await stack.http("POST", "/api/entities/Signup", { email: "x@example.org" }, headers);
	assert.equal(insert.code, "forbidden");
	const [{ id }] = stack.rows(`select id from "WaitlistStat"`);
	const patch = await stack.http("PATCH", `/api/entities/WaitlistStat/${id}`, { count: 5 }, headers);
	assert.ok(["forbidden", "not_found"].includes(patch.code), patch.text);
	assert.deepEqual(stack.rows(`select count from "WaitlistStat"`), [{ count: ALL + 1 }]);
	client.close();
	for (const on of [page, other]) assert.deepEqual(on.problems, []);
});

if (hasFailed()) note(`the server said:\n${stack?.server.out}${stack?.server.err}`);
await browser.close();
await endAll();
finish();
