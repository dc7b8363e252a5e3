// A list that is read page by page (`usePaginatedQuery`): each page is a live function query of its own, and they adjoin.
//
//  P1  A page ends for good where it first ended: it is asked again with that end, and grows and shrinks with the rows between its ends.
//      Only the last page may be without an end.
//  P2  A page is shown once all before it have their ends, so that no row is missing between two or shown twice.
//  P3  What takes a page's place (the same with an end, or two halves of one that has doubled) is shown when all of it is there;
//      until then the page itself is.
//  P4  What did not change keeps its identity.

import { functionName, type FunctionRef } from "./api.js";
import { MillraceError } from "./error.js";
import type { FunctionSpec, Spec } from "./results.js";
import { cleanArgs, specKey } from "./specs.js";
import type { Snapshot } from "./sync.js";
import { isPlainObject, shareUnchanged, type Value } from "./values.js";

export type PagedStatus = "LoadingFirstPage" | "CanLoadMore" | "LoadingMore" | "Exhausted";

export interface Paged {
	readonly results: readonly Value[];
	readonly status: PagedStatus;
	readonly synced: boolean;
	readonly behind: boolean;
	readonly error: MillraceError | undefined;
}

/** What it needs of a client. */
export interface PagerHost {
	peek(spec: Spec): Snapshot;
	watch(spec: Spec, watcher: () => void): () => void;
}

interface PageValue {
	readonly page: readonly Value[];
	readonly isDone: boolean;
	readonly continueCursor: string;
}

function pageOf(value: Value, fn: string): PageValue {
	const { page, isDone, continueCursor } = (isPlainObject(value) ? value : {}) as Record<string, unknown>;
	if (Array.isArray(page) && typeof isDone === "boolean" && typeof continueCursor === "string") return value as unknown as PageValue;
	throw new MillraceError("bad_args", `${fn} gives no page: it must return what ctx.db.query(...).paginate(args.paginationOpts) gives`);
}

/** One page as it is asked. */
interface Piece {
	readonly spec: FunctionSpec;
	readonly cursor: string | null;
	readonly numItems: number;
	/** It was asked with this end. */
	readonly end: string | undefined;
	/** How many items it had when it came first, or when it could not be halved. */
	base: number | undefined;
	undo: (() => void) | undefined;
	/** What is to take its place. */
	heirs: readonly Piece[] | undefined;
	/** Asked to learn where its middle is. */
	probe: Piece | undefined;
}

export const NO_PAGES: Paged = Object.freeze({ results: Object.freeze([]), status: "LoadingFirstPage", synced: false, behind: false, error: undefined });

export class Pager {
	private readonly host: PagerHost;
	private readonly fn: string;
	private readonly args: { readonly [name: string]: Value };
	private readonly initial: number;
	private pieces: Piece[];
	private readonly listeners = new Set<() => void>();
	private busy = false;
	private state: Paged = NO_PAGES;

	constructor(host: PagerHost, fn: FunctionRef, args: unknown, initialNumItems: number) {
		this.host = host;
		this.fn = functionName(fn);
		this.args = cleanArgs(args) as { readonly [name: string]: Value };
		this.initial = count(initialNumItems, "usePaginatedQuery: initialNumItems");
		this.pieces = [this.piece(null, this.initial)];
		this.state = this.look();
	}

	private piece(cursor: string | null, numItems: number, end?: string): Piece {
		const paginationOpts = { numItems, cursor, ...(end === undefined ? {} : { endCursor: end }) };
		const spec: FunctionSpec = { fn: this.fn, args: { ...this.args, paginationOpts } };
		const piece: Piece = { spec, cursor, numItems, end, base: undefined, undo: undefined, heirs: undefined, probe: undefined };
		if (this.listeners.size > 0) this.watch(piece);
		return piece;
	}
	private watch(piece: Piece): void {
		piece.undo ??= this.host.watch(piece.spec, () => this.changed());
	}
	private leave(piece: Piece): void {
		for (const one of [...(piece.heirs ?? []), ...(piece.probe ? [piece.probe] : [])]) this.leave(one);
		piece.undo?.();
		piece.undo = undefined;
	}
	private peek(piece: Piece): { readonly value: PageValue | undefined; readonly snapshot: Snapshot; readonly error: MillraceError | undefined } {
		const snapshot = this.host.peek(piece.spec);
		if (snapshot.data === undefined || snapshot.error) return { value: undefined, snapshot, error: snapshot.error };
		try {
			return { value: pageOf(snapshot.data, this.fn), snapshot, error: undefined };
		} catch (e) {
			return { value: undefined, snapshot, error: e as MillraceError };
		}
	}

	// --- what changes ---

	private changed(): void {
		if (this.listeners.size === 0 || this.busy) return; // what it asks now may be known already, and tell at once
		this.busy = true;
		if (this.cursorRefused()) this.restart();
		for (const piece of [...this.pieces]) {
			this.settle(piece);
			this.inherit(piece);
		}
		this.busy = false;
		this.publish();
	}

