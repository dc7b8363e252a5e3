// Snapshots inside positions (storage/position.c); the checker reads them, clients never do.
export function snapshotOf(position) {
	const bytes = Buffer.from(position.split(".")[0], "base64url");
	let at = 1;
	const varint = () => {
		let value = 0n;
		for (let shift = 0n; ; shift += 7n) {
			const byte = bytes[at++];
			value |= BigInt(byte & 0x7f) << shift;
			if (!(byte & 0x80)) return value;
		}
	};
	varint(); // system
	varint(); // timeline
	const seq = varint(); // the highest number of a log row that it holds
	at += 8; // tag
	const xmin = varint();
	const xmax = xmin + varint();
	const running = new Set();
	for (let n = varint(), last = xmin; n > 0n; n--) running.add((last += varint()));
	const holds = (xid) => xid < xmax && !running.has(xid);
	return {
		seq,
		xmax,
		running,
		/** Both must say so: xids come again after a crash of Postgres, and what commits late has a low number. */
		sees: (version) => holds(version.xid) && version.at < seq,
		order: (seq << 64n) + xmax - BigInt(running.size),
	};
}
