// The page of test/hooks.test.ts: the hooks of millrace/convex/react, and lists that grow, in StrictMode.

import { Component, type ReactNode, StrictMode, useCallback, useState } from "react";
import { createRoot } from "react-dom/client";
import { functionRef, type Row } from "millrace";
import {
	Authenticated,
	AuthLoading,
	ConvexProviderWithAuth,
	ConvexReactClient,
	insertAtTop,
	Unauthenticated,
	useAction,
	useConvex,
	useConvexConnectionState,
	useMutation,
	usePaginatedQuery,
	useQueries,
	useQuery,
} from "millrace/convex/react";
import { createDb, MillraceProvider } from "millrace/react";
import { entity, field } from "millrace/server";

const Channel = entity("Channel", { size: field.int() });
const app = { Channel, Message: entity("Message", { channel: field.id("Channel"), n: field.int(), body: field.string() }) };
const db = createDb<typeof app>();
type Line = Row & { readonly n: number; readonly body: string };
type Paging = { readonly channel: string; readonly paginationOpts: { readonly numItems: number; readonly cursor: string | null } };
type Page = { readonly page: Line[]; readonly isDone: boolean; readonly continueCursor: string };
const pageRef = functionRef<"query", Paging, Page>("messages.page");
const listRef = functionRef<"query", Record<never, never>, { channel: string; count: number }[]>("messages.list");
const sendRef = functionRef<"mutation", { readonly channel: string; readonly n: number; readonly body: string }, string>("messages.send");
const refuseRef = functionRef<"mutation", Record<never, never>, null>("messages.refuse");
const actRef = functionRef<"action", { readonly what: string }, string>("messages.act");

const seen = { first: [] as string[], least: Infinity, functions: new Set<unknown>() };
Object.assign(window, { seen });

class Boundary extends Component<{ readonly children: ReactNode }, { readonly message?: string }> {
	override state: { readonly message?: string } = {};
	static getDerivedStateFromError(e: Error) {
		return { message: e.message };
	}
	override render() {
		return this.state.message === undefined ? this.props.children : <p id="thrown">{this.state.message}</p>;
	}
}

function Pages() {
	const { results, status, isLoading, loadMore } = usePaginatedQuery(pageRef, { channel: "c" }, { initialNumItems: 3 });
	const send = useMutation(sendRef).withOptimisticUpdate((localQueryStore, args) => {
		const item: Line = { id: `new ${args.body}`, n: args.n, body: `${args.body} (sending)` };
		insertAtTop({ paginatedQuery: pageRef, argsToMatch: { channel: args.channel }, localQueryStore, item });
	});
	const first = results[0]?.body ?? "";
	if (seen.first.at(-1) !== first) seen.first.push(first);
	if (status !== "LoadingFirstPage") seen.least = Math.min(seen.least, results.length);
	seen.functions.add(loadMore);
	return (
		<section>
			<p id="status">{`${status} ${isLoading}`}</p>
			<ul id="pages">
				{results.map((line) => (
					<li key={line.id}>{line.body}</li>
				))}
			</ul>
			<button id="more" onClick={() => loadMore(2)}>
				more
			</button>
			<button id="send" onClick={() => void send({ channel: "c", n: 1000 + results.length, body: `sent ${results.length}` })}>
				send
			</button>
		</section>
	);
}

function Windows() {
	const paged = db.usePaginatedQuery("Message", { where: { channel: "c" }, orderBy: { n: "desc" } }, { initialNumItems: 2 });
	const infinite = db.useInfiniteQuery("Message", { where: { channel: "c" }, orderBy: { n: "asc" }, pageSize: 2 });
	const skipped = db.usePaginatedQuery("Message", "skip", { initialNumItems: 2 });
	const first = db.useInfiniteQuery("Message", { where: { channel: "c" }, include: { home: "channel" }, orderBy: { n: "asc" }, pageSize: 1 });
	return (
		<section>
			<p id="window">{`${paged.status} ${paged.results.map((row) => row.n).join(" ")}`}</p>
			<p id="infinite">{`${infinite.hasMore} ${infinite.loading} ${infinite.data.map((row) => row.n).join(" ")}`}</p>
			<p id="included">{first.data.map((row) => `${row.n} ${row.home?.id} ${row.home?.size}`).join()}</p>
			<p id="skipped">{`${skipped.status} ${skipped.results.length}`}</p>
			<button id="wider" onClick={() => (paged.loadMore(100), infinite.loadMore())}>
				wider
			</button>
		</section>
	);
}

function Rest() {
	const [wrong, setWrong] = useState(false);
	const [said, setSaid] = useState("");
	const counts = useQuery(listRef);
	const skipped = useQuery(listRef, "skip");
	const two = useQueries({ all: { query: listRef, args: {} }, none: { query: pageRef, args: { channel: "x", paginationOpts: { numItems: 1, cursor: null } } } });
	const refuse = useMutation(refuseRef), act = useAction(actRef);
	const { isWebSocketConnected } = useConvexConnectionState();
	const told = (e: unknown) => setSaid(`${(e as Error).name} ${JSON.stringify((e as { data?: unknown }).data)}`);
	seen.functions.add(refuse).add(act);
	return (
		<section>
			<p id="counts">{counts === undefined ? "undefined" : counts.map((one) => `${one.channel}:${one.count}`).join()}</p>
			<p id="skip">{String(skipped)}</p>
			<p id="two">{JSON.stringify(two)}</p>
			<p id="line">{String(isWebSocketConnected)}</p>
			<p id="said">{said}</p>
			<button id="refuse" onClick={() => void refuse().catch(told)} />
			<button id="event" onClick={refuse as never} />
			<button id="act" onClick={() => void act({ what: "it" }).then(setSaid)} />
			<button id="wrong" onClick={() => setWrong(true)} />
			<Boundary>{wrong && <Wrong />}</Boundary>
		</section>
	);
}
function Wrong() {
	return <p>{String(useQuery(functionRef<"query", Record<never, never>, string>("messages.fails")))}</p>;
}

/** Whoever signs users in. */
function useAuth() {
	const [token, setToken] = useState<string | null>(null);
	Object.assign(window, { setToken });
	const fetchAccessToken = useCallback(async () => token, [token]);
	return { isLoading: false, isAuthenticated: token !== null, fetchAccessToken };
}
const convex = new ConvexReactClient();

function Inner() {
	const client = useConvex().inner;
	return client ? (
		<MillraceProvider client={client}>
			<Pages />
			<Windows />
			<Rest />
			<p id="who">
				<AuthLoading>loading</AuthLoading>
				<Unauthenticated>nobody</Unauthenticated>
				<Authenticated>somebody</Authenticated>
			</p>
		</MillraceProvider>
	) : null;
}

const root = document.getElementById("root");
if (root)
	createRoot(root).render(
		<StrictMode>
			<ConvexProviderWithAuth client={convex} useAuth={useAuth}>
				<Inner />
			</ConvexProviderWithAuth>
		</StrictMode>,
	);
