// The types of an app of 300 functions: what they cost the type checker is counted, since counts are the same on any machine; how long it
// took is told beside it.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after } from "node:test";
import { type Style, writeBigApp } from "./big.js";

const tsc = join(process.cwd(), "node_modules/.bin/tsc");
const home = mkdtempSync(join(process.cwd(), "test/.built/big-"));
after(() => rmSync(home, { recursive: true, force: true }));

/** The types as an app sees them: emitted. */
const types = join(home, "types");
execFileSync(tsc, ["-p", "tsconfig.build.json", "--outDir", types]);

interface Cost {
	readonly functions: number;
	readonly instantiations: number;
	readonly ms: number;
	readonly errors: string;
}

function measure(modules: number, style: Style): Cost {
	const folder = join(home, `${style}-${modules}`);
	mkdirSync(folder);
	const functions = writeBigApp(folder, modules, style);
	symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
	const paths = { millrace: [join(types, "index.d.ts")], "millrace/*": [join(types, "*.d.ts")] };
	const options = { target: "es2022", module: "esnext", moduleResolution: "bundler", lib: ["es2023", "dom"], types: [], strict: true, noEmit: true, skipLibCheck: true, paths };
	writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["app.ts", "functions", "_generated", "web"] }));
	const began = Date.now();
	// one checker: several do part of their work twice, and how much depends on who gets which file
	const { stdout, stderr, status } = spawnSync(tsc, ["-p", folder, "--extendedDiagnostics", "--checkers", "1"], { encoding: "utf8" });
	const ms = Date.now() - began;
	const counted = /^Instantiations:\s+(\d+)/m.exec(stdout);
	assert.ok(counted, stdout + stderr);
	return { functions, instantiations: Number(counted[1]), ms, errors: status === 0 ? "" : stdout };
}

for (const style of ["own", "convex"] as const)
	test(`an app of 300 functions and 50 tables (${style}) is checked, and what a function costs hardly grows with their number`, (t) => {
		const empty = measure(0, style), some = measure(10, style), all = measure(50, style);
		assert.equal(all.errors, "");
		assert.equal(all.functions, 300);
		const each = (cost: Cost): number => Math.round((cost.instantiations - empty.instantiations) / cost.functions);
		t.diagnostic(`${all.instantiations} instantiations, ${each(all)} a function (of 60: ${each(some)}); ${all.ms} ms, ${(all.ms / empty.ms).toFixed(1)} times an empty app`);
		assert.ok(each(all) < 3000, `${each(all)} instantiations for each function`);
		assert.ok(each(all) < 1.6 * each(some), `${each(all)} for each of 300, ${each(some)} for each of 60`);
	});
