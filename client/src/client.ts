// The client: one socket run by the link, one sync that knows what is said on it, and the surface that apps use.

import { type ArgsOf, functionName, type FunctionRef, isFunctionRef } from "./api.js";
import { isBrowser, showDevelopment } from "./development.js";
import { MillraceError } from "./error.js";
import { Freshness } from "./freshness.js";
import { fetchFailed, Identity, type TokenFetcher } from "./identity.js";
import { newId } from "./ids.js";
import { cleanValue } from "./json.js";
import { Transaction } from "./layers.js";
import { initialLink, type LinkEvent, type LinkState, type LinkStatus, linkStatus, stepLink } from "./link.js";
import { Limits } from "./limits.js";
import type { Spec } from "./results.js";
import type { ClientRow, EntitiesOf, EntityName, IdOf, IncludeOf, InsertOf, OrderOf, PatchOf, ReadName, RowWith, WhereOf } from "./server/schema.js";
import { browserStores, type Stores } from "./stores.js";
import { cleanArgs, specKey, specOf } from "./specs.js";
import { type Snapshot, Sync } from "./sync.js";
import type { ClientMessage, ConsoleMessage, DevMessage, ErrorInfo, ServerMessage } from "./tables.js";
import type { LocalStore } from "./updates.js";
import type { Value } from "./values.js";
import { decodeMessage, encodeMessage, type Encoding, subprotocol } from "./wire.js";

/** The part of WebSocket that is used; `ws` fits as well. */
export interface WebSocketLike {
	binaryType: string;
	readonly readyState: number;
	send(data: string | Uint8Array<ArrayBuffer>): void;
	close(code?: number, reason?: string): void;
	onopen: ((event: never) => void) | null;
	onmessage: ((event: never) => void) | null;
	onclose: ((event: never) => void) | null;
	onerror: ((event: never) => void) | null;
}
export type WebSocketMaker = new (url: string, protocols: string[]) => WebSocketLike;

export interface ClientOptions {
	/** Of the server: `http(s)://` or `ws(s)://` with host. Default: the page's own origin. */
	readonly url?: string;
	/** Who the caller is; null: nobody. Default: what setToken stored on this device. */
	readonly token?: string | null;
	/** Asked for a token before each connection, shortly before the last one expires, and when it was refused. As `setAuth` later. */
	readonly getToken?: TokenFetcher;
	readonly storage?: Stores;
	readonly WebSocket?: WebSocketMaker;
	readonly encoding?: Encoding;
	/** Milliseconds for which a query stays live after its last watcher has gone. Default 1000. */
	readonly linger?: number;
	/** Connects when this has resolved, and not before; what is asked for meanwhile waits. */
	readonly after?: Promise<unknown>;
	/** Errors that no call and no query can be told: a refused token, a mutation of an earlier page that failed. */
	readonly onError?: (error: MillraceError) => void;
}

export interface SyncStatus {
	readonly state: LinkStatus;
	/** When that began (milliseconds since 1970). */
	readonly since: number;
	/** What is shown may be old: there is no line, or not all of it was answered on the new one, or the database does not answer. */
	readonly stale: boolean;
	/** Whether the server follows the database, as last told. */
	readonly following: boolean;
	/**
	 * The last moment at which what is shown is known to have been right (milliseconds since 1970; 0: none yet). Exact while `stale`;
	 * else that of the last change of this status.
	 */
	readonly asOf: number;
	/** Mutations without an answer. */
	readonly pending: number;
	/** Who the server says the caller is; undefined: it has not said yet. */
	readonly user: string | null | undefined;
}

/** Which rows: a filter, an order, how many at most. */
export interface EntityQuery<R> {
	readonly where?: WhereOf<R> | undefined;
	readonly orderBy?: OrderOf<R> | undefined;
	readonly limit?: number | undefined;
}
/** And what is told with each: the rows that fields of it refer to, as far as the caller may read them. */
export interface QueryWith<App, E, M> extends EntityQuery<ClientRow<App, E>> {
	readonly include?: M | undefined;
}

