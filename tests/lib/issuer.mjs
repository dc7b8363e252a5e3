// Issuers of tokens for tests: real keys, and a server on loopback that publishes them.
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign as signBytes } from "node:crypto";
import { createServer } from "node:http";

const KINDS = {
	RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
	ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
	EdDSA: () => generateKeyPairSync("ed25519"),
};
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
export const seconds = () => Math.floor(Date.now() / 1000);

/** One key: signs tokens, and shows its public half. */
export class Key {
	constructor(kid, alg, pair = KINDS[alg]()) {
		Object.assign(this, { kid, alg, ...pair });
	}
	get jwk() {
		return { ...this.publicKey.export({ format: "jwk" }), kid: this.kid, alg: this.alg, use: "sig" };
	}
	/** Of these claims; der: ES256 as OpenSSL writes it. */
	token(claims, { header = {}, der = false } = {}) {
		const text = `${part({ alg: this.alg, kid: this.kid, typ: "JWT", ...header })}.${part(claims)}`;
		const options = { key: this.privateKey, dsaEncoding: der ? "der" : "ieee-p1363" };
		return `${text}.${signBytes(this.alg === "EdDSA" ? null : "sha256", text, options).toString("base64url")}`;
	}
	/** The public key taken for a shared secret. */
	confused(claims) {
		const text = `${part({ alg: "HS256", kid: this.kid })}.${part(claims)}`;
		return `${text}.${createHmac("sha256", this.publicKey.export({ format: "pem", type: "spki" })).update(text).digest("base64url")}`;
	}
}

export const jwks = (...keys) => JSON.stringify({ keys: keys.map((k) => k.jwk) });

/** Answers each path with what stands in `answers`: a text, or a function of (request, response). */
export async function publish(answers) {
	const asked = {};
	const server = createServer((request, response) => {
		asked[request.url] = (asked[request.url] ?? 0) + 1;
		const answer = answers[request.url];
		if (typeof answer === "function") return answer(request, response);
		response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" }).end(answer ?? "{}");
	});
	const here = { asked, connections: 0 };
	server.on("connection", () => here.connections++);
	await new Promise((done) => server.listen(0, "127.0.0.1", done));
	const { port } = server.address();
	assert.ok(port);
	return Object.assign(here, {
		port,
		url: `http://127.0.0.1:${port}`,
		close: () => {
			server.closeAllConnections();
			return new Promise((done) => server.close(done));
		},
	});
}
