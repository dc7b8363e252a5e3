// timeout: 90
// Lists that are read page by page, and optimistic updates of them, in Chromium on the real thing: pages adjoin whatever comes and goes, and
// what is expected gives way to what is, in one step.
import assert from "node:assert/strict";
import { join } from "node:path";
import { descendants, endAll, freePort, millrace, serve, temporary, until, writeFiles } from "../lib/cli.mjs";
import { finish, hasFailed, note, step } from "../lib/tap.mjs";
import { launch, openPage } from "./lib/page.mjs";

const app = writeFiles(temporary("pages"), {
	"app.ts": `import { entity, field, policy } from "millrace/server";
export const Note = entity("Note", { n: field.int(), body: field.string() }).index("by_n", ["n"]);
policy("Note", { read: true });
`,
	"functions/notes.ts": `import { paginationOptsValidator, v } from "millrace/server";
import { action, mutation, query } from "../_generated/server";
export const tell = action({ args: { word: v.string() }, auth: "public", handler: async (ctx, { word }) => \`\${word} \${String(await ctx.runQuery("notes.count"))}\` });
export const page = query({
	args: { paginationOpts: paginationOptsValidator },
	auth: "public",
	handler: async (ctx, { paginationOpts }) => {
		const found = await ctx.db.query("Note").withIndex("by_n").order("desc").paginate(paginationOpts);
		return { ...found, page: found.page.map(({ id, n, body }) => ({ id, n, body })) };
	},
});
export const count = query({ args: {}, auth: "public", handler: (ctx) => ctx.db.query("Note").count() });
export const add = mutation({
	args: { n: v.int(), body: v.string() },
	auth: "public",
	handler: (ctx, { n, body }) => (body === "" ? ctx.error("empty", "There is nothing to add.") : ctx.db.insert("Note", { n, body })),
});
`,
	"web/index.html": `<!doctype html><title>pages</title><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/main.tsx"></script>`,
	"web/main.tsx": `import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { api } from "../_generated/api";
import { db } from "../_generated/db";

const states: string[] = [];
Object.assign(globalThis, { states });

function Notes() {
	const { results, status, loadMore } = db.usePaginatedQuery(api.notes.page, {}, { initialNumItems: 5 });
	const count = db.useReactiveQuery(api.notes.count);
	const rows = db.usePaginatedQuery("Note", { orderBy: { n: "desc" } }, { initialNumItems: 3 });
	const add = db.useMutation(api.notes.add).withOptimisticUpdate((store, { n, body }) => {
		for (const { args, value } of store.getAllQueries(api.notes.page))
			if (value && args.paginationOpts.cursor === null) store.setQuery(api.notes.page, args, { ...value, page: [{ id: "new", n, body }, ...value.page] });
		const known = store.getQuery(api.notes.count);
		if (known !== undefined) store.setQuery(api.notes.count, {}, known + 1);
	});
	const shown = results.map((note) => note.n).join(" ");
	const state = \`\${shown} | \${count.data}\`;
	if (states.at(-1) !== state) states.push(state);
	const tell = db.useAction(api.notes.tell);
	Object.assign(globalThis, { add: add.mutateAsync, tell: tell.mutateAsync });
	return (
		<main>
			<p id="list">{shown}</p>
			<p id="status">{status}</p>
			<p id="count">{count.data}</p>
			<p id="told">{tell.data}</p>
			<p id="rows">{rows.status + " " + rows.results.map((row) => row.n).join(" ")}</p>
			<button id="more" onClick={() => (loadMore(5), rows.loadMore(3))}>more</button>
		</main>
	);
}
createRoot(document.getElementById("root")!).render(<StrictMode><Notes /></StrictMode>);
`,
});
const data = join(app, ".data");
const browser = await launch();
let server, page;

function psql(sql) {
	const { status, out, err } = millrace(["psql", "--data-dir", data, "--", "-Atqc", sql]);
	assert.equal(status, 0, err);
	return out.trim();
}
const text = (id) => page.locator(`#${id}`).textContent();
const shows = async (id, what) => {
	let last;
	await until(`${id}: ${what}`, async () => (last = await text(id)) === what, 10).catch((e) => assert.fail(`${e.message}; it shows ${last}`));
};
const states = () => page.evaluate(() => globalThis.states.splice(0));
const down = (from, to) => Array.from({ length: from - to + 1 }, (_, i) => from - i).join(" ");

