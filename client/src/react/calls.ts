// Mutations and actions as hooks: a function to call that also tells how its last run went.

import { useInsertionEffect, useMemo, useState, useSyncExternalStore } from "react";
import { functionName, type FunctionRef } from "../api.js";
import type { ArgsOf, Client, MutationOptions } from "../client.js";
import { MillraceError } from "../error.js";
import type { LocalStore } from "../updates.js";

/** Runs a function; also tells how the last run went. The same function throughout the component's life. */
export interface Caller<Args, Result> {
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

/** Runs a mutation. */
export interface Mutator<Args, Result> extends Caller<Args, Result> {
	/** The same mutation; until it is answered, `update` says what it is expected to make of results of functions. */
	withOptimisticUpdate(update: (store: LocalStore, args: Args) => void): Mutator<Args, Result>;
}

interface RunState<Result> {
	readonly running: number;
	readonly error: MillraceError | undefined;
	readonly data: Result | undefined;
}

type Update<Args> = (store: LocalStore, args: Args) => void;
type Start<Args, Result> = (args: Args, update: Update<Args> | undefined) => Promise<Result>;

function asMillraceError(e: unknown): MillraceError {
	return e instanceof MillraceError ? e : new MillraceError("bad_args", e instanceof Error ? e.message : String(e));
}

/** What one component knows of the runs that it has started. */
class Runs<Args, Result> {
	private static readonly idle = { running: 0, error: undefined, data: undefined };
	private readonly listeners = new Set<() => void>();
	private now: RunState<Result> = Runs.idle;
	/** Set when the component has been shown. */
	start: Start<Args, Result> | undefined;

	readonly state = (): RunState<Result> => this.now;
	readonly subscribe = (changed: () => void): (() => void) => {
		this.listeners.add(changed);
		return () => void this.listeners.delete(changed);
	};
	private set(next: RunState<Result>): void {
		this.now = next;
		for (const listener of [...this.listeners]) listener();
	}
	private async run(update: Update<Args> | undefined, args: Args | undefined): Promise<Result> {
		this.set({ ...this.now, running: this.now.running + 1, error: undefined });
		try {
			refuseEvent(args);
			if (!this.start) throw new MillraceError("internal", "a function was called before its component was shown");
			const data = await this.start((args ?? {}) as Args, update);
			this.set({ running: this.now.running - 1, error: undefined, data });
			return data;
		} catch (e) {
			const error = asMillraceError(e);
			this.set({ ...this.now, running: this.now.running - 1, error });
			throw error;
		}
	}
	caller(update?: Update<Args>): Mutator<Args, Result> {
		const run = (...args: ArgsOf<Args>) => this.run(update, args[0]);
		return Object.defineProperties((...args: ArgsOf<Args>) => run(...args), {
			mutate: { value: (...args: ArgsOf<Args>) => void run(...args).catch(() => undefined) },
			mutateAsync: { value: run },
			loading: { get: () => this.now.running > 0 },
			error: { get: () => this.now.error },
			data: { get: () => this.now.data },
			reset: { value: () => this.set({ ...Runs.idle, running: this.now.running }) },
			withOptimisticUpdate: { value: (next: Update<Args>) => this.withUpdate(update, next) },
		}) as Mutator<Args, Result>;
	}
	private withUpdate(have: Update<Args> | undefined, update: Update<Args>): Mutator<Args, Result> {
		if (have) throw new Error("withOptimisticUpdate: this mutation has an optimistic update already");
		return this.caller(update);
	}
}

/** `onClick={send}` would send the event itself. */
function refuseEvent(args: unknown): void {
	if (typeof args === "object" && args !== null && "preventDefault" in args && "nativeEvent" in args)
		throw new MillraceError("bad_args", "a function was given a DOM event as its arguments: write onClick={() => send()}");
}

function useRuns<Args, Result>(fn: FunctionRef<"mutation" | "action", Args, Result>, start: Start<Args, Result> | undefined): Mutator<Args, Result> {
	const [runs] = useState(() => new Runs<Args, Result>());
	functionName(fn); // a wrong reference shows at once
	useInsertionEffect(() => void (runs.start = start));
	useSyncExternalStore(runs.subscribe, runs.state, runs.state);
	return useMemo(() => runs.caller(), [runs]);
}

export function useMutator<Args, Result>(
	client: Client | undefined,
	fn: FunctionRef<"mutation", Args, Result>,
	options: MutationOptions<unknown, Args> | undefined,
): Mutator<Args, Result> {
	return useRuns(fn, client && ((args, update) => client.mutation(fn, args, update ? { ...options, optimisticUpdate: update } : options)));
}

export function useActor<Args, Result>(client: Client | undefined, fn: FunctionRef<"action", Args, Result>): Caller<Args, Result> {
	return useRuns(fn, client && ((args) => client.action(fn, ...([args] as ArgsOf<Args>))));
}
