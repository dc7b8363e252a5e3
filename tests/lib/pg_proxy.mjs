// Stands between a server and its Postgres, knows which message is the COMMIT of a call, and does to it, once, what it was armed with.
import { createServer, connect } from "node:net";

const LOG_ROW = "insert into millrace.change_log (part, hour, token";

class Link {
	statements = new Map();
	fromClient = Buffer.alloc(0);
	fromServer = Buffer.alloc(0);
	started = false;
	logs = false; // the log row of the call that is meant is on its way
	held = []; // messages that the server does not get
	constructor(proxy, client) {
		Object.assign(this, { proxy, client });
		this.server = connect(proxy.target);
		client.on("data", (data) => this.ask(data)).on("close", () => this.holding || this.server.destroy());
		this.server.on("data", (data) => this.answer(data)).on("close", () => this.client.destroy());
		for (const socket of [client, this.server]) socket.setNoDelay(true).on("error", () => {});
	}
	ask(data) {
		this.fromClient = Buffer.concat([this.fromClient, data]);
		for (let n; (n = this.length(this.fromClient, this.started)) > 0; this.started = true) {
			const message = this.fromClient.subarray(0, n);
			this.fromClient = this.fromClient.subarray(n);
			if (this.started) this.look(message);
			if (this.holding) this.held.push(message);
			else if (!this.server.destroyed) this.server.write(message);
		}
	}
	length(buffer, typed) {
		const at = typed ? 1 : 0;
		const n = buffer.length >= at + 4 ? at + buffer.readUInt32BE(at) : Infinity;
		return buffer.length >= n ? n : 0;
	}
	look(message) {
		const texts = message.toString("latin1", 5).split("\0", 2);
		if (message[0] === 0x50) this.statements.set(texts[0], texts[1]); // Parse: name, text
		if (message[0] !== 0x42) return; // Bind: portal, name
		const sql = this.statements.get(texts[1]) ?? "";
		if (sql.startsWith(LOG_ROW)) this.logs = message.includes(`"${this.proxy.group}"`);
		else if (sql === "rollback") this.logs = false;
		else if (sql === "commit" && this.logs) this.atCommit();
	}
	atCommit() {
		const { armed } = this.proxy;
		this.logs = false;
		if (!armed) return;
		this.proxy.armed = undefined;
		this.proxy.met = { how: armed, link: this };
		this.proxy.onMet?.();
		this.proxy.onMet = undefined;
		if (armed === "cut before") this.cut();
		else if (armed === "cut after" || armed === "cut all after") this.cutting = armed;
		else if (armed === "freeze") this.frozen = [];
		else this.holding = true;
	}
	answer(data) {
		if (this.frozen) return void this.frozen.push(data);
		if (!this.cutting) return void (this.client.destroyed || this.client.write(data));
		this.fromServer = Buffer.concat([this.fromServer, data]);
		if (this.fromServer.includes("COMMIT\0")) {
			// nothing of this reaches the client
			if (this.cutting === "cut all after") this.proxy.close();
			this.cut();
		}
	}
	cut() {
		this.server.destroy();
		this.client.destroy();
	}
	/** Of what was held back: whether Postgres gets it after all. The client is long gone. */
	release(commit) {
		this.holding = false;
		for (const message of this.held) if (commit) this.server.write(message);
		this.server.end();
	}
}

export class PgProxy {
	links = new Set();
	armed = undefined; // "cut before": COMMIT is not forwarded; "cut after": its answer is not; "cut all after": and nobody gets through any more; "freeze": nothing comes back; "hold": nothing goes on
	met = undefined;
	onMet = undefined; // called once, before it is done
	open = true;
	static async start(target) {
		const proxy = new PgProxy();
		proxy.target = target;
		proxy.listener = createServer((socket) => {
			if (!proxy.open) return void socket.destroy();
			const link = new Link(proxy, socket);
			proxy.links.add(link);
			link.server.on("close", () => proxy.links.delete(link));
		});
		await new Promise((done) => proxy.listener.listen(0, "127.0.0.1", done));
		proxy.port = proxy.listener.address().port;
		return proxy;
	}
	/** For the next call that writes a row of this group: an attempt of the last one may still be under way. */
	arm(how, group) {
		this.met = undefined;
		this.armed = how;
		this.group = group;
	}
	/** Nobody gets through: those that are, lose it. */
	close() {
		this.open = false;
		for (const link of this.links) link.cut();
	}
	stop() {
		this.close();
		this.listener.close();
	}
}
