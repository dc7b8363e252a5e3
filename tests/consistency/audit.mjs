// Postgres's own account: every version of every row, by the transaction that wrote it, so that the content of any snapshot is known.
import { spawn } from "node:child_process";

export const AUDIT_SQL = `
create table if not exists audit (seq bigserial primary key, xid xid8 not null default pg_current_xact_id(), id uuid not null, row json);
create or replace function audit_row() returns trigger language plpgsql as $$ begin
	if tg_op = 'DELETE' then insert into audit (id) values (old.id);
	else insert into audit (id, row) values (new.id, row_to_json(new)); end if;
	return null; end $$;
create or replace trigger zz_audit after insert or update or delete on "Item" for each row execute function audit_row();
`;

/** A psql that stays open; statements in, text out. */
export class Psql {
	constructor(command, args) {
		this.child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
		this.waiting = [];
		this.out = "";
		this.errors = "";
		this.child.stdout.setEncoding("utf8").on("data", (d) => this.read(d));
		this.child.stderr.setEncoding("utf8").on("data", (d) => (this.errors += d));
		this.child.stdin.on("error", () => undefined);
	}
	read(data) {
		this.out += data;
		for (let end; (end = this.out.indexOf("--done--\n")) >= 0; ) {
			this.waiting.shift()?.(this.out.slice(0, end));
			this.out = this.out.slice(end + 9);
		}
	}
	run(sql) {
		return new Promise((resolve) => {
			this.waiting.push(resolve);
			this.child.stdin.write(`${sql}\n\\echo --done--\n`);
		});
	}
	close() {
		this.child.stdin.end();
	}
}

/** Follows the audit: state(snapshot) for snapshots that come in their order. */
export class Audit {
	constructor(psql) {
		this.psql = psql;
		this.known = new Set();
		this.later = []; // versions that no snapshot so far has seen, by seq
		this.current = new Map(); // id -> { seq, row }
		this.marks = new Map(); // note -> [xid]
	}
	/** Reads what has been committed since; a version may commit long after its number was drawn. */
	async read() {
		const floor = this.later.length ? this.later[0].seq - 1 : Math.max(0, this.last ?? 0) - 20000;
		const text = await this.psql.run(`select seq || '|' || xid || '|' || id || '|' || coalesce(row::text, '') from audit where seq > ${floor} order by seq;`);
		for (const line of text.split("\n")) {
			if (!line) continue;
			const [seq, xid, id, ...rest] = line.split("|");
			if (this.known.has(seq)) continue;
			this.known.add(seq);
			const row = rest.join("|");
			this.later.push({ seq: Number(seq), xid: BigInt(xid), id, row: row ? JSON.parse(row) : null });
			this.last = Math.max(this.last ?? 0, Number(seq));
		}
		this.later.sort((a, b) => a.seq - b.seq);
	}
	/** Rows of the snapshot; changed: whether they differ from those of the one before. */
	advance(snapshot) {
		const rest = [];
		let changed = false;
		for (const version of this.later) {
			if (!snapshot.sees(version.xid)) {
				rest.push(version);
				continue;
			}
			changed = true;
			const before = this.current.get(version.id);
			if (before === undefined || before.seq < version.seq) this.current.set(version.id, version);
			if (before === undefined && version.row?.note) this.marks.set(version.row.note, [...(this.marks.get(version.row.note) ?? []), version.xid]);
		}
		this.later = rest;
		return changed;
	}
	rows() {
		return [...this.current.values()].filter((v) => v.row).map((v) => v.row);
	}
}
