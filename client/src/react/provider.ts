// Which client the hooks speak of.

import { createContext, createElement, type ReactNode, useCallback, useContext, useSyncExternalStore } from "react";
import { type Client, createClient, NO_STATUS, type SyncStatus } from "../client.js";
import { isBrowser } from "../development.js";

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

export function useClientOr(given: Client | undefined): Client | undefined {
	const provided = useContext(ClientContext);
	return given ?? provided ?? pageClient();
}

/** The client that was given, of the nearest provider, or the page's own. */
export function useSomeClient<App>(given: Client | undefined): Client<App> {
	const client = useClientOr(given);
	if (!client) throw new Error("useClient: there is no MillraceProvider and no page");
	return client as unknown as Client<App>;
}

/** The client of the nearest provider, or the page's own. */
export function useClient<App = unknown>(): Client<App> {
	return useSomeClient<App>(undefined);
}

export const nothing = () => () => undefined;

export function useStatus(given: Client | undefined): SyncStatus {
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