/** What an optimistic function may do: it says what the mutation is expected to change. */
export interface OptimisticTx<App = unknown> {
	/** Gives the id: that of `value`, what the fields of its key say, or a new one, which stands until the server says another. */
	insert<E extends EntityName<App>>(entity: E, value: Partial<ClientInsert<App, E>>): IdOf<App, E>;
	update<E extends EntityName<App>>(entity: E, id: IdOf<App, E>, changes: PatchOf<App, E>): void;
	delete<E extends EntityName<App>>(entity: E, id: IdOf<App, E>): void;
}
type ClientInsert<App, E> = E extends keyof EntitiesOf<App>
	? InsertOf<App, E>
	: { readonly id?: string; readonly [field: string]: Value | Date | undefined };

export interface MutationOptions<App, Args> {
	/** What it is expected to do to rows, as entity queries show them. */
	readonly optimistic?: ((tx: OptimisticTx<App>, args: Args) => unknown) | undefined;
	/** What it is expected to do to results of functions. Run anew whenever they change, until the mutation is answered. */
	readonly optimisticUpdate?: ((store: LocalStore, args: Args) => void) | undefined;
}

export type { ArgsOf };

export interface Client<App = unknown> {
	/** Keeps a query live; the callback gets each new result. Gives the undo. */
	onUpdate<E extends ReadName<App>, const M extends IncludeOf<App, E> = IncludeOf<App, E>>(
		entity: E,
		query: QueryWith<App, E, M>,
		callback: (rows: readonly RowWith<App, E, M>[]) => void,
		onError?: (error: MillraceError) => void,
	): () => void;
	onUpdate<Args, Result>(
		fn: FunctionRef<"query", Args, Result>,
		args: Args,
		callback: (value: Result) => void,
		onError?: (error: MillraceError) => void,
	): () => void;
	/** Asks once. */
	query<E extends ReadName<App>, const M extends IncludeOf<App, E> = IncludeOf<App, E>>(
		entity: E,
		query?: QueryWith<App, E, M>,
	): Promise<readonly RowWith<App, E, M>[]>;
	query<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: ArgsOf<Args>): Promise<Result>;
	/** Runs a mutation exactly once, also over reconnects and a reload. Rejects with a MillraceError. */
	mutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>, args: Args, options?: MutationOptions<App, Args>): Promise<Result>;
	/**
	 * Runs an action, at most once: `action_interrupted` says that it was begun and that its end is not known. Not kept over a reload.
	 * Rejects with a MillraceError.
	 */
	action<Args, Result>(fn: FunctionRef<"action", Args, Result>, ...args: ArgsOf<Args>): Promise<Result>;
	/** Signs in (kept on this device), or out with null. */
	setToken(token: string | null): void;
	/**
	 * Signs in by what fetches tokens: asked for one now and at each connection, and, with `forceRefreshToken`, shortly before it expires
	 * and when it was refused. The callback is told whether the server takes the caller for somebody, now and whenever that changes.
	 */
	setAuth(fetchToken: TokenFetcher, onChange?: (isAuthenticated: boolean) => void): void;
	/** Signs out, and asks for no more tokens. */
	clearAuth(): void;
	/**
	 * Ends the session on the server too, so that its tokens are good nowhere any more, and what keeps one here (sessionAuth, guestAuth)
	 * forgets it. Rejects when the server could not be told; here the caller is nobody all the same.
	 */
	signOut(): Promise<void>;
	readonly status: SyncStatus;
	onStatus(callback: (status: SyncStatus) => void): () => void;
	/** Lines and build errors that a server in development sends. */
	onDevelopment(callback: (message: ConsoleMessage | DevMessage) => void): () => void;
	/** For bindings: the state of a query, watched or not, and watching it. */
	peek(spec: Spec): Snapshot;
	watch(spec: Spec, watcher: () => void): () => void;
	/** Connects; the first query or call does it too. */
	connect(): void;
	close(): void;
}

function socketUrl(given: string | undefined): string {
	const page = (globalThis as { location?: { href: string } }).location?.href;
	const base = given ?? page;
	if (base === undefined) throw new Error("createClient: give the url of the server");
	const url = new URL(base, page);
	url.protocol = url.protocol === "https:" || url.protocol === "wss:" ? "wss:" : "ws:";
	url.pathname = "/api/sync";
	url.search = "";
	url.hash = "";
	return url.href;
}

type Listeners<T> = Set<(value: T) => void>;

