// ConvexReactClient over the client of this package.

import type { FunctionRef } from "../api.js";
import { type ArgsOf, type Client, createClient, NO_STATUS, type WebSocketMaker } from "../client.js";
import { functionSpec } from "../specs.js";
import type { LocalStore } from "../updates.js";
import { asThrown } from "./error.js";
import { type CallKind, Inflight } from "./inflight.js";

export type FetchToken = (args: { readonly forceRefreshToken: boolean }) => Promise<string | null | undefined>;

/** Who is told of what happens, instead of the console. */
export interface Logger {
	logVerbose(...args: unknown[]): void;
	log(...args: unknown[]): void;
	warn(...args: unknown[]): void;
	error(...args: unknown[]): void;
}
export interface ConvexClientOptions {
	readonly webSocketConstructor?: WebSocketMaker;
	/** Nothing is sent until `setAuth` has given a token: for pages that are for signed-in users only. */
	readonly expectAuth?: boolean;
	/** Tells the logger of each change of the connection. */
	readonly verbose?: boolean;
	/** Default: the console; false: nobody. */
	readonly logger?: Logger | false;
	/** Taken, and needed no more: mutations outlive the page, so nobody need be warned who leaves it. */
	readonly unsavedChangesWarning?: boolean;
	/** Taken, and needed no more: any url will do. */
	readonly skipConvexDeploymentUrlCheck?: boolean;
	/** Taken, and needed no more: the server says when a token is about to expire. */
	readonly authRefreshTokenLeewaySeconds?: number;
	/** Taken, and needed no more: the first token is used until it expires. */
	readonly initialAuthTokenReuse?: boolean;
	/** Taken; there is nobody to report to. */
	readonly reportDebugInfoToConvex?: boolean;
}
export interface ConnectionState {
	readonly isWebSocketConnected: boolean;
	readonly hasEverConnected: boolean;
	/** How often it was connected. */
	readonly connectionCount: number;
	/** How often it was tried in vain since then. */
	readonly connectionRetries: number;
	readonly hasInflightRequests: boolean;
	readonly timeOfOldestInflightRequest: Date | null;
	readonly inflightMutations: number;
	readonly inflightActions: number;
}
export interface MutationOptions<Args> {
	readonly optimisticUpdate?: (localStore: LocalStore, args: Args) => void;
}
export interface PrewarmedQuery<Args, Result> {
	readonly query: FunctionRef<"query", Args, Result>;
	readonly args: Args;
	readonly extendSubscriptionFor?: number;
}
const PREWARMED = 5000;
/** A query that is watched outside of components. */
export interface Watch<T> {
	onUpdate(callback: () => void): () => void;
	/** Undefined: it has not come yet. Throws what the function threw. */
	localQueryResult(): T | undefined;
}

const REFUSED: ReadonlySet<string> = new Set(["bad_token", "token_expired", "unauthenticated"]);

const SILENT: Logger = { logVerbose: () => undefined, log: () => undefined, warn: () => undefined, error: () => undefined };
const CONSOLE: Logger = {
	logVerbose: (...args) => console.debug(...args),
	log: (...args) => console.log(...args),
	warn: (...args) => console.warn(...args),
	error: (...args) => console.error(...args),
};

/** What something waits for, and who says that it is there. */
function gate() {
	let open: () => void = () => undefined;
	const opened = new Promise<void>((resolve) => (open = resolve));
	return { opened, open };
}

async function thrown<T>(result: Promise<T>): Promise<T> {
	try {
		return await result;
	} catch (e) {
		throw asThrown(e);
	}
}

export class ConvexReactClient {
	/** The server; undefined: the page's own origin. */
	readonly url: string | undefined;
	private readonly options: ConvexClientOptions;
	private made: Client | undefined;
	private fetchToken: FetchToken | undefined;
	private onAuth: ((isAuthenticated: boolean) => void) | undefined;
	/** The server has not said yet what it thinks of the last token. */
	private asking = false;
	/** Opens with the first token. */
	private readonly expected: ReturnType<typeof gate> | undefined;
	private readonly logger: Logger;
	private readonly inflight = new Inflight(() => this.tellConnection());
	private readonly connectionListeners = new Set<(state: ConnectionState) => void>();
	private connectionCount = 0;
	private wasConnected = false;
	/** Sockets that were made since it was connected last. */
	private tries = 0;

