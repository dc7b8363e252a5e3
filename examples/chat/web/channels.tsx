import { MillraceError } from "millrace";
import { type FormEvent, useState } from "react";
import { api } from "../_generated/api";
import { db } from "../_generated/db";

interface Channel {
	readonly id: string;
	readonly name: string;
}

export function Channels({ channels, current }: { readonly channels: readonly Channel[]; readonly current: string | undefined }) {
	const create = db.useMutation(api.channels.create);
	const [name, setName] = useState("");

	const change = (value: string) => {
		setName(value);
		if (create.error) create.reset();
	};
	const submit = async (event: FormEvent) => {
		event.preventDefault();
		const wanted = name.trim().replace(/^#/, "").toLowerCase().replace(/\s+/g, "-");
		if (!wanted) return;
		try {
			await create({ name: wanted });
			setName("");
			location.hash = wanted;
		} catch (e) {
			if (!(e instanceof MillraceError)) throw e; // else it shows below the field
		}
	};
	return (
		<nav aria-label="Channels">
			<ul>
				{channels.map((channel) => (
					<li key={channel.id}>
						<a href={`#${encodeURIComponent(channel.name)}`} aria-current={channel.id === current ? "page" : undefined}>
							<span aria-hidden="true"># </span>
							{channel.name}
						</a>
					</li>
				))}
			</ul>
			<form onSubmit={submit} className="create">
				<label className="hidden" htmlFor="new-channel">
					New channel
				</label>
				<input id="new-channel" value={name} onChange={(e) => change(e.target.value)} placeholder="New channel" maxLength={33} autoComplete="off" />
				<button type="submit" disabled={create.loading || !name.trim()} aria-label="Create channel">
					+
				</button>
			</form>
			{create.error && (
				<p className="problem" role="alert">
					{create.error.message}
				</p>
			)}
		</nav>
	);
}
