// ConvexReactClient over the client of this package.

import type { FunctionRef } from "../api.js";
import { type ArgsOf, type Client, createClient, NO_STATUS, type SyncStatus, type WebSocketMaker } from "../client.js";
import { functionSpec } from "../specs.js";
import type { LocalStore } from "../updates.js";
import { asThrown } from "./error.js";

export type FetchToken = (args: { readonly forceRefreshToken: boolean }) => Promise<string | null | undefined>;

export interface ConvexClientOptions {
	readonly webSocketConstructor?: WebSocketMaker;
	/** Taken, and needed no more: mutations outlive the page, so nobody need be warned who leaves it. */
	readonly unsavedChangesWarning?: boolean;
	/** Taken, and needed no more: any url will do. */
	readonly skipConvexDeploymentUrlCheck?: boolean;
}
export interface ConnectionState {
	readonly isWebSocketConnected: boolean;
	readonly hasEverConnected: boolean;
	/** How often it was connected. */
	readonly connectionCount: number;
	readonly hasInflightRequests: boolean;
	readonly inflightMutations: number;
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

const connectionOf = ({ state, pending }: SyncStatus, connectionCount: number): ConnectionState => ({
	isWebSocketConnected: state === "connected",
	hasEverConnected: connectionCount > 0,
	connectionCount,
	hasInflightRequests: pending > 0,
	inflightMutations: pending,
});

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
	private connectionCount = 0;
	private wasConnected = false;

	constructor(url?: string, options: ConvexClientOptions = {}) {
		this.url = url;
		this.options = options;
	}
	/** The client below it; none where there are no sockets (rendering on a server). */
	get inner(): Client | undefined {
		const page = globalThis as { WebSocket?: WebSocketMaker; location?: unknown };
		const WebSocket = this.options.webSocketConstructor ?? page.WebSocket;
		if (!this.made && WebSocket && (this.url !== undefined || page.location !== undefined)) this.made = this.make(WebSocket);
		return this.made;
	}
	private make(WebSocket: WebSocketMaker): Client {
		const client = createClient({
			...(this.url === undefined ? {} : { url: this.url }),
			WebSocket,
			token: null,
			getToken: async () => (await this.fetchToken?.({ forceRefreshToken: true })) ?? null,
			onError: (error) => {
				if (REFUSED.has(error.code)) this.tellAuth(false);
				else console.warn(`millrace: ${error.code}: ${error.message}`);
			},
		});
		client.onStatus(({ state, user }) => {
			if (state === "connected" && !this.wasConnected) this.connectionCount++;
			this.wasConnected = state === "connected";
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
		return thrown(this.client.mutation(fn, (args ?? {}) as Args, options));
	}
	action<Args, Result>(fn: FunctionRef<"action", Args, Result>, ...args: ArgsOf<Args>): Promise<Result> {
		return thrown(this.client.action(fn, ...args));
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
		return connectionOf(this.made?.status ?? NO_STATUS, this.connectionCount);
	}
	subscribeToConnectionState(callback: (state: ConnectionState) => void): () => void {
		return this.client.onStatus((status) => callback(connectionOf(status, this.connectionCount)));
	}
	async close(): Promise<void> {
		this.made?.close();
	}
}
