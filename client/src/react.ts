// millrace/react: hooks. Each is thin over the plain client: useSyncExternalStore on what sync holds.

import {
	createContext,
	createElement,
	type ReactNode,
	useCallback,
	useContext,
	useInsertionEffect,
	useMemo,
	useState,
	useSyncExternalStore,
} from "react";
import type { FunctionRef } from "./api.js";
import { functionName } from "./api.js";
import {
	type ArgsOf,
	type Client,
	createClient,
	type EntityQuery,
	entitySpec,
	functionSpec,
	type MutationOptions,
	NO_STATUS,
	type SyncStatus,
} from "./client.js";
import { isBrowser } from "./development.js";
import { MillraceError } from "./error.js";
import type { EntitySpec, Spec } from "./results.js";
import type { ClientRow, EntityName } from "./server/schema.js";
import { LOADING, type Snapshot, specKey } from "./sync.js";

// --- which client ---

const ClientContext = createContext<Client | undefined>(undefined);

/** Gives a client to the hooks below it. */
export function MillraceProvider(props: { readonly client: Client<never> | Client; readonly children?: ReactNode }): ReactNode {
	return createElement(ClientContext.Provider, { value: props.client as Client }, props.children);
}

let ownClient: Client | undefined;

/** The client of the page's own origin; none where there is no page (rendering on a server). */
function pageClient(): Client | undefined {
	if (!ownClient && isBrowser()) ownClient = createClient();
	return ownClient;
}

function useClientOr(given: Client | undefined): Client | undefined {
	const provided = useContext(ClientContext);
	return given ?? provided ?? pageClient();
}

/** The client of the nearest provider, or the page's own. */
export function useClient<App = unknown>(): Client<App> {
	const client = useClientOr(undefined);
	if (!client) throw new Error("useClient: there is no MillraceProvider and no page");
	return client as unknown as Client<App>;
}

// --- queries ---

export interface QueryResult<R> {
	readonly data: readonly R[];
	/** Nothing that fits this query completely has come yet; `data` may hold what the same query with another limit shows. */
	readonly loading: boolean;
	/** The server has confirmed it on the present connection: an empty `data` means that there are no rows. */
	readonly synced: boolean;
	/** Shows an older snapshot than the rest of the page. */
	readonly behind: boolean;
	readonly error: MillraceError | undefined;
}
export interface OneResult<R> {
	readonly data: R | null;
	readonly loading: boolean;
	readonly synced: boolean;
	readonly error: MillraceError | undefined;
}
export interface ValueResult<T> {
	readonly data: T | undefined;
	readonly loading: boolean;
	readonly synced: boolean;
	readonly behind: boolean;
	readonly error: MillraceError | undefined;
}

const NO_ROWS: readonly never[] = Object.freeze([]);
const SKIPPED: Snapshot = Object.freeze({ ...LOADING, loading: false });
const nothing = () => () => undefined;

function useSnapshot(client: Client | undefined, spec: Spec | "skip"): Snapshot {
	const key = spec === "skip" ? "" : specKey(spec);
	// the key says all of the spec: an equal one of an earlier render serves as well
	const same = useMemo(() => spec, [key]); // eslint-disable-line react-hooks/exhaustive-deps
	const subscribe = useCallback(
		(changed: () => void) => (client && same !== "skip" ? client.watch(same, changed) : nothing()),
		[client, same],
	);
	const now = (): Snapshot => (same === "skip" ? SKIPPED : client ? client.peek(same) : LOADING);
	return useSyncExternalStore(subscribe, now, () => (same === "skip" ? SKIPPED : LOADING));
}

// --- mutations ---

/** Runs a mutation; also tells how the last run went. The same function throughout the component's life. */
export interface Mutator<Args, Result> {
	(...args: ArgsOf<Args>): Promise<Result>;
	/** Runs it; a failure shows in `error` only. */
	mutate(...args: ArgsOf<Args>): void;
	/** Runs it; the promise rejects with a MillraceError. */
	mutateAsync(...args: ArgsOf<Args>): Promise<Result>;
	readonly loading: boolean;
	readonly error: MillraceError | undefined;
	readonly data: Result | undefined;
	/** Forgets error and data. */
	reset(): void;
}

interface RunState<Result> {
	readonly running: number;
	readonly error: MillraceError | undefined;
	readonly data: Result | undefined;
}

interface MutatorParts<Args, Result> {
	readonly mutator: Mutator<Args, Result>;
	readonly configure: (
		client: Client | undefined,
		fn: FunctionRef<"mutation", Args, Result>,
		options: MutationOptions<unknown, Args> | undefined,
	) => void;
	readonly subscribe: (changed: () => void) => () => void;
	readonly state: () => RunState<Result>;
}

function asMillraceError(e: unknown): MillraceError {
	return e instanceof MillraceError ? e : new MillraceError("bad_args", e instanceof Error ? e.message : String(e));
}