	constructor(url?: string, options: ConvexClientOptions = {}) {
		this.url = url;
		this.options = options;
		this.logger = options.logger === false ? SILENT : (options.logger ?? CONSOLE);
		this.expected = options.expectAuth ? gate() : undefined;
	}
	/** The client below it; none where there are no sockets (rendering on a server). */
	get inner(): Client | undefined {
		const page = globalThis as { WebSocket?: WebSocketMaker; location?: unknown };
		const WebSocket = this.options.webSocketConstructor ?? page.WebSocket;
		if (!this.made && WebSocket && (this.url !== undefined || page.location !== undefined)) this.made = this.make(WebSocket);
		return this.made;
	}
	private make(WebSocket: WebSocketMaker): Client {
		const tried = () => void this.tries++;
		const client = createClient({
			...(this.url === undefined ? {} : { url: this.url }),
			WebSocket: function (url: string, protocols: string[]) {
				tried();
				return new WebSocket(url, protocols);
			} as unknown as WebSocketMaker,
			token: null,
			...(this.expected ? { after: this.expected.opened } : {}),
			getToken: async () => (await this.fetchToken?.({ forceRefreshToken: true })) ?? null,
			onError: (error) => {
				if (REFUSED.has(error.code)) this.tellAuth(false);
				else this.logger.warn(`millrace: ${error.code}: ${error.message}`);
			},
		});
		client.onStatus(({ state, user }) => {
			if (this.options.verbose) this.logger.logVerbose(`millrace: ${state}${user === undefined ? "" : `, as ${user ?? "nobody"}`}`);
			if (state === "connected" && !this.wasConnected) this.connectionCount++;
			this.wasConnected = state === "connected";
			if (this.wasConnected) this.tries = 0;
			this.tellConnection();
			if (typeof user === "string") this.tellAuth(true);
			else if (user === null && !this.asking) this.tellAuth(false);
		});
		return client;
	}
	private get client(): Client {
		if (!this.inner) throw new Error("there is no WebSocket here, or no page whose server is meant: new ConvexReactClient(url, { webSocketConstructor })");
		return this.inner;
	}
	private tellAuth(isAuthenticated: boolean): void {
		this.asking = false;
		this.onAuth?.(isAuthenticated);
	}

	query<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: ArgsOf<Args>): Promise<Result> {
		return thrown(this.client.query(fn, ...args));
	}
	mutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>, args?: Args, options?: MutationOptions<Args>): Promise<Result> {
		return thrown(this.track("mutation", this.client.mutation(fn, (args ?? {}) as Args, options)));
	}
	action<Args, Result>(fn: FunctionRef<"action", Args, Result>, ...args: ArgsOf<Args>): Promise<Result> {
		return thrown(this.track("action", this.client.action(fn, ...args)));
	}
	protected complain(error: Error): void {
		this.logger.error(error);
	}
	/** @internal What connectionState() counts. */
	track<T>(kind: CallKind, call: Promise<T>): Promise<T> {
		return this.inflight.track(kind, call);
	}
	watchQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: ArgsOf<Args>): Watch<Result> {
		const spec = functionSpec(fn, args[0]);
		return {
			onUpdate: (callback) => this.client.watch(spec, callback),
			localQueryResult: () => {
				const { data, error } = this.client.peek(spec);
				if (error) throw asThrown(error);
				return data as Result | undefined;
			},
		};
	}

	/** The query is live from now on, for so many milliseconds, so that its result is there when a component asks for it. */
	prewarmQuery<Args, Result>({ query, args, extendSubscriptionFor }: PrewarmedQuery<Args, Result>): void {
		const undo = this.client.watch(functionSpec(query, args), () => undefined);
		setTimeout(undo, extendSubscriptionFor ?? PREWARMED);
	}

	/** `fetchToken` is asked now, and again whenever a connection is made or the last token is refused. */
	setAuth(fetchToken: FetchToken, onChange?: (isAuthenticated: boolean) => void): void {
		this.fetchToken = fetchToken;
		this.onAuth = onChange;
		this.asking = true;
		void fetchToken({ forceRefreshToken: false })
			.catch(() => null)
			.then((token) => {
				if (this.fetchToken !== fetchToken) return;
				this.client.setToken(token ?? null);
				if (typeof token === "string") this.expected?.open();
				this.client.connect();
				const { user } = this.client.status;
				if (typeof token !== "string") this.tellAuth(false);
				else if (typeof user === "string") this.tellAuth(true); // nothing will change
			});
	}
	clearAuth(): void {
		this.fetchToken = undefined;
		this.asking = false;
		if (this.made) this.made.setToken(null);
		this.onAuth?.(false);
		this.onAuth = undefined;
	}
	connectionState(): ConnectionState {
		const { state, pending } = this.made?.status ?? NO_STATUS;
		const inflightMutations = Math.max(pending, this.inflight.count("mutation")), inflightActions = this.inflight.count("action");
		const isWebSocketConnected = state === "connected";
		return {
			isWebSocketConnected,
			hasEverConnected: this.connectionCount > 0,
			connectionCount: this.connectionCount,
			connectionRetries: isWebSocketConnected ? 0 : Math.max(this.tries - 1, 0),
			hasInflightRequests: inflightMutations + inflightActions > 0,
			timeOfOldestInflightRequest: this.inflight.oldest,
			inflightMutations,
			inflightActions,
		};
	}
	subscribeToConnectionState(callback: (state: ConnectionState) => void): () => void {
		void this.inner; // which tells of what changes
		const one = (state: ConnectionState) => callback(state);
		this.connectionListeners.add(one);
		return () => void this.connectionListeners.delete(one);
	}
	private tellConnection(): void {
		for (const listener of [...this.connectionListeners]) listener(this.connectionState());
	}
	async close(): Promise<void> {
		this.made?.close();
	}
}
