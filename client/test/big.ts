// Writes an app of many entities and functions, and a page that calls each of them: for the type checker to be measured on.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const PER_MODULE = 6;

const table = (i: number, id: string, kinds: string): string => `{
	name: v.string(),
	other: ${id}(${JSON.stringify(`Thing${Math.max(0, i - 1)}`)}),
	count: v.number(),
	state: ${kinds},
	note: v.optional(v.string()),
	tags: v.array(v.object({ name: v.string(), weight: v.optional(v.number()) })),
	at: v.number(),
}`;

function appFile(entities: number, style: Style): string {
	const all = Array.from({ length: entities }, (_, i) => i);
	if (style === "convex") {
		const tables = all.map((i) => `Thing${i}: defineTable(${table(i, "v.id", 'v.union(v.literal("open"), v.literal("done"))')}).index("by_name", ["name"]).index("by_state", ["state", "at"]),`);
		return `import { defineSchema, defineTable } from "millrace/convex/server";\nimport { v } from "millrace/convex/values";\nexport default defineSchema({\n${tables.join("\n")}\n});\n`;
	}
	const declared = all.map((i) => `export const Thing${i} = entity("Thing${i}", ${table(i, "v.id", 'v.enum("open", "done")')}).index("by_name", ["name"]).index("by_state", ["state", "at"]);`);
	return `import { entity, v } from "millrace/server";\n${declared.join("\n")}\n`;
}

function moduleFile(i: number, style: Style): string {
	const E = `"Thing${i}"`, id = style === "convex" ? "_id" : "id";
	const row = style === "convex" ? "await ctx.db.get(id)" : `await ctx.db.get(${E}, id)`;
	const patch = style === "convex" ? "ctx.db.patch(id, " : `ctx.db.patch(${E}, id, `;
	return `import { ${style === "convex" ? "" : "paginationOptsValidator, "}v } from "${style === "convex" ? "millrace/convex/values" : "millrace/server"}";
${style === "convex" ? 'import { paginationOptsValidator } from "millrace/convex/server";\n' : ""}import { mutation, query } from "../_generated/server";
export const get = query({ args: { id: v.id(${E}) }, handler: async (ctx, { id }) => ${row} });
export const list = query({
	args: { state: v.optional(v.union(v.literal("open"), v.literal("done"))), n: v.number() },
	handler: (ctx, { state, n }) => ctx.db.query(${E}).withIndex("by_state", (q) => q.eq("state", state ?? "open").gt("at", 5)).order("desc").take(n),
});
export const page = query({ args: { paginationOpts: paginationOptsValidator }, handler: (ctx, args) => ctx.db.query(${E}).withIndex("by_name").paginate(args.paginationOpts) });
export const names = query({
	args: {},
	handler: async (ctx) => (await ctx.db.query(${E}).filter((q) => q.gt(q.field("count"), 3)).collect()).map((row) => ({ id: row.${id}, name: row.name, weights: row.tags.map((tag) => tag.weight ?? 0) })),
});
export const add = mutation({
	args: { name: v.string(), other: v.id("Thing${Math.max(0, i - 1)}"), tags: v.array(v.object({ name: v.string() })) },
	returns: v.object({ id: v.id(${E}) }),
	handler: async (ctx, args) => ({ id: await ctx.db.insert(${E}, { ...args, count: 1, state: "open", at: ctx.now() }) }),
});
export const close = mutation({ args: { id: v.id(${E}), note: v.optional(v.string()) }, handler: async (ctx, { id, note }) => ${patch}{ state: "done", note }) });
`;
}

function pageFile(i: number, style: Style): string {
	const id = style === "convex" ? `"" as never` : `"${i}"`;
	return `import { api } from "../_generated/api";
import { db } from "../_generated/db";
export function Page${i}() {
	const one = db.useReactiveQuery(api.m${i}.get, { id: ${id} });
	const list = db.useReactiveQuery(api.m${i}.list, { state: "open", n: 5 });
	const names = db.useReactiveQuery(api.m${i}.names);
	const pages = db.usePaginatedQuery(api.m${i}.page, {}, { initialNumItems: 5 });
	const add = db.useMutation(api.m${i}.add);
	const close = db.useMutation(api.m${i}.close);
	void add({ name: "x", other: ${id}, tags: [] });
	void close({ id: ${id} });
	return [one.data?.name, list.data?.[0]?.count, names.data?.[0]?.weights[0], pages.results[0]?.tags[0]?.name];
}
`;
}

export type Style = "own" | "convex";

/** How many functions there are. */
export function writeBigApp(folder: string, modules: number, style: Style): number {
	const put = (name: string, text: string): void => writeFileSync(join(folder, name), text);
	for (const name of ["functions", "_generated", "web"]) mkdirSync(join(folder, name), { recursive: true });
	put("app.ts", appFile(Math.max(modules, 1), style));
	for (let i = 0; i < modules; i++) {
		put(`functions/m${i}.ts`, moduleFile(i, style));
		put(`web/page${i}.ts`, pageFile(i, style));
	}
	const lines = Array.from({ length: modules }, (_, i) => `\tm${i}: typeof import("../functions/m${i}");\n`).join("");
	put("_generated/api.ts", `import { makeApi } from "millrace";\nexport const api = makeApi<{\n${lines}}>();\n`);
	put("_generated/server.ts", 'import type * as App from "../app";\nimport { typed } from "millrace/server";\nexport const { query, mutation } = typed<typeof App>();\n');
	put("_generated/db.ts", 'import type * as App from "../app";\nimport { createDb } from "millrace/react";\nexport const db = createDb<typeof App>();\n');
	return modules * PER_MODULE;
}
