// timeout: 300
// Commands that come and go: help, usage, settings, token, build. No Postgres here.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync, chmodSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { makeApp, millrace, remove, SMALL_APP, temporary, writeFiles } from "../lib/cli.mjs";

function sentence(text) {
	assert.match(text, /^millrace: [A-Z`\-/.a-z].*[.)]\n$/, `one sentence, not: ${text}`);
}

test("help, version and wrong usage", () => {
	const help = millrace(["help"]);
	assert.equal(help.status, 0);
	for (const command of ["dev", "serve", "build", "migrate", "token", "psql", "settings", "version"]) {
		assert.match(help.out, new RegExp(`millrace ${command}\\b`));
		const one = millrace(["help", command]);
		assert.equal(one.status, 0);
		assert.match(one.out, new RegExp(`^millrace ${command}`));
	}
	assert.equal(millrace(["build", "--help"]).out, millrace(["help", "build"]).out);
	assert.match(millrace(["version"]).out, /^millrace \d+\.\d+\.\d+\n$/);
	for (const args of [["frobnicate"], ["build", "--frobnicate"], ["token"], ["token", "--user", "a", "--expires", "soon"], ["dev", "--port", "x"], ["help", "x"]]) {
		const bad = millrace(args);
		assert.equal(bad.status, 2, args.join(" "));
		sentence(bad.err);
	}
});

test("settings tell their source, and hide secrets", () => {
	const app = makeApp({ ...SMALL_APP, "millrace.conf": "workers = 3\nlog_level = warn\n" });
	const { status, out } = millrace(["settings", "--app-dir", app, "--port=9999"], {
		env: { MILLRACE_LOG_LEVEL: "error", MILLRACE_AUTH_SECRET: "x".repeat(40), DATABASE_URL: "postgres://u:hidden@h/db" },
	});
	assert.equal(status, 0);
	assert.match(out, /# from the command line\nport = 9999\n/);
	assert.match(out, /# from MILLRACE_LOG_LEVEL\nlog_level = error\n/);
	assert.match(out, /# from \S*millrace.conf\nworkers = 3\n/);
	assert.match(out, /# the default\nreply_wait = 1000\n/);
	assert.match(out, /# from DATABASE_URL\ndatabase_url = postgres:\/\/u:\*\*\*@h\/db\n/);
	assert.doesNotMatch(out, /hidden|xxxx/);
	remove(app);
});

test("a token is signed with the secret of the data folder", () => {
	const data = join(temporary("token"), "data");
	const made = millrace(["token", "--user", "ann", "--claim", "role=admin", "--claim", "level=7", "--expires=1h", "--data-dir", data]);
	assert.equal(made.status, 0, made.err);
	const secret = readFileSync(join(data, "secret"), "utf8").trim();
	assert.equal(statSync(join(data, "secret")).mode & 0o777, 0o600);
	assert.match(secret, /^[\w-]{43}$/);
	const [head, body, signature] = made.out.trim().split(".");
	assert.equal(createHmac("sha256", secret).update(`${head}.${body}`).digest("base64url"), signature);
	const claims = JSON.parse(Buffer.from(body, "base64url").toString());
	assert.equal(claims.sub, "ann");
	assert.equal(claims.role, "admin");
	assert.equal(claims.level, 7);
	assert.ok(Math.abs(claims.exp - Date.now() / 1000 - 3600) < 30);
	millrace(["token", "--user", "ben", "--data-dir", data]);
	assert.equal(readFileSync(join(data, "secret"), "utf8").trim(), secret, "the secret stays");
	chmodSync(join(data, "secret"), 0o644);
	const open = millrace(["token", "--user", "ben", "--data-dir", data]);
	assert.equal(open.status, 1);
	assert.match(open.err, /chmod 600/);
	for (const claim of ["sub=x", "=x", "noequals"]) assert.equal(millrace(["token", "--user", "a", "--claim", claim, "--data-dir", data]).status, 2);
	remove(data);
});

test("a build holds bundle, map, manifest and page", () => {
	const files = { ...SMALL_APP, "functions/admin/users.ts": SMALL_APP["functions/messages.ts"].replaceAll("../_gen", "../../_gen"), "functions/hello.ts": `import { query } from "../_generated/server";\nexport default query({ auth: "public", handler: () => "hello" });\n`, "functions/messages.test.ts": "this is no TypeScript", "web/style.css": "b {}\n" };
	const app = makeApp(files);
	const made = millrace(["build", "--app-dir", app, "--data-dir", join(app, ".millrace")]);
	assert.equal(made.status, 0, made.err);
	const dir = made.out.trim();
	const version = dir.split("/").at(-1);
	assert.match(version, /^[0-9a-f]{16}$/);
	assert.deepEqual(readdirSync(dir).sort(), ["bundle.js", "bundle.js.map", "manifest.json", "web"]);
	const manifest = JSON.parse(readFileSync(join(dir, "manifest.json"), "utf8"));
	assert.equal(manifest.version, version);
	assert.deepEqual(manifest.functions.map((f) => f.name).filter((name) => !name.startsWith("_")).sort(), ["admin.users.list", "admin.users.send", "admin.users.word", "hello", "messages.list", "messages.send", "messages.word"]);
	const page = readFileSync(join(dir, "web/index.html"), "utf8");
	assert.match(page, /src="\/main\.js\?v=[0-9a-f]{8}"/);
	assert.ok(existsSync(join(dir, "web/main.js")));
	assert.ok(existsSync(join(dir, "web/style.css")));
	assert.ok(!existsSync(join(dir, "web/main.ts")));
	const api = readFileSync(join(app, "_generated/api.ts"), "utf8");
	assert.match(api, /messages: typeof import\("\.\.\/functions\/messages"\);/);
	assert.match(api, /admin: \{\n\t\tusers: typeof import\("\.\.\/functions\/admin\/users"\);\n\t\};/);
	const again = millrace(["build", "--app-dir", app, "--data-dir", join(app, ".millrace")]);
	assert.equal(again.out.trim(), dir, "the same sources give the same version");
	const elsewhere = makeApp(files);
	const there = millrace(["build", "--app-dir", elsewhere, "--data-dir", temporary("data")]);
	assert.equal(basename(there.out.trim()), basename(dir), "wherever they are built");
	remove(elsewhere);
	remove(app);
});

test("three builds are kept", () => {
	const app = makeApp();
	const made = [];
	for (let i = 0; i < 5; i++) {
		writeFileSync(join(app, "functions/messages.ts"), SMALL_APP["functions/messages.ts"].replace("first", `word ${i}`));
		made.push(millrace(["build", "--app-dir", app, "--data-dir", join(app, ".millrace")]).out.trim());
	}
	assert.equal(new Set(made).size, 5);
	assert.deepEqual(made.map((dir) => existsSync(dir)), [false, false, true, true, true]);
	remove(app);
});

test("what is wrong with an app is said in full, and nothing is left behind", () => {
	const cases = [
		[{ "functions/a.ts": "" }, /There is no app\.ts/],
		[{ ...SMALL_APP, "functions/messages.ts": "export const x = ;" }, /functions\/messages\.ts:1:17/],
		[{ ...SMALL_APP, "functions/messages.ts": "import './missing';" }, /Could not resolve/],
		[{ ...SMALL_APP, "functions/messages.ts": "throw new Error('at the top');" }, /at the top/],
		[{ ...SMALL_APP, "functions/with-dash.ts": "" }, /functions\/with-dash\.ts cannot be a module/],
		[{ ...SMALL_APP, "app.ts": `import { entity, field } from "millrace/server";\nexport const A = entity("A", { b: field.id("Nobody") });` }, /Nobody/],
		[{ ...SMALL_APP, "web/main.ts": "const x = ;" }, /web\/main\.ts:1:10/],
	];
	for (const [files, expected] of cases) {
		const app = makeApp(files);
		const bad = millrace(["build", "--app-dir", app, "--data-dir", join(app, ".millrace")]);
		assert.equal(bad.status, 1);
		assert.match(bad.err, expected);
		assert.equal(bad.out, "");
		assert.deepEqual(readdirSync(join(app, ".millrace/app")), []);
		remove(app);
	}
});

test("code that never ends while it is loaded is stopped", () => {
	const app = makeApp({ ...SMALL_APP, "functions/messages.ts": "for (;;);" });
	const bad = millrace(["build", "--app-dir", app, "--data-dir", join(app, ".millrace")]);
	assert.equal(bad.status, 1);
	remove(app);
});

test("a data folder that is a file, and one whose path is too long", () => {
	const app = makeApp();
	writeFiles(app, { blocked: "a file" });
	const bad = millrace(["build", "--app-dir", app, "--data-dir", join(app, "blocked")]);
	assert.equal(bad.status, 1);
	sentence(bad.err);
	const long = join(app, "x".repeat(120));
	mkdirSync(long);
	const deep = millrace(["dev", "--app-dir", app, "--data-dir", long, "--port", "0"]);
	assert.equal(deep.status, 1);
	assert.match(deep.err, /too long/);
	remove(app);
});
