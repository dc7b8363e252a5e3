// Where a client keeps what must outlive a page: per tab (session and calls under way) and per device (the identity token).

/** The part of the Storage interface that is used. */
export interface StringStore {
	getItem(key: string): string | null;
	setItem(key: string, value: string): void;
	removeItem(key: string): void;
}

export interface Stores {
	/** Lives as long as the tab, reloads included. */
	readonly tab: StringStore;
	/** Shared by all tabs of the device. */
	readonly device: StringStore;
}

export function memoryStore(): StringStore {
	const held = new Map<string, string>();
	return {
		getItem: (key) => held.get(key) ?? null,
		setItem: (key, value) => void held.set(key, value),
		removeItem: (key) => void held.delete(key),
	};
}

/** Storage may be absent, forbidden or full: then memory has to do, and what is lost is only what a reload would have brought back. */
function guarded(find: () => StringStore | undefined): StringStore {
	const memory = memoryStore();
	let found: StringStore | undefined;
	try {
		found = find();
		found?.getItem("millrace");
	} catch {
		found = undefined;
	}
	if (!found) return memory;
	const store = found;
	return {
		getItem: (key) => memory.getItem(key) ?? store.getItem(key),
		setItem: (key, value) => {
			try {
				store.setItem(key, value);
				memory.removeItem(key);
			} catch {
				memory.setItem(key, value);
			}
		},
		removeItem: (key) => {
			memory.removeItem(key);
			store.removeItem(key);
		},
	};
}

export function browserStores(): Stores {
	const scope = globalThis as { sessionStorage?: StringStore; localStorage?: StringStore };
	return { tab: guarded(() => scope.sessionStorage), device: guarded(() => scope.localStorage) };
}
