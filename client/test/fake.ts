// A scripted socket and a client on it: the test plays the server, message by message.

import { afterEach } from "node:test";
import { type Client, createClient, type ClientOptions, type WebSocketMaker } from "../src/client.js";
import { memoryStore, type Stores } from "../src/stores.js";
import type { ClientMessage, ServerMessage } from "../src/tables.js";
import { decodeMessage, encodeMessage } from "../src/wire.js";

export class FakeSocket {
	binaryType = "";
	readyState = 0;
	onopen: ((event: never) => void) | null = null;
	onmessage: ((event: never) => void) | null = null;
	onclose: ((event: never) => void) | null = null;
	onerror: ((event: never) => void) | null = null;
	readonly sent: ClientMessage[] = [];
	readonly url: string;
	readonly protocols: string[];
	constructor(url: string, protocols: string[]) {
		this.url = url;
		this.protocols = protocols;
	}
	send(data: string | Uint8Array): void {
		if (this.readyState !== 1) throw new Error("the socket is not open");
		this.sent.push(decodeMessage(data) as unknown as ClientMessage);
	}
	close(): void {
		if (this.readyState === 3) return;
		this.readyState = 3;
		queueMicrotask(() => this.onclose?.({} as never));
	}
	// --- the server's side ---
	open(): this {
		this.readyState = 1;
		this.onopen?.({} as never);
		return this;
	}
	say(message: ServerMessage): this {
		const frame = encodeMessage(this.protocols[0] === "millrace.v1.json" ? "json" : "msgpack", message as unknown as ClientMessage);
		this.onmessage?.({ data: typeof frame === "string" ? frame : frame.buffer } as never);
		return this;
	}
	welcome(user: string | null = null, hour = Math.floor(Date.now() / 3600000)): this {
		return this.say({ t: "welcome", protocol: 1, user, hour, mode: "production", app: "test", ping_interval: 25000, max_frame: 1048576, max_depth: 64 });
	}
	/** Takes what was sent since the last take. */
	take(): ClientMessage[] {
		return this.sent.splice(0);
	}
	die(): void {
		this.readyState = 3;
		this.onclose?.({} as never);
	}
}

const open = new Set<Client>();
afterEach(() => {
	for (const client of open) client.close();
	open.clear();
});

export interface Fake {
	readonly client: Client;
	readonly sockets: FakeSocket[];
	readonly stores: Stores;
	readonly last: () => FakeSocket;
	/** Lets pending promises run. */
	readonly settle: () => Promise<void>;
	/** Waits until there is socket number n. */
	readonly nth: (n: number) => Promise<FakeSocket>;
}

export function fake(options: Partial<ClientOptions> = {}): Fake {
	const sockets: FakeSocket[] = [];
	const stores = options.storage ?? { tab: memoryStore(), device: memoryStore() };
	class Socket extends FakeSocket {
		constructor(url: string, protocols: string[]) {
			super(url, protocols);
			sockets.push(this);
		}
	}
	const client = createClient({
		url: "http://host:1",
		linger: 0,
		...options,
		storage: stores,
		WebSocket: Socket as unknown as WebSocketMaker,
	});
	open.add(client);
	const settle = async (): Promise<void> => {
		for (let i = 0; i < 10; i++) await Promise.resolve();
	};
	return {
		client,
		sockets,
		stores,
		last: () => {
			const socket = sockets.at(-1);
			if (!socket) throw new Error("no socket yet");
			return socket;
		},
		settle,
		nth: async (n) => {
			for (let i = 0; i < 400 && sockets.length < n; i++) await new Promise((resolve) => setTimeout(resolve, 5));
			const socket = sockets[n - 1];
			if (!socket) throw new Error(`socket ${n} never came`);
			return socket;
		},
	};
}