function makeMutator<Args, Result>(): MutatorParts<Args, Result> {
	const idle: RunState<Result> = { running: 0, error: undefined, data: undefined };
	const listeners = new Set<() => void>();
	let state = idle;
	let start: ((args: Args) => Promise<Result>) | undefined;
	const set = (next: RunState<Result>): void => {
		state = next;
		for (const listener of [...listeners]) listener();
	};
	const run = async (...args: ArgsOf<Args>): Promise<Result> => {
		set({ ...state, running: state.running + 1, error: undefined });
		try {
			if (!start) throw new MillraceError("internal", "a mutation was called before its component was shown");
			const data = await start((args[0] ?? {}) as Args);
			set({ running: state.running - 1, error: undefined, data });
			return data;
		} catch (e) {
			const error = asMillraceError(e);
			set({ ...state, running: state.running - 1, error });
			throw error;
		}
	};
	const mutator = Object.defineProperties((...args: ArgsOf<Args>) => run(...args), {
		mutate: { value: (...args: ArgsOf<Args>) => void run(...args).catch(() => undefined) },
		mutateAsync: { value: run },
		loading: { get: () => state.running > 0 },
		error: { get: () => state.error },
		data: { get: () => state.data },
		reset: { value: () => set({ ...idle, running: state.running }) },
	}) as Mutator<Args, Result>;
	return {
		mutator,
		configure: (client, fn, options) => {
			start = client && ((args) => client.mutation(fn, args, options));
		},
		subscribe: (changed) => {
			listeners.add(changed);
			return () => void listeners.delete(changed);
		},
		state: () => state,
	};
}

// --- the hooks, typed by an app ---

export interface Db<App> {
	/** Rows of an entity, live. */
	useQuery<E extends EntityName<App>>(entity: E, query?: EntityQuery<ClientRow<App, E>> | "skip"): QueryResult<ClientRow<App, E>>;
	/** One row by id, live; null: there is none. */
	useQueryOne<E extends EntityName<App>>(entity: E, id: string | null | undefined | "skip"): OneResult<ClientRow<App, E>>;
	/** The result of a query function, live. */
	useReactiveQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: QueryArgs<Args>): ValueResult<Result>;
	useMutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>, options?: MutationOptions<App, Args>): Mutator<Args, Result>;
	useSyncStatus(): SyncStatus;
	useClient(): Client<App>;
}
export type QueryArgs<Args> = Record<never, never> extends Args ? [args?: Args | "skip"] : [args: Args | "skip"];

function useStatus(given: Client | undefined): SyncStatus {
	const client = useClientOr(given);
	const subscribe = useCallback(
		(changed: () => void) => {
			client?.connect();
			return client ? client.onStatus(changed) : nothing();
		},
		[client],
	);
	return useSyncExternalStore(
		subscribe,
		() => client?.status ?? NO_STATUS,
		() => NO_STATUS,
	);
}

/** What the line to the server is like, and since when. */
export function useSyncStatus(): SyncStatus {
	return useStatus(undefined);
}

/** Hooks for an app's entities. Without a client: that of the nearest provider, or the page's own. */
export function createDb<App = unknown>(givenClient?: Client<App>): Db<App> {
	const given = givenClient as unknown as Client | undefined;
	return {
		useQuery<E extends EntityName<App>>(entity: E, query: EntityQuery<ClientRow<App, E>> | "skip" = {}) {
			const now = useSnapshot(useClientOr(given), query === "skip" ? "skip" : entitySpec(entity, query));
			const { data, loading, synced, behind, error } = now;
			return { data: (data ?? NO_ROWS) as unknown as readonly ClientRow<App, E>[], loading, synced, behind, error };
		},
		useQueryOne<E extends EntityName<App>>(entity: E, id: string | null | undefined) {
			const spec: EntitySpec | "skip" =
				typeof id !== "string" || id === "skip" ? "skip" : { entity, where: { id }, order: undefined, limit: undefined };
			const { data, loading, synced, error } = useSnapshot(useClientOr(given), spec);
			const rows = (data ?? NO_ROWS) as unknown as readonly ClientRow<App, E>[];
			return { data: rows[0] ?? null, loading, synced, error };
		},
		useReactiveQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: QueryArgs<Args>) {
			const now = useSnapshot(useClientOr(given), args[0] === "skip" ? "skip" : functionSpec(fn, args[0]));
			const { data, loading, synced, behind, error } = now;
			return { data: data as Result | undefined, loading, synced, behind, error };
		},
		useMutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>, options?: MutationOptions<App, Args>) {
			const client = useClientOr(given);
			const [parts] = useState(() => makeMutator<Args, Result>());
			functionName(fn); // a wrong reference shows at once
			useInsertionEffect(() => parts.configure(client, fn, options as unknown as MutationOptions<unknown, Args> | undefined));
			useSyncExternalStore(parts.subscribe, parts.state, parts.state);
			return parts.mutator;
		},
		useSyncStatus: () => useStatus(given),
		useClient() {
			const client = useClientOr(given);
			if (!client) throw new Error("useClient: there is no MillraceProvider and no page");
			return client as unknown as Client<App>;
		},
	};
}

export { isPending } from "./layers.js";
export type { SyncStatus } from "./client.js";