function listen<T>(listeners: Listeners<T>, callback: (value: T) => void): () => void {
	const one = (value: T): void => callback(value);
	listeners.add(one);
	return () => void listeners.delete(one);
}

/** Runs the link: owns socket and timer, does what the effects say. */
class Runner {
	private state: LinkState = initialLink(Date.now());
	private socket: WebSocketLike | undefined;
	private timer: ReturnType<typeof setTimeout> | undefined;
	private readonly hooks: {
		readonly url: string;
		readonly encoding: Encoding;
		readonly WebSocket: WebSocketMaker;
		readonly greet: () => void;
		readonly message: (message: ServerMessage) => void;
		/** `clean`: the server has closed it in good order. */
		readonly lost: (clean: boolean) => void;
		/** Whether something that was said waits for its answer. */
		readonly unanswered: () => boolean;
		readonly status: (status: LinkStatus, since: number) => void;
		readonly confused: (error: MillraceError) => void;
	};
	private shown: LinkStatus = "connecting";
	/** Counts sockets: tells whether one that something waited for is still the one. */
	socketNumber = 0;

	constructor(hooks: Runner["hooks"]) {
		this.hooks = hooks;
	}
	on(event: LinkEvent, clean = false): void {
		const now = Date.now();
		const before = this.state;
		const { state, effects } = stepLink(before, event, now, Math.random());
		this.state = state;
		const wasLive = before.phase === "greeted" || before.phase === "ready";
		const isLive = state.phase === "greeted" || state.phase === "ready";
		if (wasLive && !isLive) this.hooks.lost(clean);
		for (const effect of effects) {
			if (effect === "open") this.open();
			else if (effect === "drop") this.drop();
			else if (effect === "greet") this.hooks.greet();
			else this.send({ t: "ping" });
		}
		if (state.due !== before.due || event.type === "timer") this.arm();
		const status = linkStatus(this.state);
		if (status !== this.shown) {
			this.shown = status;
			this.hooks.status(status, now);
		}
	}
	private arm(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		if (this.state.due === Infinity) return;
		this.timer = setTimeout(() => this.on({ type: "timer" }), Math.max(0, this.state.due - Date.now()));
	}
	private open(): void {
		let socket: WebSocketLike;
		this.socketNumber++;
		try {
			socket = new this.hooks.WebSocket(this.hooks.url, [subprotocol(this.hooks.encoding)]);
		} catch {
			queueMicrotask(() => this.on({ type: "lost" }));
			return;
		}
		socket.binaryType = "arraybuffer";
		this.socket = socket;
		const current = () => this.socket === socket;
		socket.onopen = () => {
			if (current()) this.on({ type: "opened" });
		};
		socket.onmessage = (event: { readonly data: unknown }) => {
			if (current()) this.heard(event.data);
		};
		socket.onclose = (event: { readonly wasClean?: boolean }) => {
			if (!current()) return;
			this.socket = undefined;
			this.on({ type: "lost" }, event.wasClean === true);
		};
		socket.onerror = () => undefined; // onclose follows
	}
	private drop(): void {
		const socket = this.socket;
		this.socket = undefined;
		socket?.close(1000);
	}
	/** The server asks to go, or cannot be understood: a new socket may do better. */
	abandon(): void {
		this.drop();
		this.on({ type: "lost" });
	}
	private heard(data: unknown): void {
		let message: ServerMessage;
		try {
			message = decodeMessage(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
		} catch (e) {
			this.hooks.confused(new MillraceError("bad_message", e instanceof Error ? e.message : String(e)));
			return this.abandon();
		}
		if (message.t === "welcome") this.on({ type: "welcomed", pingInterval: message.ping_interval });
		else this.on({ type: "heard" });
		this.hooks.message(message);
		if (this.state.quick !== Infinity && !this.hooks.unanswered()) this.on({ type: "settled" });
	}
	send(message: ClientMessage): void {
		if (this.socket?.readyState !== 1) return;
		this.socket.send(encodeMessage(this.hooks.encoding, message));
		if (IS_ANSWERED.has(message.t)) this.on({ type: "sent" });
	}
	/** The page is going, or told not to go on. */
	stop(): void {
		this.on({ type: "close" });
		clearTimeout(this.timer);
	}
}

const IS_ANSWERED: ReadonlySet<ClientMessage["t"]> = new Set(["auth", "subscribe", "call"] as const);
const TOKEN_ERRORS: ReadonlySet<string> = new Set(["bad_token", "token_expired", "session_revoked"]);

const scopesInUse = new Set<string>();

/** Two clients of one page must not share a session either. */
function claimScope(origin: string): string {
	let scope = origin;
	for (let n = 2; scopesInUse.has(scope); n++) scope = `${origin}#${n}`;
	scopesInUse.add(scope);
	return scope;
}

export const NO_STATUS: SyncStatus = Object.freeze({
	state: "connecting",
	since: 0,
	stale: true,
	following: true,
	asOf: 0,
	pending: 0,
	user: undefined,
});

/** But for `asOf`, which moves with every frame. */
function sameStatus(a: SyncStatus, b: SyncStatus): boolean {
	const line = a.state === b.state && a.since === b.since && a.stale === b.stale && a.following === b.following;
	return line && a.pending === b.pending && a.user === b.user;
}

class MillraceClient {
	private readonly options: ClientOptions;
	private readonly stores: Stores;
	/** Prefix of what this client keeps in the tab's store. */
	private readonly scope: string;
	private readonly sync: Sync;
	private readonly freshness = new Freshness();
	private readonly limits = new Limits();
	private readonly encoding: Encoding;
	private readonly runner: Runner;
	private readonly statusListeners: Listeners<SyncStatus> = new Set();
	private readonly devListeners: Listeners<ConsoleMessage | DevMessage> = new Set();
	private readonly undo: (() => void)[] = [];
	private readonly identity: Identity;
	private readonly url: string;
	private started = false;
	private closed = false;
	status: SyncStatus;

