// Runs the tests: bundles test/*.test.ts(x) beside node_modules and gives them to node's own runner. `npm test -- link` runs one file.
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, ".built");
const words = process.argv.slice(2);
const files = readdirSync(here).filter(
	(name) => /\.test\.tsx?$/.test(name) && (words.length === 0 || words.some((word) => name.includes(word))),
);
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
	entryPoints: files.map((name) => join(here, name)),
	outdir: out,
	outExtension: { ".js": ".mjs" },
	bundle: true,
	platform: "node",
	format: "esm",
	target: "node18",
	packages: "external",
	sourcemap: "inline",
	jsx: "automatic",
	logLevel: "warning",
	banner: { js: 'import { webcrypto as millraceTestCrypto } from "node:crypto"; globalThis.crypto ??= millraceTestCrypto;' }, // Node 18
	alias: Object.fromEntries(
		["react", "server", "runtime", "index", "convex/browser", "convex/react", "convex/server", "convex/values"].map((name) => [
			name === "index" ? "millrace" : `millrace/${name}`,
			join(here, `../src/${name}.ts`),
		]),
	),
});
const built = readdirSync(out)
	.filter((name) => name.endsWith(".test.mjs"))
	.map((name) => join(out, name));
const runner = spawn(process.execPath, ["--enable-source-maps", "--test", ...built], { stdio: "inherit", cwd: join(here, "..") });
const limit = setTimeout(() => {
	console.error("the tests hang; ended after 180 seconds");
	runner.kill("SIGKILL");
}, 180_000);
runner.on("exit", (code) => {
	clearTimeout(limit);
	process.exit(code ?? 1);
});
