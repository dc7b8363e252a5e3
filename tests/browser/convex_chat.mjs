// timeout: 120
// examples/convex-chat in Chromium: an app that was written for Convex, with other imports. Two tabs, psql, a reload.
import assert from "node:assert/strict";
import { join } from "node:path";
import { descendants, endAll, freePort, millrace, ROOT, serve, temporary, until } from "../lib/cli.mjs";
import { finish, hasFailed, note, step } from "../lib/tap.mjs";
import { launch, openPage, shot } from "./lib/page.mjs";

const app = join(ROOT, "examples", "convex-chat");
const data = join(temporary("convex-chat"), "data");
const port = await freePort();
const args = ["dev", "--app-dir", app, "--data-dir", data, "--port", String(port), "--workers", "2"];
const browser = await launch();
let server, ann, ben;

function psql(sql) {
	const { status, out, err } = millrace(["psql", "--data-dir", data, "--", "-Atqc", sql]);
	assert.equal(status, 0, err);
	return out.trim();
}
async function tab(name, options) {
	const context = await browser.newContext({ viewport: { width: 900, height: 640 }, ...options });
	context.setDefaultTimeout(10000);
	await context.addInitScript((mine) => sessionStorage.setItem("convex-chat:name", mine), name);
	return openPage(context, server.url);
}
async function say(page, text) {
	await page.getByLabel("Message", { exact: true }).fill(text);
	await page.keyboard.press("Enter");
}
const bodies = (page) => page.locator("li .body").allTextContents();
const shows = (page, ...all) => until(all.join(", "), async () => (await bodies(page)).join("|") === all.join("|"), 10);

await step("the server starts, and the app's types hold", async () => {
	server = await serve(args);
	await server.ready();
	await until("the end of the type check", () => !descendants(server.pid).some((p) => p.command.includes("/tsc ")), 60);
	assert.doesNotMatch(server.err + server.out, /error TS\d/);
});

await step("two tabs: what one says, both see, in its order", async () => {
	ann = await tab("Ann", { colorScheme: "light" });
	ben = await tab("Ben", { colorScheme: "dark" });
	await ann.getByText("Nobody has said anything yet").waitFor();
	await say(ann, "Good morning, Ben");
	await shows(ben, "Good morning, Ben");
	await say(ben, "Good morning, Ann");
	await say(ben, "Noodles at noon?");
	for (const page of [ann, ben]) await shows(page, "Good morning, Ben", "Good morning, Ann", "Noodles at noon?");
	assert.deepEqual(await ann.locator("li.mine .body").allTextContents(), ["Good morning, Ben"]);
	assert.deepEqual(await ben.locator(".author").evaluateAll((all) => all.map((one) => one.firstChild.textContent.trim())), ["Ann", "Ben", "Ben"]);
});

await step("its documents are rows of an ordinary table; what psql writes shows at once", async () => {
	assert.equal(psql(`select string_agg("user" || ': ' || body, ', ' order by id) from messages limit 1`), "Ann: Good morning, Ben, Ben: Good morning, Ann, Ben: Noodles at noon?");
	psql(`insert into messages ("user", body) values ('psql', 'written by hand')`);
	for (const page of [ann, ben]) await until("the row", async () => (await bodies(page)).at(-1) === "written by hand", 10);
	psql(`update messages set body = 'mended by hand' where "user" = 'psql'`);
	for (const page of [ann, ben]) await until("its change", async () => (await bodies(page)).at(-1) === "mended by hand", 10);
	psql(`delete from messages where "user" = 'psql'`);
	for (const page of [ann, ben]) await shows(page, "Good morning, Ben", "Good morning, Ann", "Noodles at noon?");
});

await step("the newest fifty are shown, the newest at the bottom and in sight", async () => {
	for (let i = 1; i <= 60; i++) psql(`insert into messages ("user", body) values ('Cleo', 'line ${i}')`);
	for (const page of [ann, ben]) {
		await until("the last line", async () => (await bodies(page)).at(-1) === "line 60", 10);
		assert.deepEqual(await bodies(page), Array.from({ length: 50 }, (_, i) => `line ${i + 11}`));
		assert.ok(await page.getByText("line 60", { exact: true }).isVisible());
	}
	psql(`delete from messages where "user" = 'Cleo'`);
	await shows(ann, "Good morning, Ben", "Good morning, Ann", "Noodles at noon?");
});

await step("a reload comes back with the same messages and name", async () => {
	await ann.reload();
	await shows(ann, "Good morning, Ben", "Good morning, Ann", "Noodles at noon?");
	assert.equal(await ann.locator("header strong").textContent(), "Ann");
	await shot(ann, "convex-chat-light");
	await shot(ben, "convex-chat-dark");
	for (const page of [ann, ben]) assert.deepEqual(page.problems, []);
});

if (hasFailed()) {
	for (const [name, page] of Object.entries({ ann, ben })) if (page) await shot(page, `failed-${name}`).catch(() => undefined);
	note(`problems: ${JSON.stringify([ann?.problems, ben?.problems])}\nthe server said:\n${server?.out}${server?.err}`);
}
await browser.close();
await endAll();
finish();
