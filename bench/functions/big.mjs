// An app of 300 functions and 50 tables, as the SDK's own tests write it (client/test/big.ts).
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../tests/lib/cli.mjs";

export const CLIENT = join(ROOT, "client");

/** Gives the folder of an app of six functions a module; style: own or convex. */
export async function bigApp(home, modules, style) {
	const writer = join(home, "big.mjs");
	const made = spawnSync(join(CLIENT, "node_modules", ".bin", "esbuild"), [join(CLIENT, "test", "big.ts"), "--format=esm", `--outfile=${writer}`], { encoding: "utf8" });
	if (made.status !== 0) throw new Error(made.stderr);
	const folder = join(home, `big-${style}-${modules}`);
	mkdirSync(folder, { recursive: true });
	(await import(writer)).writeBigApp(folder, modules, style);
	symlinkSync(join(CLIENT, "node_modules"), join(folder, "node_modules"));
	return folder;
}