	/** The function orders its rows in another way by now: begin again. */
	private cursorRefused(): boolean {
		const placed = this.pieces.filter((piece) => piece.cursor !== null || piece.end !== undefined);
		return placed.some((piece) => this.peek(piece).error?.code === "bad_args");
	}
	private restart(): void {
		const old = this.pieces;
		this.pieces = [this.piece(null, this.initial)];
		for (const piece of old) this.leave(piece);
	}

	/** A page that has come gets its end; one that has doubled is halved. */
	private settle(piece: Piece): void {
		const { value } = this.peek(piece);
		if (!value) return;
		piece.base ??= Math.max(value.page.length, piece.numItems);
		if (piece.end === undefined) this.giveEnd(piece, value);
		else if (!piece.heirs && value.page.length > 2 * piece.base) this.halve(piece, piece.end, value.page.length);
	}
	/** Where it ends now; it may move on until the next page has begun there. */
	private giveEnd(piece: Piece, { isDone, continueCursor }: PageValue): void {
		const [heir] = piece.heirs ?? [];
		if (heir && (heir.end === continueCursor || piece !== this.pieces.at(-1))) return;
		const heirs = isDone ? undefined : [this.piece(piece.cursor, piece.numItems, continueCursor)];
		if (heir) this.leave(heir);
		piece.heirs = heirs;
	}
	private halve(piece: Piece, end: string, length: number): void {
		const half = Math.ceil(length / 2);
		piece.probe ??= this.piece(piece.cursor, half);
		const { value, error } = this.peek(piece.probe);
		if (!value && !error) return;
		if (value && !value.isDone && value.continueCursor !== end)
			piece.heirs = [this.piece(piece.cursor, half, value.continueCursor), this.piece(value.continueCursor, half, end)];
		else piece.base = length;
		this.leave(piece.probe);
		piece.probe = undefined;
	}
	/** The heirs take over together. */
	private inherit(piece: Piece): void {
		const { heirs } = piece;
		const at = this.pieces.indexOf(piece), next = this.pieces[at + 1];
		if (!heirs?.every((heir) => this.peek(heir).value)) return;
		if (piece.end === undefined && next && !this.peek(next).value && !this.peek(next).error) return; // it may show rows that are the next one's by now
		this.pieces.splice(at, 1, ...heirs);
		piece.heirs = undefined;
		this.leave(piece);
		for (const heir of heirs) heir.base ??= Math.max(this.peek(heir).value?.page.length ?? 0, heir.numItems);
	}

	// --- what is shown ---

	private look(): Paged {
		const results: Value[] = [];
		let [synced, behind] = [true, false];
		for (const [i, piece] of this.pieces.entries()) {
			const { value, snapshot, error } = this.peek(piece);
			synced &&= snapshot.synced;
			behind ||= snapshot.behind;
			if (!value) return { results, status: i === 0 ? "LoadingFirstPage" : "LoadingMore", synced, behind, error };
			results.push(...value.page);
			const isLast = i === this.pieces.length - 1;
			if (isLast) return { results, status: value.isDone ? "Exhausted" : "CanLoadMore", synced, behind, error: undefined };
			if (piece.end === undefined) return { results, status: "LoadingMore", synced, behind, error: piece.heirs?.[0] && this.peek(piece.heirs[0]).error };
		}
		return NO_PAGES;
	}
	private publish(): void {
		const next = this.look();
		const results = shareUnchanged(this.state.results, next.results) as readonly Value[];
		if (samePaged(this.state, next) && results === this.state.results) return;
		this.state = { ...next, results };
		for (const listener of [...this.listeners]) listener();
	}

	// --- for hooks ---

	get snapshot(): Paged {
		return this.state;
	}
	subscribe(listener: () => void): () => void {
		const one = (): void => listener();
		this.listeners.add(one);
		for (const piece of this.pieces) for (const each of [piece, ...(piece.heirs ?? []), ...(piece.probe ? [piece.probe] : [])]) this.watch(each);
		this.changed();
		return () => {
			this.listeners.delete(one);
			if (this.listeners.size === 0) for (const piece of this.pieces) this.leave(piece);
		};
	}
	/** Nothing happens unless there is more, and it is not being loaded. */
	loadMore(numItems: number): void {
		const n = count(numItems, "loadMore");
		const last = this.pieces.at(-1);
		if (this.state.status !== "CanLoadMore" || !last) return;
		const cursor = last.end ?? last.heirs?.[0]?.end;
		if (cursor === undefined) return;
		this.pieces.push(this.piece(cursor, n));
		this.changed();
	}
	/** Equal ones show the same. */
	static key(fn: FunctionRef, args: unknown, initialNumItems: number): string {
		return `${initialNumItems} ${specKey({ fn: functionName(fn), args: cleanArgs(args) })}`;
	}
}

function count(n: number, what: string): number {
	if (!Number.isSafeInteger(n) || n < 1) throw new Error(`${what}: expected a whole number of items, at least 1, got ${String(n)}`);
	return n;
}

function samePaged(a: Paged, b: Paged): boolean {
	return a.status === b.status && a.synced === b.synced && a.behind === b.behind && a.error === b.error;
}
