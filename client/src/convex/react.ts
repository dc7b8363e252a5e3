// millrace/convex/react: the names of `convex/react`, with their meaning. An app is ported by changing its imports.

import { createContext, createElement, type ReactNode, useContext, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { FunctionRef } from "../api.js";
import type { ArgsOf, Client } from "../client.js";
import { type Caller, type Mutator, useActor, useMutator } from "../react/calls.js";
import type { PagedArgs, PagedFunction, QueryArgs } from "../react/db.js";
import { useSnapshot, usePages } from "../react/queries.js";
import { functionSpec, specKey } from "../specs.js";
import type { LocalStore } from "../updates.js";
import type { PagedStatus } from "../pager.js";
import { ConvexReactClient, type ConnectionState, type FetchToken } from "./client.js";
import { asThrown } from "./error.js";
import type { CallKind } from "./inflight.js";
import type { FunctionArgs, FunctionReturnType, OptionalRestArgs } from "./server.js";

export { ConvexReactClient } from "./client.js";
export type {
	ConnectionState,
	ConvexClientOptions,
	ConvexClientOptions as ConvexReactClientOptions,
	FetchToken,
	FetchToken as AuthTokenFetcher,
	Logger,
	MutationOptions,
	PrewarmedQuery,
	Watch,
} from "./client.js";
export { insertAtBottomIfLoaded, insertAtPosition, insertAtTop, optimisticallyUpdateValueInPaginatedQuery } from "./paginated.js";
export type { LocalStore as OptimisticLocalStore } from "../updates.js";
export type OptimisticUpdate<Args> = (localStore: LocalStore, args: Args) => void;

const ConvexContext = createContext<ConvexReactClient | undefined>(undefined);

export function ConvexProvider(props: { readonly client: ConvexReactClient; readonly children?: ReactNode }): ReactNode {
	return createElement(ConvexContext.Provider, { value: props.client }, props.children);
}

/** The client of the nearest provider. */
export function useConvex(): ConvexReactClient {
	const client = useContext(ConvexContext);
	if (!client) throw new Error("there is no ConvexProvider above: wrap the app in <ConvexProvider client={new ConvexReactClient(url)}>");
	return client;
}
const useInner = (): Client | undefined => useConvex().inner;

// --- queries ---

/** The result, live; undefined until it has come, or when skipped. Throws what the function threw. */
export function useQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: QueryArgs<Args>): Result | undefined {
	const { data, error } = useSnapshot(useInner(), args[0] === "skip" ? "skip" : functionSpec(fn, args[0]));
	if (error) throw asThrown(error);
	return data as Result | undefined;
}

export type RequestForQueries = { readonly [key: string]: { readonly query: FunctionRef<"query", never, unknown> | FunctionRef; readonly args: unknown } };

/** Any number of queries at once: results, undefined, or the Error of each. */
export function useQueries(requests: RequestForQueries): { readonly [key: string]: unknown } {
	const client = useInner();
	const specs = Object.entries(requests).map(([key, { query, args }]) => [key, functionSpec(query as FunctionRef, args)] as const);
	const all = JSON.stringify(specs.map(([key, spec]) => [key, specKey(spec)]));
	const store = useMemo(() => {
		let shown: { readonly [key: string]: unknown } = {};
		return {
			subscribe: (changed: () => void) => {
				const undo = specs.map(([, spec]) => client?.watch(spec, changed));
				return () => undo.forEach((one) => one?.());
			},
			look: () => {
				const now = specs.map(([key, spec]) => {
					const { data, error } = client?.peek(spec) ?? {};
					return [key, error ?? data] as const;
				});
				const same = Object.keys(shown).length === now.length && now.every(([key, value]) => Object.hasOwn(shown, key) && shown[key] === value);
				if (!same) shown = Object.fromEntries(now);
				return shown;
			},
		};
	}, [client, all]); // eslint-disable-line react-hooks/exhaustive-deps
	const found = useSyncExternalStore(store.subscribe, store.look, store.look);
	return useMemo(() => Object.fromEntries(Object.entries(found).map(([key, value]) => [key, asThrown(value)])), [found]);
}

export interface UsePaginatedQueryResult<Item> {
	readonly results: Item[];
	readonly status: PagedStatus;
	readonly isLoading: boolean;
	readonly loadMore: (numItems: number) => void;
}

/** A function that gives pages, its arguments without those that say which page, its items, and what comes of it. */
export type PaginatedQueryReference = PagedFunction<never, unknown>;
export type PaginatedQueryArgs<Fn> = Fn extends FunctionRef<"query", infer Args, infer _R> ? PagedArgs<Args> : never;
export type PaginatedQueryItem<Fn> = Fn extends FunctionRef<"query", infer _A, { readonly page: readonly (infer Item)[] }> ? Item : never;
export type UsePaginatedQueryReturnType<Fn> = UsePaginatedQueryResult<PaginatedQueryItem<Fn>>;

