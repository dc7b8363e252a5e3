// Calls under way, as ConnectionState tells of them.

export type CallKind = "mutation" | "action";

export class Inflight {
	private readonly calls = new Set<{ readonly kind: CallKind; readonly since: number }>();
	private readonly changed: () => void;
	constructor(changed: () => void) {
		this.changed = changed;
	}
	/** The same promise; it counts until it has ended. */
	track<T>(kind: CallKind, call: Promise<T>): Promise<T> {
		const one = { kind, since: Date.now() };
		const end = () => {
			this.calls.delete(one);
			this.changed();
		};
		this.calls.add(one);
		this.changed();
		call.then(end, end);
		return call;
	}
	count(kind: CallKind): number {
		let n = 0;
		for (const one of this.calls) n += Number(one.kind === kind);
		return n;
	}
	/** Of those that are under way, the one that has been for longest. */
	get oldest(): Date | null {
		const [first] = this.calls; // they stand in the order in which they began
		return first ? new Date(first.since) : null;
	}
}
