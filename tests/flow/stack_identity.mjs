// Tokens of issuers: keys by URL, file and discovery; keys that rotate while clients are connected; what is not fetched; forged tokens.
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { millrace, remove, temporary, until } from "../lib/cli.mjs";
import { jwks, Key, publish, seconds } from "../lib/issuer.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

const dir = temporary("issuers");
const file = join(dir, "keys.json");
const rsa = new Key("r1", "RS256"), ec = new Key("e1", "ES256"), ed = new Key("d1", "EdDSA"), inFile = new Key("f1", "ES256");
const answers = {
	"/a/keys": jwks(rsa, ec, ed),
	"/c/keys": jwks(ed),
	"/redirect": (_, response) => response.writeHead(302, { location: "/a/keys" }).end(),
	"/loop": (_, response) => response.writeHead(302, { location: "/loop" }).end(),
	"/file": (_, response) => response.writeHead(302, { location: `file://${file}` }).end(),
	"/big": (_, response) => response.writeHead(200).end(Buffer.alloc(300 << 10, " ")),
	"/html": "<html></html>",
	"/fail": (_, response) => response.writeHead(500).end(jwks(rsa)),
	"/never": () => {},
};
const published = await publish(answers);
answers["/c/.well-known/openid-configuration"] = JSON.stringify({ issuer: `${published.url}/c`, jwks_uri: `${published.url}/c/keys` });
answers["/other/.well-known/openid-configuration"] = JSON.stringify({ issuer: `${published.url}/c`, jwks_uri: `${published.url}/c/keys` });

const A = "https://a.example", B = "https://b.example", C = `${published.url}/c`;
const broken = ["/loop", "/file", "/big", "/html", "/fail", "/never", "/missing"];
writeFileSync(file, jwks(inFile));
writeFileSync(
	join(dir, "issuers.json"),
	JSON.stringify([
		{ issuer: A, audience: ["app", "web"], jwks: `${published.url}/a/keys` },
		{ issuer: B, audience: "app", jwks: "keys.json", prefix: "b|", claims: ["role"] },
		{ issuer: C, audience: "app", prefix: "c|" },
		{ issuer: "https://redirected.example", audience: "app", jwks: `${published.url}/redirect`, prefix: "d|" },
		{ issuer: `${published.url}/other`, audience: "app", prefix: "o|" },
		...broken.map((path) => ({ issuer: path, audience: "app", jwks: published.url + path, prefix: `${path}|` })),
	]),
);
const settings = ["--auth-issuers", join(dir, "issuers.json"), "--auth-jwks-private", "--auth-jwks-cooldown", "500ms", "--fanout-threads", "2"];
const stack = await Stack.start(settings);

const claims = (iss, sub, more = {}) => ({ iss, sub, aud: "app", iat: seconds(), exp: seconds() + 600, jti: String(Math.random()), ...more });
const whoami = (token) => stack.call("items.whoami", {}, { Authorization: `Bearer ${token}` });
/** Who the server says it is, once it has the keys. */
async function userOf(token) {
	const answer = await until("an answer by the keys of now", async () => {
		const { status, json, code } = await whoami(token);
		return code !== "keys_unavailable" && { status, json, code };
	}, 10);
	return answer.code ?? answer.json.value;
}

test("tokens of issuers are taken: RS256, ES256, EdDSA, by URL, file, discovery and redirect", async () => {
	for (const key of [rsa, ec, ed]) assert.equal(await userOf(key.token(claims(A, "ann"))), "ann");
	assert.equal(await userOf(inFile.token(claims(B, "ann"))), "b|ann");
	assert.equal(await userOf(ed.token(claims(C, "ann"))), "c|ann");
	assert.equal(await userOf(rsa.token(claims("https://redirected.example", "ann"))), "d|ann");
	assert.equal(await userOf(stack.token("own")), "own");
	for (const encoding of ["json", "msgpack"]) {
		const client = await stack.client({ encoding, token: rsa.token(claims(A, "ann")) });
		assert.equal(client.welcome.user, "ann");
		assert.equal((await client.live({ fn: "items.whoami", args: {} })).value, "ann");
		client.close();
	}
	assert.equal(published.asked["/a/keys"], 2); // for A and for the redirect, however many tokens came
});