/** Pages of a function that takes `paginationOpts`. Throws what the function threw. */
export function usePaginatedQuery<Args extends { readonly paginationOpts: unknown }, Item>(
	fn: PagedFunction<Args, Item>,
	args: PagedArgs<Args> | "skip",
	options: { readonly initialNumItems: number },
): UsePaginatedQueryResult<Item> {
	const { results, status, isLoading, loadMore, error } = usePages<Item>(useInner(), fn as unknown as FunctionRef, args, options.initialNumItems);
	if (error) throw asThrown(error);
	return useMemo(() => ({ results: results as Item[], status, isLoading, loadMore }), [results, status, isLoading, loadMore]);
}

// --- calls ---

/** Runs a mutation. The same function throughout the component's life. `Fn` is its reference's type: `typeof api.messages.send`. */
export interface ReactMutation<Fn> {
	(...args: OptionalRestArgs<Fn>): Promise<FunctionReturnType<Fn>>;
	/** Shows what it is expected to do until it is answered. */
	withOptimisticUpdate(update: OptimisticUpdate<FunctionArgs<Fn>>): ReactMutation<Fn>;
}
export type ReactAction<Fn> = (...args: OptionalRestArgs<Fn>) => Promise<FunctionReturnType<Fn>>;

type Run<Args, Result> = (...args: ArgsOf<Args>) => Promise<Result>;

function counted<Args, Result>(client: ConvexReactClient, kind: CallKind, run: Caller<Args, Result>): Run<Args, Result> {
	return (...args) =>
		client.track(kind, run(...args)).catch((e: unknown) => {
			throw asThrown(e);
		});
}
function asMutation<Args, Result>(client: ConvexReactClient, run: Mutator<Args, Result>): ReactMutation<FunctionRef<"mutation", Args, Result>> {
	const withOptimisticUpdate = (update: OptimisticUpdate<Args>) => asMutation(client, run.withOptimisticUpdate(update));
	return Object.assign(counted(client, "mutation", run), { withOptimisticUpdate }) as unknown as ReactMutation<FunctionRef<"mutation", Args, Result>>;
}
export function useMutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>): ReactMutation<FunctionRef<"mutation", Args, Result>> {
	const client = useConvex();
	const run = useMutator(client.inner, fn, undefined);
	return useMemo(() => asMutation(client, run), [client, run]);
}
export function useAction<Args, Result>(fn: FunctionRef<"action", Args, Result>): ReactAction<FunctionRef<"action", Args, Result>> {
	const client = useConvex();
	const run = useActor(client.inner, fn);
	return useMemo(() => counted(client, "action", run) as unknown as ReactAction<FunctionRef<"action", Args, Result>>, [client, run]);
}

export function useConvexConnectionState(): ConnectionState {
	const client = useConvex();
	const [state, setState] = useState(() => client.connectionState());
	useEffect(() => {
		setState(client.connectionState());
		return client.subscribeToConnectionState(setState);
	}, [client]);
	return state;
}

// --- identity ---

export interface ConvexAuthState {
	/** It is not known yet whether the caller is signed in. */
	readonly isLoading: boolean;
	/** The server has taken the token. */
	readonly isAuthenticated: boolean;
}
const AuthContext = createContext<ConvexAuthState | undefined>(undefined);

interface AuthOfProvider {
	readonly isLoading: boolean;
	readonly isAuthenticated: boolean;
	readonly fetchAccessToken: FetchToken;
}

/** `useAuth` is the hook of whoever signs users in; its tokens are shown to the server. */
export function ConvexProviderWithAuth(props: {
	readonly client: ConvexReactClient;
	readonly useAuth: () => AuthOfProvider;
	readonly children?: ReactNode;
}): ReactNode {
	const { client, useAuth, children } = props;
	const { isLoading, isAuthenticated, fetchAccessToken } = useAuth();
	const [confirmed, setConfirmed] = useState<boolean>();
	useEffect(() => {
		if (isLoading) return;
		if (!isAuthenticated) {
			client.clearAuth();
			setConfirmed(false);
			return;
		}
		let gone = false;
		setConfirmed(undefined);
		client.setAuth(fetchAccessToken, (is) => !gone && setConfirmed(is));
		return () => void (gone = true);
	}, [client, isLoading, isAuthenticated, fetchAccessToken]);
	const state = useMemo(
		() => ({ isLoading: isLoading || confirmed === undefined, isAuthenticated: isAuthenticated && confirmed === true }),
		[isLoading, isAuthenticated, confirmed],
	);
	return createElement(AuthContext.Provider, { value: state }, createElement(ConvexProvider, { client }, children));
}

export function useConvexAuth(): ConvexAuthState {
	const state = useContext(AuthContext);
	if (!state) throw new Error("there is no ConvexProviderWithAuth above");
	return state;
}
interface Children {
	readonly children?: ReactNode;
}
export function Authenticated({ children }: Children): ReactNode {
	const { isLoading, isAuthenticated } = useConvexAuth();
	return !isLoading && isAuthenticated ? children : null;
}
export function Unauthenticated({ children }: Children): ReactNode {
	const { isLoading, isAuthenticated } = useConvexAuth();
	return isLoading || isAuthenticated ? null : children;
}
export function AuthLoading({ children }: Children): ReactNode {
	return useConvexAuth().isLoading ? children : null;
}
