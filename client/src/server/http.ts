// Routes of the app's own HTTP: functions/http.ts has their router as its default export.

import type { ActionCtx } from "./functions.js";

export type RoutableMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";

/** What a path's parts are called: `/users/:id/*` has `id`, and `*` for the rest. */
type NameOf<Part extends string> = Part extends `:${infer Name}` ? Name : Part extends "*" ? "*" : never;
type NamesOf<Path extends string> = Path extends `${infer Part}/${infer Rest}` ? NameOf<Part> | NamesOf<Rest> : NameOf<Path>;
type SomeParams = { readonly [name: string]: string };
export type ParamsOf<Path extends string> = string extends Path ? SomeParams : { readonly [Name in NamesOf<Path>]: string };

/** An action's context, and what the path's parameters stand for, percent-decoded. */
export interface HttpCtx<Params = SomeParams> extends ActionCtx {
	readonly params: Params;
}
export type HttpHandler<Params = SomeParams> = (ctx: HttpCtx<Params>, request: Request) => Response | Promise<Response>;

export class HttpAction {
	/** @internal */
	readonly handler: HttpHandler;
	/** @internal */
	constructor(handler: HttpHandler) {
		this.handler = handler;
	}
}

/** A handler that is declared apart from its routes: it does not know the names of their parameters. */
export function httpAction(handler: HttpHandler): HttpAction {
	if (typeof handler !== "function") throw new Error("httpAction(): give it a function of (ctx, request)");
	return new HttpAction(handler);
}

/** Pages of which origins may use the route. Without it a browser lets no page of another origin read an answer. */
export interface Cors {
	/** As `https://app.example.org`; "*": all. */
	readonly origins: readonly string[] | "*";
	/** Headers that a page may send besides the harmless ones; Authorization and Content-Type if nothing is said. */
	readonly headers?: readonly string[];
	/** Headers that a page may read besides the usual ones. */
	readonly expose?: readonly string[];
	/** Cookies are sent and let through; only with a list of origins. */
	readonly credentials?: boolean;
	/** Seconds for which a browser need not ask again; 600. */
	readonly maxAge?: number;
}

interface Answering<Params> {
	readonly method: RoutableMethod | readonly RoutableMethod[];
	/** What answers: it gets an action's context and a `Request`, and gives a `Response`. */
	readonly handler: HttpHandler<Params> | HttpAction;
	/** In place of the router's; false: none. */
	readonly cors?: Cors | false;
}
/** `/users/:id` has a parameter; a last `*` is the rest of the path. */
export interface PathRoute<Path extends string> extends Answering<ParamsOf<Path>> {
	readonly path: Path;
	readonly pathPrefix?: never;
}
/** The same as a path with `*` behind the prefix. */
export interface PrefixRoute<Prefix extends string> extends Answering<ParamsOf<`${Prefix}*`>> {
	readonly pathPrefix: Prefix;
	readonly path?: never;
}

/** @internal A route as declared. */
export interface Route {
	readonly path: string;
	readonly methods: readonly RoutableMethod[];
	readonly cors: Cors | undefined;
	readonly handler: HttpHandler;
}

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

function checkPath(path: string, what: string): void {
	const refuse = (why: string): never => {
		throw new Error(`http.route(): ${what} ${JSON.stringify(path)}: ${why}`);
	};
	if (!path.startsWith("/")) refuse("it begins with a slash");
	const parts = path.slice(1).split("/");
	if (parts[0] === "api" || /^\/(healthz|readyz|metrics)$/.test(path)) refuse("paths below /api, and /healthz, /readyz and /metrics, are the server's own");
	const names = parts.filter((part) => part.startsWith(":"));
	if (names.some((name) => !/^:[A-Za-z_]\w{0,62}$/.test(name))) refuse("a parameter is :name, of letters, digits and _");
	if (new Set(names).size < names.length) refuse("it names a parameter twice");
	parts.forEach((part, i) => {
		if (part === "*" ? i < parts.length - 1 : /[?#*\\ ]/.test(part)) refuse("* is for the last part of a path, and ? and # are none of it");
		if (part === "." || part === "..") refuse("it has a part of dots");
	});
}

function checkCors(cors: Cors, path: string): void {
	const refuse = (why: string): never => {
		throw new Error(`cors of ${path}: ${why}`);
	};
	if (cors.origins !== "*" && (!Array.isArray(cors.origins) || cors.origins.length === 0)) refuse('origins is "*" or a list');
	if (cors.origins === "*" && cors.credentials === true) refuse('with credentials, origins is a list, not "*"');
	for (const origin of cors.origins === "*" ? [] : cors.origins)
		if (typeof origin !== "string" || !/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#,A-Z]+$/.test(origin))
			refuse(`${JSON.stringify(origin)} is no origin: write https://example.org, in small letters and without a slash behind it`);
}

export class HttpRouter {
	/** @internal */
	readonly routes: Route[] = [];
	readonly #cors: Cors | undefined;
	/** @internal */
	constructor(cors: Cors | undefined) {
		this.#cors = cors;
	}
	route<Path extends string>(route: PathRoute<Path>): void;
	route<Prefix extends string>(route: PrefixRoute<Prefix>): void;
	route(route: PathRoute<string> | PrefixRoute<string>): void {
		const { pathPrefix, handler } = route;
		const what = pathPrefix === undefined ? "path" : "pathPrefix";
		const given = route[what];
		if (typeof given !== "string" || (route.path !== undefined && pathPrefix !== undefined)) throw new Error("http.route(): give it a path or a pathPrefix");
		if (pathPrefix !== undefined && !pathPrefix.endsWith("/")) throw new Error(`http.route(): pathPrefix ${JSON.stringify(pathPrefix)}: it ends with a slash`);
		const path = pathPrefix === undefined ? given : `${given}*`;
		checkPath(path, what);
		const methods: readonly RoutableMethod[] = typeof route.method === "string" ? [route.method] : route.method;
		if (!Array.isArray(methods) || methods.length === 0 || methods.some((method) => !METHODS.has(method)))
			throw new Error(`http.route(): method of ${given} is one or several of ${[...METHODS].join(", ")}`);
		const answers = handler instanceof HttpAction ? handler.handler : handler;
		if (typeof answers !== "function") throw new Error(`http.route(): handler of ${given} is to be a function of (ctx, request), or an httpAction`);
		const cors = route.cors === false ? undefined : (route.cors ?? this.#cors);
		if (cors) checkCors(cors, given);
		for (const other of this.routes)
			for (const method of methods)
				if (other.path === path && other.methods.includes(method)) throw new Error(`http.route(): ${method} ${given} is there already`);
		this.routes.push({ path, methods: [...new Set(methods)], cors, handler: answers as HttpHandler });
	}
}

/** `cors`: of all routes that say nothing else. */
export function httpRouter(options: { readonly cors?: Cors } = {}): HttpRouter {
	return new HttpRouter(options.cors);
}
