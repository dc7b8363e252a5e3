// timeout: 120
// Optimistic update, delete and insert of useMutation on the real server, as a page shows them, frame by frame; and what a server in
// development tells a page: console lines of functions, build errors over the page.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { descendants, endAll, freePort, makeApp, millrace, serve, temporary, until } from "../lib/cli.mjs";
import { finish, hasFailed, note, step } from "../lib/tap.mjs";
import { launch, openPage, shot } from "./lib/page.mjs";

const TASKS = `import { v } from "millrace/server";
import { mutation } from "../_generated/server";

// what it writes is not quite what the page expects, so that the two can be told apart
export const rename = mutation({
	args: { id: v.id("Task"), title: v.string() },
	auth: "public",
	handler: async (ctx, { id, title }) => {
		console.log("renames", { title });
		await ctx.db.patch("Task", id, { title: title.toUpperCase() });
		if (title === "bad") {
			console.warn("a bad title");
			ctx.error("bad_title", "That is no title.");
		}
		return title;
	},
});

export const remove = mutation({
	args: { id: v.id("Task"), note: v.id("Task") },
	auth: "public",
	handler: async (ctx, { id, note }) => {
		const row = await ctx.db.get("Task", id);
		await ctx.db.delete("Task", id);
		await ctx.db.patch("Task", note, { title: "one is gone" });
		if (row?.title === "keep") throw new Error("it stays");
	},
});

export const add = mutation({
	args: { id: v.id("Task"), title: v.string() },
	auth: "public",
	handler: (ctx, { id, title }) => ctx.db.insert("Task", { id, title: title.toUpperCase(), rank: 9 }),
});
`;
const app = makeApp({
	"app.ts": `import { entity, field, policy } from "millrace/server";
export const Task = entity("Task", { title: field.string(), rank: field.int() });
policy(Task, { read: true });
`,
	"functions/tasks.ts": TASKS,
	"web/index.html": `<!doctype html><title>tasks</title><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/main.tsx"></script>
`,
	"web/main.tsx": `import { newId } from "millrace";
import { isPending } from "millrace/react";
import { useLayoutEffect } from "react";
import { createRoot } from "react-dom/client";
import { api } from "../_generated/api";
import { db } from "../_generated/db";

const seen: string[] = [];
Object.assign(window, { seen });

function Tasks() {
	const { data, synced } = db.useQuery("Task", { orderBy: { rank: "asc" } });
	const { pending } = db.useSyncStatus();
	const rename = db.useMutation(api.tasks.rename, { optimistic: (tx, { id, title }) => tx.update("Task", id, { title }) });
	const remove = db.useMutation(api.tasks.remove, { optimistic: (tx, { id }) => tx.delete("Task", id) });
	const add = db.useMutation(api.tasks.add, { optimistic: (tx, args) => tx.insert("Task", { ...args, rank: 9 }) });
	const all = data.map((row) => row.title + (isPending(row) ? "?" : "")).join(", ");
	useLayoutEffect(() => {
		if (synced && seen.at(-1) !== all) seen.push(all);
	}, [all, synced]);
	const last = data.at(-1);
	return (
		<main>
			<p id="all">{all}</p>
			<p id="pending">{pending}</p>
			<p id="error">{rename.error ? rename.error.message : (remove.error?.code ?? "")}</p>
			<input id="title" aria-label="Title" />
			{data.map((row) => (
				<p key={row.id} id={"task-" + row.rank}>
					<button onClick={() => rename.mutate({ id: row.id, title: document.querySelector("input")!.value })}>rename</button>
					<button onClick={() => last && remove.mutate({ id: row.id, note: last.id })}>remove</button>
				</p>
			))}
			<button id="add" onClick={() => add.mutate({ id: newId(), title: document.querySelector("input")!.value })}>add</button>
		</main>
	);
}
createRoot(document.getElementById("root")!).render(<Tasks />);
`,
});
const data = join(temporary("optimistic"), "data");
const port = await freePort();
const url = `http://localhost:${port}/`;
const browser = await launch();
let server, page;
const lines = [];

function psql(sql) {
	const { status: code, out, err } = millrace(["psql", "--data-dir", data, "--", "-Atqc", sql]);
	assert.equal(code, 0, err);
	return out.trim();
}
const text = (id) => page.locator(`#${id}`).textContent();
const shows = (id, words) => until(`${id}: ${words}`, async () => (await text(id)) === words, 10).catch(async (e) => {
	throw new Error(`${e.message}; it shows ${await text(id)}`);
});
const click = (rank, button) => page.locator(`#task-${rank}`).getByRole("button", { name: button }).click();
const fill = (words) => page.getByLabel("Title").fill(words);
/** What the list showed while this ran, each state once. */
async function sequence(work) {
	await page.evaluate(() => globalThis.seen.splice(0, globalThis.seen.length - 1));
	await work();
	return page.evaluate(() => globalThis.seen);
}
/** Does it while no worker runs: what shows then is the page's own doing. */
async function unanswered(work) {
	const workers = descendants(server.pid).filter((p) => p.command.includes("millrace-worker"));
	assert.ok(workers.length > 0);
	for (const { pid } of workers) process.kill(pid, "SIGSTOP");
	try {
		await work();
		assert.equal(await text("pending"), "1");
	} finally {
		for (const { pid } of workers) process.kill(pid, "SIGCONT");
	}
	await shows("pending", "0");
}

await step("the page shows what psql has written", async () => {
	server = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", String(port), "--workers", "1"]);
	await server.ready();
	psql(`insert into "Task" (title, rank) values ('a', 1), ('keep', 2), ('c', 3)`);
	page = await openPage(await browser.newContext(), url);
	page.setDefaultTimeout(10000);
	page.on("console", (m) => lines.push(`${m.type()} ${m.text()}`));
	await shows("all", "a, keep, c");
});

