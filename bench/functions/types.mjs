// What checking the types of an app of 300 functions takes, by each TypeScript that the SDK has.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { head, of, row } from "../lib.mjs";
import { bigApp, CLIENT } from "./big.mjs";

/** [{ version, tsc }]: whatever stands in node_modules by the name of typescript, or by another one. */
function compilers() {
	const folder = join(CLIENT, "node_modules");
	const named = readdirSync(folder).flatMap((name) => {
		try {
			const about = JSON.parse(readFileSync(join(folder, name, "package.json"), "utf8"));
			return about.name === "typescript" ? [{ version: about.version, tsc: join(folder, name, about.bin.tsc) }] : [];
		} catch {
			return []; // a folder of packages, or none
		}
	});
	return named.toSorted((a, b) => (a.version < b.version ? -1 : 1));
}

function project(folder) {
	const types = join(CLIENT, "dist", "types");
	const paths = { millrace: [join(types, "index.d.ts")], "millrace/*": [join(types, "*.d.ts")] };
	const compilerOptions = { target: "es2022", module: "esnext", moduleResolution: "bundler", lib: ["es2023", "dom"], types: [], strict: true, noEmit: true, skipLibCheck: true, paths };
	writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["app.ts", "functions", "_generated", "web"] }));
	return folder;
}

/** CPU of children that have ended, in seconds. */
function children() {
	const fields = readFileSync("/proc/self/stat", "utf8").split(") ").at(-1).split(" ");
	return (Number(fields[13]) + Number(fields[14])) / 100;
}

function check(tsc, folder) {
	const [began, before] = [performance.now(), children()];
	const done = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
	if (done.status !== 0) throw new Error(done.stdout + done.stderr);
	return { seconds: (performance.now() - began) / 1000, cpu: children() - before };
}

export async function types(rig) {
	head("Types of an app of 300 functions and 50 tables, with a page that calls each: seconds of tsc from nothing", "TypeScript", "style", "an empty app", "300 functions", "CPU s of an empty app", "of 300 functions");
	const times = Array.from({ length: Math.max(3, rig.rounds) });
	for (const style of ["own", "convex"]) {
		const [none, all] = [project(await bigApp(join(rig.home, "for-types"), 0, style)), project(await bigApp(join(rig.home, "for-types"), 50, style))];
		for (const { version, tsc } of compilers()) {
			const list = times.map(() => ({ none: check(tsc, none), all: check(tsc, all) }));
			const cells = ["seconds", "cpu"].flatMap((what) => ["none", "all"].map((which) => of(list, (r) => r[which][what]).toFixed(2)));
			row(version, style, ...cells);
		}
	}
}