	constructor(options: ClientOptions) {
		this.options = options;
		const url = (this.url = socketUrl(options.url));
		const origin = `millrace:${new URL(url).host}`;
		this.scope = options.storage ? origin : claimScope(origin);
		this.undo.push(() => scopesInUse.delete(this.scope));
		this.stores = options.storage ?? browserStores();
		this.identity = new Identity({
			store: this.stores.device,
			key: `${origin}:token`,
			token: options.token,
			fetcher: options.getToken,
			authenticate: (token) => this.sync.authenticate(token),
			failed: (error) => this.failed(error),
		});
		const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketMaker }).WebSocket;
		if (!WebSocket) throw new Error("createClient: there is no WebSocket here; pass one, for instance { WebSocket } from the package ws");
		this.status = { ...NO_STATUS, since: Date.now() };
		this.encoding = options.encoding ?? "msgpack";
		this.sync = new Sync({
			send: (message) => this.runner.send(message),
			refusal: (message) => this.limits.refusal(message, (m) => encodeMessage(this.encoding, m)),
			store: this.stores.tab,
			scope: this.scope,
			linger: options.linger ?? 1000,
			now: () => Date.now(),
			onError: (error) => this.failed(error),
			onChange: () => this.noteStatus(),
		});
		this.runner = new Runner({
			url,
			encoding: this.encoding,
			WebSocket,
			greet: () => void this.greet(),
			message: (message) => this.receive(message),
			lost: (clean) => {
				if (clean) this.freshness.closed(this.sync.caughtUp, Date.now());
				this.sync.lost();
			},
			unanswered: () => this.sync.unanswered,
			status: (state, since) => this.noteStatus(state, since),
			confused: (error) => this.failed(error),
		});
		this.noteStatus();
		if (isBrowser()) this.undo.push(showDevelopment(this));
		if (this.sync.pending > 0) queueMicrotask(() => this.connect()); // what a reload interrupted
	}

	// --- the connection ---

	connect(): void {
		if (this.started || this.closed) return;
		this.started = true;
		this.listenToPage();
		void Promise.all([this.claimSession(), this.options.after]).then(() => this.closed || this.runner.on({ type: "start" }));
	}

	/** Two tabs must not share a session, and a duplicated tab starts with a copy of the other's store. Only the holder of the lock keeps it. */
	private async claimSession(): Promise<void> {
		const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
		if (!locks || this.options.storage) return;
		const claim = (signal: AbortSignal) =>
			new Promise<boolean>((resolve) => {
				const held = new Promise<void>((release) => this.undo.push(release));
				locks
					.request(`${this.scope}:${this.sync.sessionId}`, { signal }, () => {
						resolve(true);
						return held;
					})
					.catch(() => resolve(false));
			});
		const patience = new AbortController();
		const timer = setTimeout(() => patience.abort(), 500); // a page that reloads may still be letting go of it
		const mine = await claim(patience.signal);
		clearTimeout(timer);
		if (mine) return;
		this.sync.renewSession();
		await claim(new AbortController().signal);
	}

	private listenToPage(): void {
		type Listener = (event: { readonly key?: string | null; readonly newValue?: string | null }) => void;
		const page = globalThis as unknown as {
			addEventListener?: (type: string, listener: Listener) => void;
			removeEventListener?: (type: string, listener: Listener) => void;
			navigator?: { onLine?: boolean };
			document?: { visibilityState: string };
		};
		if (typeof page.addEventListener !== "function") return;
		const on = (type: string, listener: Listener): void => {
			page.addEventListener?.(type, listener);
			this.undo.push(() => page.removeEventListener?.(type, listener));
		};
		on("online", () => this.runner.on({ type: "network", up: true }));
		on("offline", () => this.runner.on({ type: "network", up: false }));
		on("storage", ({ key, newValue }) => this.identity.adopt(key, newValue ?? null));
		on("pageshow", () => this.runner.on({ type: "wake" }));
		const { document } = page;
		if (document) {
			const target = document as unknown as EventTarget;
			const visible = (): void => {
				if (document.visibilityState === "visible") this.runner.on({ type: "wake" });
			};
			target.addEventListener("visibilitychange", visible);
			this.undo.push(() => target.removeEventListener("visibilitychange", visible));
		}
		if (page.navigator?.onLine === false) this.runner.on({ type: "network", up: false });
	}

	private async greet(): Promise<void> {
		const socket = this.runner.socketNumber;
		let token: string | null = null;
		let problem: { readonly cause: unknown } | undefined;
		try {
			const given = this.identity.forGreeting();
			token = given instanceof Promise ? await given : given;
		} catch (cause) {
			problem = { cause };
		}
		if (socket !== this.runner.socketNumber) return; // it took too long; the next socket has asked again
		if (problem) {
			this.failed(fetchFailed(problem.cause));
			return this.runner.abandon();
		}
		this.freshness.begin();
		for (const message of this.sync.greeting(token)) this.runner.send(message);
	}

	private receive(message: ServerMessage): void {
		if (message.t === "console" || message.t === "dev") tell(this.devListeners, message);
		if (message.t === "welcome") this.limits.set(message);
		this.sync.receive(message);
		this.freshness.heard(message, this.sync.caughtUp, Date.now());
		this.noteStatus();
		if (message.t === "welcome") this.identity.welcomed(message.user);
		if (message.t === "expiry") this.identity.expiry(message.in, message.revoked ?? false);
		if (message.t === "error" && message.re === undefined) this.connectionRefused(message.error.code, message.fatal ?? false);
	}
	private connectionRefused(code: string, fatal: boolean): void {
		if (TOKEN_ERRORS.has(code) ? this.identity.refused(fatal) : fatal) this.runner.abandon();
	}
	private failed(error: MillraceError): void {
		if (this.options.onError) this.options.onError(error);
		else console.warn(`millrace: ${error.code}: ${error.message}`);
	}

	setToken(token: string | null): void {
		this.identity.setToken(token);
	}
	setAuth(fetchToken: TokenFetcher, onChange?: (isAuthenticated: boolean) => void): void {
		this.identity.setAuth(fetchToken, onChange, this.sync.connected);
	}
	clearAuth(): void {
		this.identity.clearAuth();
	}
	async signOut(): Promise<void> {
		const token = this.identity.current;
		this.identity.signOut();
		if (token === null) return;
		const url = new URL("/api/auth/sign-out", this.url);
		url.protocol = url.protocol.replace("ws", "http");
		const response = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` } });
		// 401: it was over. 403: it is of no session, so there is nothing to end.
		if (response.ok || response.status === 401 || response.status === 403) return;
		const { error } = (await response.json().catch(() => ({}))) as { error?: ErrorInfo };
		throw new MillraceError(error?.code ?? "internal", error?.message ?? `The server answered with status ${response.status}.`, error?.data);
	}

	private noteStatus(state = this.status.state, since = this.status.since): void {
		const { pending, user, caughtUp } = this.sync;
		const { following, asOf } = this.freshness;
		const stale = state !== "connected" || !following || !caughtUp;
		const next: SyncStatus = { state, since, stale, following, asOf, pending, user };
		if (sameStatus(this.status, next)) return;
		this.status = next;
		tell(this.statusListeners, next);
	}
	onStatus(callback: (status: SyncStatus) => void): () => void {
		return listen(this.statusListeners, callback);
	}
	onDevelopment(callback: (message: ConsoleMessage | DevMessage) => void): () => void {
		return listen(this.devListeners, callback);
	}
	close(): void {
		if (this.closed) return;
		this.closed = true;
		this.runner.stop();
		this.sync.close();
		this.identity.close();
		for (const undo of this.undo.splice(0)) undo();
	}

	// --- queries and calls ---

	peek(spec: Spec): Snapshot {
		return this.sync.peek(spec);
	}
	watch(spec: Spec, watcher: () => void): () => void {
		this.connect();
		return this.sync.watch(spec, watcher);
	}
	private follow(spec: Spec, callback: (data: Value) => void, onError?: (error: MillraceError) => void): () => void {
		const key = specKey(spec);
		let data: Value | undefined;
		let error: MillraceError | undefined;
		let over = false;
		const look = (): void => {
			if (over) return;
			const now = this.sync.peek(spec, key);
			if (now.error !== error) {
				error = now.error;
				if (error) onError?.(error);
			}
			if (now.data !== undefined && now.data !== data && !over) callback((data = now.data));
		};
		const undo = this.watch(spec, look);
		queueMicrotask(look); // what is known already, after the caller has its undo
		return () => {
			over = true;
			undo();
		};
	}
	onUpdate(what: unknown, query: unknown, callback: (data: never) => void, onError?: (error: MillraceError) => void): () => void {
		return this.follow(specOf(what, query), callback as (data: Value) => void, onError);
	}

	async query(what: unknown, query?: unknown): Promise<Value> {
		this.refuseIfClosed();
		this.connect();
		if (isFunctionRef(what)) return this.sync.call(functionName(what), cleanArgs(query), false);
		const spec = specOf(what, query);
		return new Promise((resolve, reject) => {
			let end: () => void = () => undefined;
			const look = (): void => {
				const now = this.sync.peek(spec);
				if (!now.error && !now.synced) return;
				end();
				if (now.error) reject(now.error);
				else resolve(now.data ?? null);
			};
			end = this.watch(spec, look);
			look();
		});
	}

	private refuseIfClosed(): void {
		if (this.closed) throw new MillraceError("shutting_down", "the client was closed");
	}

	async mutation(fn: FunctionRef, given: unknown, options?: LooseOptions): Promise<Value> {
		this.refuseIfClosed();
		this.connect();
		const name = functionName(fn);
		const args = cleanArgs(given);
		const tx = new Transaction(newId, cleanValue, (entity) => this.sync.keyOf(entity));
		options?.optimistic?.(tx, given ?? {});
		const { optimisticUpdate } = options ?? {};
		const update = optimisticUpdate && ((store: LocalStore) => optimisticUpdate(store, given ?? {}));
		return this.sync.call(name, args, true, { operations: tx.operations, update });
	}
	async action(fn: FunctionRef, given?: unknown): Promise<Value> {
		this.refuseIfClosed();
		this.connect();
		return this.sync.call(functionName(fn), cleanArgs(given), false);
	}
}

interface LooseOptions {
	readonly optimistic?: ((tx: Transaction, args: unknown) => unknown) | undefined;
	readonly optimisticUpdate?: ((store: LocalStore, args: unknown) => unknown) | undefined;
}

function tell<T>(listeners: Listeners<T>, value: T): void {
	for (const listener of [...listeners]) {
		try {
			listener(value);
		} catch (e) {
			setTimeout(() => {
				throw e;
			});
		}
	}
}

/** Makes a client. It connects with its first query or call, or when told to. */
export function createClient<App = unknown>(options: ClientOptions = {}): Client<App> {
	return new MillraceClient(options) as unknown as Client<App>;
}