test("rule 28: forged tokens of issuers are refused", async () => {
	const good = claims(A, "eve", { iat: seconds() - 60 });
	const unsigned = `${rsa.token(good, { header: { alg: "none" } }).split(".").slice(0, 2).join(".")}.`;
	const tokens = {
		"alg none": unsigned,
		"alg none, signed": rsa.token(good, { header: { alg: "none" } }),
		"the public key as a secret": rsa.confused(good),
		"another algorithm's name": rsa.token(good, { header: { alg: "ES256" } }),
		"a path as kid": rsa.token(good, { header: { kid: "../../../../dev/null" } }),
		"a key of its own": new Key("r1", "RS256").token(good),
		"ES256 as DER": ec.token(good, { der: true }),
		"another issuer's key": inFile.token(good),
		"no audience": rsa.token({ ...good, aud: undefined }),
		"another audience": rsa.token({ ...good, aud: "others" }),
		"no issuer": rsa.token({ ...good, iss: undefined }),
		"an unknown issuer": rsa.token({ ...good, iss: "https://evil.example" }),
		"no end": rsa.token({ ...good, exp: undefined }),
		"not yet": rsa.token({ ...good, nbf: seconds() + 60 }),
		"a guest's name": rsa.token({ ...good, sub: "guest:1" }),
		"the other issuer's user": rsa.token({ ...good, sub: "b|ann" }),
	};
	for (const [why, token] of Object.entries(tokens)) assert.equal(await userOf(token), "bad_token", why);
	assert.equal(await userOf(rsa.token({ ...good, exp: seconds() - 11 })), "token_expired");
	assert.equal(await userOf(rsa.token({ ...good, exp: seconds() - 5 })), "eve"); // within auth_leeway
});

test("keys rotate without a restart; who comes too early is told to come again", async () => {
	const old = rsa.token(claims(A, "ann", { iat: seconds() - 60 })), next = new Key("r2", "RS256");
	const token = next.token(claims(A, "ann"));
	const first = await whoami(token);
	assert.equal(first.code, "keys_unavailable");
	assert.equal(first.status, 503);
	answers["/a/keys"] = jwks(next, ec, ed);
	assert.equal(await userOf(token), "ann");
	assert.equal(await userOf(old), "bad_token");
	const client = await stack.client({ token });
	assert.equal(client.welcome.user, "ann");
	/* However many name keys that are not there, the issuer is asked once in a while. */
	const before = published.asked["/a/keys"], began = Date.now();
	const wild = new Key("wild", "RS256").token(claims(A, "ann", { iat: seconds() + 3600 }));
	while (Date.now() - began < 1500) assert.equal((await whoami(wild)).code, "keys_unavailable");
	const asked = published.asked["/a/keys"] - before;
	assert.ok(asked >= 1 && asked <= 4, `asked ${asked} times in 1.5 s`);
	client.close();
});

test("who comes over WebSocket with a key that is not there yet keeps the token and comes again", async () => {
	const next = new Key("r3", "RS256");
	const early = await stack.client({ hello: false, token: next.token(claims(A, "bob")) });
	early.hello();
	const error = await early.until("an error", () => early.messages.find((m) => m.t === "error"));
	assert.equal(error.error.code, "keys_unavailable");
	assert.equal(error.fatal, true);
	await early.until("the end", () => early.closed === 4000);
	answers["/a/keys"] = jwks(next, ec, ed);
	await early.again();
	assert.equal(early.welcome.user, "bob");
	early.close();
});