await step("an optimistic update shows at once and gives way to the server's row in one step", async () => {
	const was = await sequence(() =>
		unanswered(async () => {
			await fill("new");
			await click(1, "rename");
			assert.equal(await text("all"), "new?, keep, c");
		}),
	);
	assert.deepEqual(was, ["a, keep, c", "new?, keep, c", "NEW, keep, c"]);
	assert.equal(await text("error"), "");
});

await step("a later update lies over an earlier one, and each drops with its own answer", async () => {
	const was = await sequence(async () => {
		for (const word of ["one", "two"]) {
			await fill(word);
			await click(1, "rename");
		}
		await shows("pending", "0");
		await shows("all", "TWO, keep, c");
	});
	assert.deepEqual(was.filter((state) => state.startsWith("NEW")), ["NEW, keep, c"]);
	assert.ok(was.every((state, i) => state !== was[i - 2]), was.join(" | "));
});

await step("an optimistic update that the server refuses is rolled back, and the error shows", async () => {
	const was = await sequence(async () => {
		await unanswered(async () => {
			await fill("bad");
			await click(1, "rename");
			assert.equal(await text("all"), "bad?, keep, c");
		});
		await shows("error", "That is no title.");
	});
	assert.deepEqual(was, ["TWO, keep, c", "bad?, keep, c", "TWO, keep, c"]);
	assert.equal(psql(`select title from "Task" where rank = 1`), "TWO");
	await fill("fine");
	await click(1, "rename");
	await shows("error", "");
	await shows("all", "FINE, keep, c");
});

await step("an optimistic delete shows at once and drops with what the server changed besides", async () => {
	const was = await sequence(async () => {
		await unanswered(async () => {
			await click(1, "remove");
			assert.equal(await text("all"), "keep, c");
		});
		await shows("all", "keep, one is gone");
	});
	assert.deepEqual(was, ["FINE, keep, c", "keep, c", "keep, one is gone"]);
});

await step("an optimistic delete that throws brings the row back, and the error shows", async () => {
	const was = await sequence(async () => {
		await unanswered(async () => {
			await click(2, "remove");
			assert.equal(await text("all"), "one is gone");
		});
		await shows("error", "function_failed");
	});
	assert.deepEqual(was, ["keep, one is gone", "one is gone", "keep, one is gone"]);
	assert.equal(psql(`select string_agg(title, ', ' order by rank) from "Task"`), "keep, one is gone");
});

await step("an optimistic insert gives way to the server's row in one step", async () => {
	const was = await sequence(() =>
		unanswered(async () => {
			await fill("fresh");
			await page.click("#add");
			assert.equal(await text("all"), "keep, one is gone, fresh?");
		}),
	);
	assert.deepEqual(was, ["keep, one is gone", "keep, one is gone, fresh?", "keep, one is gone, FRESH"]);
});

await step("in development the browser's console has the lines of functions that this page called", async () => {
	await until("the lines", () => lines.some((l) => /a bad title/.test(l)), 10);
	assert.ok(lines.some((l) => /^log \[tasks\.rename\] renames \{.*title.*new.*\}/.test(l)), lines.join("\n"));
	assert.ok(lines.some((l) => /^warning \[tasks\.rename\] a bad title/.test(l)), lines.join("\n"));
});

const overlay = () => page.locator("#millrace-build-error");

await step("a build error lies over the page, on a tab that opens later as well, while the old code serves", async () => {
	writeFileSync(join(app, "functions", "tasks.ts"), `${TASKS}\nexport const broken = mutation({ handler: () => {\n`);
	await overlay().waitFor();
	const words = await overlay().textContent();
	assert.match(words, /tasks\.ts/);
	note(words);
	await shot(page, "build-error");
	const second = await openPage(page.context(), url);
	await second.locator("#millrace-build-error").waitFor();
	await second.close();
	await overlay().click(); // hides it
	await overlay().waitFor({ state: "detached" });
	await fill("still");
	await click(2, "rename");
	await shows("all", "STILL, one is gone, FRESH");
});

await step("it goes when the app builds again, and the new code serves", async () => {
	writeFileSync(join(app, "functions", "tasks.ts"), `${TASKS}\nexport const broken = mutation({ handler: () => {\n\n`);
	await overlay().waitFor();
	writeFileSync(join(app, "functions", "tasks.ts"), TASKS.replace("title.toUpperCase() });\n\t\tif", '`${title}!` });\n\t\tif'));
	await overlay().waitFor({ state: "detached" });
	await until("the new code", async () => {
		await fill("word");
		await click(2, "rename");
		await shows("pending", "0");
		return (await text("all")) === "word!, one is gone, FRESH";
	}, 10);
});

await step("a type error is told in the browser's console as in the terminal, and the code runs all the same", async () => {
	writeFileSync(join(app, "functions", "tasks.ts"), `${TASKS}\nexport const wrong: number = "a text";\n`);
	await until("the warning", () => lines.some((l) => /^warning There are type errors/.test(l) && /tasks\.ts.*TS2322/s.test(l)), 20);
	assert.match(server.err, /TS2322/);
	assert.equal(await overlay().count(), 0);
});

await step("no page has thrown", () => assert.deepEqual(page.problems.filter((p) => !/it stays/.test(p)), []));

if (hasFailed()) {
	if (page) await shot(page, "optimistic-failed").catch(() => undefined);
	note(`the console:\n${lines.join("\n")}\nthe server said:\n${server?.out}${server?.err}`);
}
await browser.close();
await endAll();
finish();
