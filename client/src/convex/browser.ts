// millrace/convex/browser: the names of `convex/browser`: clients without React.

import { functionName, type FunctionRef } from "../api.js";
import type { ArgsOf } from "../client.js";
import { MillraceError } from "../error.js";
import { parseWire, printWire } from "../json.js";
import type { ErrorCode } from "../tables.js";
import type { Value } from "../values.js";
import { ConvexReactClient, type Logger } from "./client.js";
import { asThrown } from "./error.js";

export type { ConnectionState, ConvexClientOptions, FetchToken as AuthTokenFetcher, Logger, MutationOptions } from "./client.js";
export type { LocalStore as OptimisticLocalStore } from "../updates.js";
export type { OptimisticUpdate } from "./react.js";

/** Ends what onUpdate began. */
export interface Unsubscribe<T> {
	(): void;
	unsubscribe(): void;
	/** Undefined: it has not come yet. */
	getCurrentValue(): T | undefined;
}

export class ConvexClient extends ConvexReactClient {
	/** Calls back with the query's result, and again whenever that is another; or with the Error that it threw. */
	onUpdate<Args, Result>(
		query: FunctionRef<"query", Args, Result>,
		args: Args,
		callback: (result: Result) => unknown,
		onError?: (error: Error) => unknown,
	): Unsubscribe<Result> {
		const watch = this.watchQuery(query, ...([args] as ArgsOf<Args>));
		let told: { readonly is: unknown } | undefined;
		const tell = (is: unknown, how: () => unknown): void => {
			if (told && told.is === is) return;
			told = { is };
			how();
		};
		const look = (): void => {
			let result: Result | undefined;
			try {
				result = watch.localQueryResult();
			} catch (e) {
				const error = e as Error;
				return tell(error, () => (onError ? onError(error) : this.complain(error)));
			}
			if (result !== undefined) tell(result, () => callback(result));
		};
		const stop = watch.onUpdate(look);
		queueMicrotask(look); // it may be there already
		return Object.assign(() => stop(), { unsubscribe: stop, getCurrentValue: () => watch.localQueryResult() });
	}
}

interface HttpOptions {
	readonly auth?: string;
	readonly fetch?: typeof globalThis.fetch;
	/** Taken; what fails is thrown, and nothing else happens that could be told. */
	readonly logger?: Logger | boolean;
	readonly skipConvexDeploymentUrlCheck?: boolean;
}

/** One request for each call: for servers and scripts. Nothing is live, and a mutation whose answer is lost may have been done. */
export class ConvexHttpClient {
	readonly url: string;
	private readonly options: HttpOptions;
	private token: string | undefined;
	/** The last mutation: one goes after the other. */
	private last: Promise<unknown> = Promise.resolve();

	constructor(url: string, options: HttpOptions = {}) {
		this.url = url;
		this.options = options;
		this.token = options.auth;
	}
	setAuth(token: string): void {
		this.token = token;
	}
	clearAuth(): void {
		this.token = undefined;
	}
	query<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: ArgsOf<Args>): Promise<Result> {
		return this.call(fn, args[0]);
	}
	/** skipQueue: does not wait for those before it. */
	mutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>, args?: Args, options?: { readonly skipQueue?: boolean }): Promise<Result> {
		if (options?.skipQueue) return this.call(fn, args);
		const next = this.last.then(() => this.call<Result>(fn, args));
		this.last = next.catch(() => undefined);
		return next;
	}
	action<Args, Result>(fn: FunctionRef<"action", Args, Result>, ...args: ArgsOf<Args>): Promise<Result> {
		return this.call(fn, args[0]);
	}
	private async call<Result>(fn: FunctionRef<never, never, unknown> | FunctionRef, args: unknown): Promise<Result> {
		const send = this.options.fetch ?? fetch;
		const url = new URL(`/api/fn/${encodeURIComponent(functionName(fn))}`, this.url);
		const headers = { "content-type": "application/json", ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }) };
		const response = await send(url, { method: "POST", headers, body: printWire(args ?? {}, "args") });
		const { value, error } = readAnswer(await response.text(), response.status);
		if (error) throw asThrown(new MillraceError(error.code, error.message, error.data));
		return (value ?? null) as Result;
	}
}

interface Answer {
	readonly value?: Value;
	readonly error?: { readonly code: ErrorCode; readonly message: string; readonly data?: Value };
}
function readAnswer(text: string, status: number): Answer {
	try {
		const answer = parseWire(text) as unknown as Answer;
		if (typeof answer === "object" && answer !== null) return answer;
	} catch {
		// said below
	}
	throw new MillraceError("internal", `The answer of status ${status} is none of this server's; is there something else at this url?`);
}