test("a file of keys is read again when it changes; one that is wrong leaves the keys from before", async () => {
	const next = new Key("f2", "EdDSA"), failures = await stack.metric("millrace_auth_key_failures_total");
	const replace = (text) => {
		writeFileSync(`${file}.new`, text);
		renameSync(`${file}.new`, file);
	};
	replace('{"keys":[{"kty":"oct","k":"AAAA"}]}');
	await until("the failure", async () => (await stack.metric("millrace_auth_key_failures_total")) > failures);
	await stack.server.logs(/keys\.json: none of its keys is of use.*Those from before stay in use/);
	assert.equal(await userOf(inFile.token(claims(B, "ann"))), "b|ann");
	replace(jwks(next));
	await until("the new key", async () => (await userOf(next.token(claims(B, "ann")))) === "b|ann");
	assert.equal(await userOf(inFile.token(claims(B, "ann", { iat: seconds() - 60 }))), "bad_token");
});

test("an issuer that is away leaves the keys from before", async () => {
	const keys = answers["/c/keys"];
	answers["/c/keys"] = answers["/fail"];
	const unknown = new Key("c2", "EdDSA");
	assert.equal((await whoami(unknown.token(claims(C, "ann", { iat: seconds() + 3600 })))).code, "keys_unavailable");
	const before = published.asked["/c/keys"];
	await until("three failures", () => published.asked["/c/keys"] >= before + 3);
	await stack.server.logs(/c cannot be read from .*: it was answered with status 500\. Those from before stay in use/);
	assert.equal(stack.server.err.split(`${C} cannot be read`).length, 2, "logged once");
	assert.equal(await userOf(ed.token(claims(C, "ann"))), "c|ann");
	answers["/c/keys"] = keys;
});

test("rule 29: what fetches of keys do not do: other schemes, endless redirects, large and slow answers", async () => {
	const reasons = {
		"/loop": /redirects/,
		"/file": /it leads to a URL that is not https/,
		"/big": /longer than 256 KB/,
		"/html": /it is not JSON\./,
		"/fail": /status 500/,
		"/missing": /status 404/,
		"/never": /longer than 5 s/,
		"/other": /not the OpenID configuration of this issuer/,
	};
	for (const [path, reason] of Object.entries(reasons)) {
		const line = await until(`a line on ${path}`, () => stack.server.err.split("\n").find((l) => l.includes("cannot be read from") && l.includes(`${published.url}${path}`)), 20);
		assert.match(line, reason);
	}
	assert.equal((await whoami(rsa.token(claims("/fail", "ann")))).code, "keys_unavailable"); // it never had keys
});

test("rule 29: without auth_jwks_private nothing connects to loopback", async () => {
	const here = await publish({});
	const own = [
		{ issuer: "local", audience: "app", jwks: `https://localhost:${here.port}/keys` },
		{ issuer: "mapped", audience: "app", jwks: `https://[::ffff:127.0.0.1]:${here.port}/keys`, prefix: "m|" },
	];
	const other = await Stack.start(["--auth-issuers", JSON.stringify(own)]);
	for (const { issuer } of own)
		await until(`a line on ${issuer}`, () => new RegExp(`issuer ${issuer} cannot be read .*not of the public internet \\(auth_jwks_private`).test(other.server.err));
	assert.equal(here.connections, 0);
	assert.ok((await other.metric("millrace_auth_key_failures_total")) >= 2);
	const token = rsa.token(claims("local", "ann"));
	assert.equal((await other.call("items.whoami", {}, { Authorization: `Bearer ${token}` })).code, "keys_unavailable");
	assert.equal((await other.server.stop()).code, 0);
	remove(other.home);
	await here.close();
});

test("a wrong list, or a file without keys, is refused at the start", () => {
	const begun = (list) => millrace(["dev", "--app-dir", stack.app, "--data-dir", join(dir, "data"), "--port", "0", "--auth-issuers", list]).err;
	assert.match(begun('[{"issuer":"x","jwks":"k"}]'), /auth_issuers: entry 1: audience must be/);
	assert.match(begun(join(dir, "nothing.json")), /auth_issuers: .*nothing\.json: No such file/);
	assert.match(begun(`[{"issuer":"x","audience":"a","jwks":"${dir}/issuers.json"}]`), /issuers\.json: it is no JSON Web Key Set.*\n.*auth_issuers: .* cannot be used/);
});

test("a clean end", async () => {
	assert.equal((await stack.stop()).code, 0);
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error|assert/i);
	await published.close();
	remove(dir);
});

await run();
