// The whole server over TLS: pages, calls and live queries; a certificate that is renewed while clients are connected; wrong files.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import https from "node:https";
import { join } from "node:path";
import tls from "node:tls";
import { millrace, remove, temporary, until } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Client, Stack, uuid } from "../lib/stack.mjs";

const dir = temporary("tls");
const certificate = join(dir, "certificate.pem"), key = join(dir, "key.pem");

function issue(name, days = 30) {
	const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
	const made = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", String(days), ...subject, "-keyout", join(dir, "new.key"), "-out", join(dir, "new.pem")]);
	assert.equal(made.status, 0, String(made.stderr));
	writeFileSync(key, readFileSync(join(dir, "new.key")));
	writeFileSync(certificate, readFileSync(join(dir, "new.pem")));
}
issue("first");
const stack = await Stack.start(["--tls-certificate", certificate, "--tls-key", key]);

function get(path, options = {}) {
	return new Promise((resolve, reject) => {
		const asked = https.request(new URL(path, stack.url), { ca: readFileSync(certificate), agent: false, ...options }, (answer) => {
			const bytes = [];
			answer.on("data", (d) => bytes.push(d)).on("end", () => resolve({ status: answer.statusCode, text: Buffer.concat(bytes).toString() }));
		});
		asked.on("error", reject).end(options.body);
	});
}
function handshake(options = {}) {
	return new Promise((resolve, reject) => {
		const socket = tls.connect({ port: stack.port, host: "127.0.0.1", ca: readFileSync(certificate), ...options }, () => {
			resolve({ name: socket.getPeerCertificate().subject.CN, alpn: socket.alpnProtocol, version: socket.getProtocol() });
			socket.destroy();
		});
		socket.on("error", reject);
	});
}
const client = async (options = {}) => new Client(stack, { ws: { ca: readFileSync(certificate) }, ...options }).ready();

test("the address says https, pages and calls are served", async () => {
	assert.match(stack.url, /^https:/);
	assert.equal((await get("/healthz")).status, 200);
	const big = await get("/metrics");
	assert.match(big.text, /millrace_sessions/);
});

test("TLS 1.2 and 1.3, HTTP/1.1 only, nothing older", async () => {
	assert.equal((await handshake({ ALPNProtocols: ["h2", "http/1.1"] })).alpn, "http/1.1");
	assert.equal((await handshake({ maxVersion: "TLSv1.2" })).version, "TLSv1.2");
	assert.equal((await handshake({})).version, "TLSv1.3");
	await assert.rejects(handshake({ maxVersion: "TLSv1.1", minVersion: "TLSv1" }));
});

test("live queries, in both encodings, small and large", async () => {
	const [a, b] = [await client(), await client({ encoding: "msgpack" })];
	const [left, right] = [await a.live({ entity: "Item" }), await b.live({ entity: "Item" })];
	const id = uuid();
	await a.value("items.add", { id, grp: "tls" });
	for (const [c, live] of [[a, left], [b, right]]) await c.until("the row", () => live.rows.has(id));
	stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), 'many', i, repeat('x', 500) from generate_series(1, 3000) i`);
	for (const [c, live] of [[a, left], [b, right]]) await c.until("all rows", () => live.rows.size >= 3001, 20000);
	const late = await client();
	const all = await late.live({ entity: "Item" });
	await late.until("all rows at once", () => all.rows.size >= 3001, 20000);
});

test("a renewed certificate is served to who comes; who is there stays", async () => {
	const c = await client();
	const rows = await c.live({ entity: "Item" });
	issue("second");
	await until("the new certificate", async () => (await handshake().catch(() => undefined))?.name === "second", 20);
	const id = uuid();
	await c.value("items.add", { id, grp: "renewed" });
	await c.until("the row", () => rows.rows.has(id));
});

test("a broken certificate leaves the one before in use, and says so", async () => {
	const good = readFileSync(certificate);
	writeFileSync(certificate, "nonsense");
	await until("the warning", () => /tls_certificate: .* cannot be used/.test(stack.server.err), 20);
	assert.equal((await handshake({ ca: good })).name, "second");
	writeFileSync(certificate, good);
	await until("the certificate again", () => /was renewed[^]*was renewed/.test(stack.server.err), 20);
});

test("wrong files are refused at the start, with the setting", () => {
	const begun = (...args) => millrace(["dev", "--app-dir", stack.app, "--data-dir", join(dir, "data"), "--port", "0", ...args]);
	const missing = begun("--tls-certificate", certificate);
	assert.notEqual(missing.status, 0);
	assert.match(missing.err, /tls_certificate is given and tls_key is not/);
	const wrong = begun("--tls-certificate", certificate, "--tls-key", certificate);
	assert.notEqual(wrong.status, 0);
	assert.match(wrong.err, /tls_key: .*certificate.pem cannot be used/);
});

test("a clean end", async () => {
	assert.equal((await stack.stop()).code, 0);
	remove(dir);
});

await run();