await step("the first page, then the next ones", async () => {
	server = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", String(await freePort()), "--workers", "2"]);
	await server.ready();
	psql(`insert into "Note" (n, body) select 10 * i, 'note' from generate_series(1, 20) i`);
	page = await openPage(await browser.newContext(), server.url);
	await shows("list", "200 190 180 170 160");
	await shows("status", "CanLoadMore");
	await page.click("#more");
	await shows("list", "200 190 180 170 160 150 140 130 120 110");
	await shows("rows", "CanLoadMore 200 190 180 170 160 150");
});

await step("rows that come between, at the edges, before and behind: each is shown once; rows that go leave no gap", async () => {
	psql(`insert into "Note" (n, body) values (165, 'x'), (159, 'x'), (161, 'x'), (205, 'x'), (105, 'behind')`);
	await shows("list", "205 200 190 180 170 165 161 160 159 150 140 130 120 110");
	psql(`delete from "Note" where n in (160, 150, 110)`);
	await shows("list", "205 200 190 180 170 165 161 159 140 130 120");
	psql(`update "Note" set n = 158 where n = 200`);
	await shows("list", "205 190 180 170 165 161 159 158 140 130 120");
	await page.click("#more");
	await shows("list", "205 190 180 170 165 161 159 158 140 130 120 105 100 90 80 70");
	for (let i = 0; i < 2; i++) await page.click("#more"), await until("a page", async () => (await text("status")) !== "LoadingMore", 10);
	await shows("status", "Exhausted");
	const all = psql(`select string_agg(n::text, ' ' order by n desc) from "Note"`);
	await shows("list", all);
	for (const state of await states()) {
		const numbers = state.split(" | ")[0].split(" ").map(Number);
		assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => b - a), "in order, and none twice, at any time");
	}
});

await step("many rows at once in one page: it becomes several, and all is shown", async () => {
	psql(`insert into "Note" (n, body) select 1000 + i, 'many' from generate_series(1, 60) i`);
	const all = psql(`select string_agg(n::text, ' ' order by n desc) from "Note"`);
	await shows("list", all);
	psql(`insert into "Note" (n, body) values (1030, 'twice in its place'), (5, 'last')`);
	await shows("list", psql(`select string_agg(n::text, ' ' order by n desc, id desc) from "Note"`));
	psql(`delete from "Note" where n > 1000`);
	await shows("list", psql(`select string_agg(n::text, ' ' order by n desc) from "Note"`));
});

await step("what is expected shows at once and gives way to what is in one step; what is refused goes", async () => {
	const before = (await text("list")).split(" "), count = before.length;
	await shows("count", String(count));
	await states();
	for (let i = 1; i <= 10; i++) await page.evaluate((n) => globalThis.add({ n, body: "mine" }), 2000 + i);
	await shows("list", [...down(2010, 2001).split(" "), ...before].join(" "));
	const seen = await states();
	const wanted = Array.from({ length: 10 }, (_, i) => [...(i >= 0 ? down(2001 + i, 2001).split(" ") : []), ...before].join(" ") + ` | ${count + i + 1}`);
	assert.deepEqual(seen, wanted, "list and count together, and no state between");
	const code = await page.evaluate(() => globalThis.add({ n: 3000, body: "" }).catch((e) => e.data.code));
	assert.equal(code, "empty");
	assert.deepEqual((await states()).map((state) => state.split(" ")[0]), ["3000", "2010"]);
});

await step("an action is called, and what it gave shows", async () => {
	const wanted = `there are ${await text("count")}`;
	assert.equal(await page.evaluate(() => globalThis.tell({ word: "there are" })), wanted);
	await shows("told", wanted);
});

await step("a burst: sent without waiting, while others write", async () => {
	await states();
	const begun = page.evaluate(() => Promise.all(Array.from({ length: 30 }, (_, i) => globalThis.add({ n: 4001 + i, body: "burst" }))));
	for (let i = 0; i < 5; i++) psql(`insert into "Note" (n, body) values (${311 + i}, 'theirs')`);
	await begun;
	await shows("list", psql(`select string_agg(n::text, ' ' order by n desc) from "Note"`));
	for (const state of await states()) {
		const [list, n] = state.split(" | ");
		const numbers = list.split(" ").map(Number);
		assert.equal(new Set(numbers).size, numbers.length, `none twice: ${list}`);
		assert.equal(numbers.length, Number(n), "list and count are of one moment");
	}
	assert.deepEqual(page.problems, []);
	await until("the end of the type check", () => !descendants(server.pid).some((p) => p.command.includes("/tsc ")), 60);
	assert.doesNotMatch(server.err + server.out, /error TS\d/);
});

if (hasFailed()) note(`problems: ${JSON.stringify(page?.problems)}\nthe server said:\n${server?.out}${server?.err}`);
await browser.close();
await endAll();
finish();
