import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

const tsc = join(process.cwd(), "node_modules/.bin/tsc");

function run(args: string[]): string {
	const { stdout, stderr, status } = spawnSync(tsc, args, { encoding: "utf8" });
	return status === 0 ? "" : `${stdout}${stderr}` || `tsc ended with ${status}`;
}

test("types flow end to end, and sources and tests are strictly typed (test/types.ts)", () => {
	assert.equal(run(["-p", "tsconfig.json"]), "");
});

test("the emitted surface stands by itself, also for a checker without our settings, and holds no any", () => {
	const out = mkdtempSync(join(tmpdir(), "millrace-types-"));
	try {
		execFileSync(tsc, ["-p", "tsconfig.build.json", "--outDir", out]);
		const files = readdirSync(out, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".d.ts"));
		assert.ok(files.includes("index.d.ts") && files.includes("react.d.ts"));
		for (const name of files) {
			const code = readFileSync(join(out, name), "utf8")
				.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "")
				.replace(/\bany: \(\) =>|"any"/g, ""); // v.any is a name, and "any" its kind
			assert.doesNotMatch(code, /\bany\b/, name);
		}
		const app = join(out, "consumer.ts");
		writeFileSync(
			app,
			'import { createClient } from "./index.js"; import { entity, field } from "./server.js";\nexport const E = entity("E", { a: field.int() }); export const c = createClient;\n',
		);
		assert.equal(
			run([
				"--ignoreConfig",
				"--noEmit",
				"--strict",
				"--target",
				"es2022",
				"--module",
				"nodenext",
				"--lib",
				"es2023,dom",
				"--types",
				"",
				app,
			]),
			"",
		);
	} finally {
		rmSync(out, { recursive: true, force: true });
	}
});
