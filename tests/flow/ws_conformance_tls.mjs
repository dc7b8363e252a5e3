// The same over TLS, where h2o encrypts and decrypts for us.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { remove, temporary } from "../lib/cli.mjs";
import { Raw } from "../lib/net_client.mjs";

const dir = temporary("tls");
const files = ["certificate.pem", "key.pem"].map((name) => join(dir, name));
const made = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=conformance", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]);
assert.equal(made.status, 0, String(made.stderr));
process.on("exit", () => remove(dir));
Raw.tls = { ca: readFileSync(files[0]), files };
await import("./ws_conformance.mjs");
