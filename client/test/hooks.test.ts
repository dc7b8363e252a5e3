// The hooks of millrace/convex/react, and lists that grow, in a real browser under StrictMode, with React 18 and 19.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createElement, type FunctionComponent } from "react";
import type { Page } from "playwright-core";
import { renderToString } from "react-dom/server";
import { functionRef } from "millrace";
import { ConvexProvider, ConvexReactClient, usePaginatedQuery, useQuery } from "millrace/convex/react";
import { createDb } from "millrace/react";
import { skip, Stage, text, until } from "./browser.js";

type Seen = { first: string[]; least: number; functions: Set<unknown> };
const shows = (page: Page, id: string, what: string) => until(page, `document.getElementById(${JSON.stringify(id)})?.textContent === ${JSON.stringify(what)}`);
const lines = (page: Page) => page.locator("#pages li").allTextContents();

for (const react of ["react", "react18"] as const)
	describe(react, { skip }, () => {
		const stage = new Stage();
		const { world } = stage;
		let page: Page;
		const insert = (...all: number[]): void => {
			for (const n of all) stage.insert(n);
			world.tickAll();
		};
		before(async () => {
			for (let n = 10; n <= 90; n += 10) stage.insert(n);
			await stage.start("hooks.tsx", react);
			page = await stage.open();
		});
		after(() => stage.stop());

		test("usePaginatedQuery: pages that adjoin, each live; loadMore stays the same function", async () => {
			await shows(page, "status", "CanLoadMore false");
			assert.deepEqual(await lines(page), ["row 90", "row 80", "row 70"]);
			await page.click("#more");
			await until(page, "document.querySelectorAll('#pages li').length === 5");
			await shows(page, "status", "CanLoadMore false");
			insert(65, 75, 95);
			await until(page, "document.querySelectorAll('#pages li').length === 8");
			assert.deepEqual(await lines(page), [95, 90, 80, 75, 70, 65, 60, 50].map((n) => `row ${n}`));
			world.rows.delete([...world.rows.values()].find((row) => row["n"] === 70)?.id ?? "");
			world.tickAll();
			await until(page, "document.querySelectorAll('#pages li').length === 7");
			for (let i = 0; i < 2; i++) await page.click("#more"), await until(page, `document.querySelectorAll('#pages li').length >= ${9 + i * 2}`);
			await shows(page, "status", "Exhausted false");
			assert.equal((await lines(page)).at(-1), "row 10");
			const seen = await page.evaluate(() => (({ least, functions }: Seen) => ({ least, functions: functions.size }))((window as unknown as { seen: Seen }).seen));
			assert.equal(seen.least, 3);
			assert.ok(seen.functions <= 6, `each hook's function is one (and StrictMode's other): ${seen.functions}`);
		});

		test("withOptimisticUpdate: at once, and replaced in the frame that holds it", async () => {
			stage.auto = false;
			await page.evaluate(() => ((window as unknown as { seen: Seen }).seen.first = []));
			await page.click("#send");
			await until(page, "document.querySelector('#pages li').textContent.endsWith('(sending)')");
			const n = (await lines(page)).length;
			await new Promise((resolve) => setTimeout(resolve, 30));
			stage.auto = true;
			stage.work();
			await until(page, `document.querySelector('#pages li').textContent === 'sent ${n - 1}'`);
			assert.equal((await lines(page)).length, n);
			const { first } = await page.evaluate(() => ({ first: (window as unknown as { seen: Seen }).seen.first }));
			assert.deepEqual(first, [`sent ${n - 1} (sending)`, `sent ${n - 1}`]);
		});

		test("lists of entities that grow", async () => {
			await shows(page, "window", "CanLoadMore 1011 95".replace("1011", String(1000 + (await lines(page)).length - 1)));
			await shows(page, "infinite", "true false 10 20");
			assert.equal(await text(page, "skipped"), "LoadingFirstPage 0");
			await page.click("#wider");
			await shows(page, "infinite", "true false 10 20 30 40");
			await until(page, "document.getElementById('window').textContent.startsWith('Exhausted')");
			await shows(page, "included", `10 c ${world.rows.size}`);
			insert(2000);
			await shows(page, "included", `10 c ${world.rows.size}`);
		});

		test("useQuery, skip, useQueries, useAction, ConvexError, the line", async () => {
			await shows(page, "counts", `c:${world.rows.size}`);
			assert.equal(await text(page, "skip"), "undefined");
			const none = { page: [], isDone: true, continueCursor: "end" };
			assert.deepEqual(JSON.parse((await text(page, "two")) ?? ""), { all: [{ channel: "c", count: world.rows.size }], none });
			assert.equal(await text(page, "line"), "true");
			await page.click("#refuse");
			await shows(page, "said", 'ConvexError {"why":"refused"}');
			await page.click("#act");
			await shows(page, "said", "did it");
			assert.deepEqual(stage.errors.splice(0), []);
			await page.click("#event");
			await until(page, "true");
			await new Promise((resolve) => setTimeout(resolve, 50));
			assert.match(stage.errors.splice(0).join(), /given a DOM event as its arguments/);
		});

		test("useQuery throws what its function threw", async () => {
			const { evaluate } = world;
			Object.assign(world, { evaluate: (asked: { fn?: string }) => (asked.fn === "messages.fails" ? "answered" : evaluate.call(world, asked as never)) });
			const whole = (world as unknown as { whole: (sub: { message: { fn?: string }; instance: number }, value: unknown) => object }).whole;
			Object.assign(world, {
				whole: (sub: { message: { fn?: string }; instance: number }, value: unknown) =>
					sub.message.fn === "messages.fails" ? { i: sub.instance, error: { code: "app_error", message: "it fails" } } : whole.call(world, sub, value),
			});
			await page.click("#wrong");
			await shows(page, "thrown", "it fails");
			stage.errors.splice(0); // React tells of it in its own words
		});

		test("ConvexProviderWithAuth: what the server has taken counts", async () => {
			await shows(page, "who", "nobody");
			world.users.set("good", "ann");
			await page.evaluate(() => (window as unknown as { setToken: (token: string | null) => void }).setToken("good"));
			await shows(page, "who", "somebody");
			assert.equal([...world.sessions][0]?.user, "ann");
			await page.evaluate(() => (window as unknown as { setToken: (token: string | null) => void }).setToken(null));
			await shows(page, "who", "nobody");
			assert.equal([...world.sessions][0]?.user, null);
			assert.deepEqual(stage.errors, []);
		});
	});

test("renders on a server, where there is neither page nor socket", () => {
	const list = functionRef<"query", { readonly paginationOpts: unknown }, { page: string[]; isDone: boolean; continueCursor: string }>("notes.list");
	const Show: FunctionComponent = () => {
		const { status } = usePaginatedQuery(list, {}, { initialNumItems: 3 });
		return createElement("p", null, `${status} ${String(useQuery(functionRef<"query", Record<never, never>, string>("notes.one")))}`);
	};
	const convex = createElement(ConvexProvider, { client: new ConvexReactClient() }, createElement(Show));
	assert.equal(renderToString(convex), "<p>LoadingFirstPage undefined</p>");
	const db = createDb();
	const Window: FunctionComponent = () => createElement("p", null, db.useInfiniteQuery("Message").loading);
	const Many: FunctionComponent = () => createElement("p", null, `${db.usePaginatedQuery("Message", {}, { initialNumItems: 2 }).status} ${String(db.useInfiniteQuery("M", "skip").loading)}`);
	assert.equal(renderToString(createElement("div", null, createElement(Window), createElement(Many))), "<div><p></p><p>LoadingFirstPage false</p></div>");
});
