// Who has said how much: the rows of a SQL join, live.
import { api } from "../_generated/api";
import { db } from "../_generated/db";
import type { Me } from "./me";

/** A colour that stays an author's. */
export function hueOf(author: string): number {
	let h = 0;
	for (const c of author) h = (h * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
	return (Math.imul(h, 2654435761) >>> 0) % 360; // neighbours far apart
}

export function People({ channel, me }: { readonly channel: string; readonly me: Me }) {
	const { data, error, behind } = db.useReactiveQuery(api.messages.perAuthor, { channel });
	const most = Math.max(1, ...(data ?? []).map((one) => one.count));
	return (
		<aside className="people" aria-labelledby="people-title">
			<h2 id="people-title">Who says how much</h2>
			{data?.length === 0 && <p className="empty">Nobody yet.</p>}
			<ul>
				{data?.map((one) => (
					<li key={one.author} data-author={one.author}>
						<span className="name">
							{one.name}
							{one.author === me.userId && <span className="you"> (you)</span>}
						</span>
						<span className="number">{one.count}</span>
						<span className="bar" style={{ width: `${(100 * one.count) / most}%`, "--hue": hueOf(one.author) } as object} aria-hidden="true" />
					</li>
				))}
			</ul>
			{behind && <p className="empty">A moment behind.</p>}
			{error && (
				<p className="problem" role="alert">
					{error.message}
				</p>
			)}
		</aside>
	);
}
