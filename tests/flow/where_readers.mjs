// One language of filters, three readers: Postgres, the C matcher and the client, over generated rows and filters (at least a million answers).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, test } from "../lib/net_client.mjs";

const client = fileURLToPath(new URL("../../client/", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "millrace-where-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));

/** The client's own sources, as its tests read them. */
async function clientSources() {
	const esbuild = createRequire(join(client, "package.json"))("esbuild");
	const outfile = join(dir, "values.mjs");
	const contents = 'export { matchWhere, rowComparator } from "./src/values.js"; export { fromJson } from "./src/json.js";';
	await esbuild.build({ stdin: { contents, resolveDir: client, loader: "ts" }, bundle: true, format: "esm", outfile, logLevel: "error" });
	return import(outfile);
}

/** Values in wire form become values; operators stay. */
function whereOf(json, fromJson) {
	if (Array.isArray(json)) return json.map((one) => whereOf(one, fromJson));
	if (typeof json !== "object" || json === null) return json;
	const keys = Object.keys(json);
	if (keys.length === 1 && ["$int", "$bytes", "$float"].includes(keys[0])) return fromJson(json);
	return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, whereOf(item, fromJson)]));
}

let cases = [];
test("rule 22: Postgres and the C matcher agree", () => {
	const file = join(dir, "cases");
	const made = spawnSync(`${process.env.MILLRACE_BUILD}/storage/where_cases`, [], { env: { ...process.env, MILLRACE_CASES: file }, encoding: "utf8" });
	console.log(`# ${/MILLRACE_SEED=\d+/.exec(made.stdout + made.stderr)}`);
	assert.equal(made.status, 0, made.stdout + made.stderr);
	cases = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
});

test("rule 22: and so does the client, on each row and in the same order", async () => {
	const { matchWhere, rowComparator, fromJson } = await clientSources();
	let answers = 0, subject;
	for (const { where, order, ids, ...head } of cases) {
		if (head.rows) {
			subject = { ...head, rows: head.rows.map((row) => fromJson(row)) };
			continue;
		}
		const { rows, fields, key } = subject, filter = whereOf(where, fromJson);
		const found = rows.filter((row) => matchWhere(filter, row, fields) === 1).sort(rowComparator(order, fields, key));
		assert.deepEqual(found.map((row) => row.id), ids, JSON.stringify([where, order]));
		answers += rows.length;
	}
	assert.ok(answers >= 1e6, `${answers} answers`);
});

await run();
