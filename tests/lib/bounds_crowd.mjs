// Many clients of one list with one row, of whom only the last message is kept: so they are exact when that holds what the row holds.
import net from "node:net";
import { randomBytes } from "node:crypto";
import { frame, request, UPGRADE } from "./net_client.mjs";

class Member {
	kept = Buffer.alloc(0);
	last = Buffer.alloc(0);
	upgraded = false;
	constructor(port, query) {
		this.socket = net.connect(port, "127.0.0.1");
		this.socket.setNoDelay(true);
		const hello = { t: "hello", protocol: 1, session: randomBytes(24).toString("base64url"), positions: false };
		this.socket.write(request("GET", "/api/sync", UPGRADE));
		this.opened = new Promise((done, failed) => {
			this.socket.once("error", failed);
			this.ready = done;
		});
		this.socket.on("data", (d) => this.take(d));
		this.say = [frame(1, JSON.stringify(hello)), frame(1, JSON.stringify({ t: "subscribe", id: 1, ...query }))];
	}
	take(data) {
		let at = 0;
		if (this.kept.length) data = Buffer.concat([this.kept, data]);
		if (!this.upgraded) {
			const end = data.indexOf("\r\n\r\n");
			if (end < 0) return void (this.kept = Buffer.from(data));
			this.upgraded = true;
			at = end + 4;
			for (const message of this.say) this.socket.write(message);
		}
		for (;;) {
			const left = data.length - at;
			if (left < 2) break;
			let n = data[at + 1] & 127, head = 2;
			if (n === 126) [n, head] = [left < 4 ? Infinity : data.readUInt16BE(at + 2), 4];
			else if (n === 127) [n, head] = [left < 10 ? Infinity : Number(data.readBigUInt64BE(at + 2)), 10];
			if (left < head + n) break;
			const payload = data.subarray(at + head, at + head + n);
			/* A fragment goes on with the message before it. */
			this.last = data[at] & 15 ? payload : Buffer.concat([this.last, payload]);
			at += head + n;
			if (this.ready && this.last.includes('"rows"')) this.ready = void this.ready();
		}
		this.kept = Buffer.from(data.subarray(at));
		this.last = Buffer.from(this.last);
	}
}

export class Crowd {
	static async open(port, n, query) {
		const crowd = new Crowd();
		crowd.members = [];
		while (crowd.members.length < n) {
			const some = Array.from({ length: Math.min(100, n - crowd.members.length) }, () => new Member(port, query));
			await Promise.all(some.map((m) => m.opened));
			crowd.members.push(...some);
		}
		return crowd;
	}
	pause() {
		for (const m of this.members) m.socket.pause();
	}
	resume() {
		for (const m of this.members) m.socket.resume();
	}
	/** How many hold this. */
	having(text) {
		return this.members.filter((m) => m.last.includes(text)).length;
	}
	close() {
		for (const m of this.members) m.socket.destroy();
	}
}
