// Postgres's own account: every version of every row, by the transaction that wrote it, so that the content of any snapshot is known.
import { spawn } from "node:child_process";

/* `at` is the last number that the change log had drawn before the transaction's first write: its log rows have higher ones. After a crash xids
 * are handed out again and numbers are not, so the two together tell whether a snapshot of a time before holds a version. The function reads it under
 * the sequence's lock; a plain select of last_value may see the number 32 ahead that nextval writes to the WAL. */
export const AUDIT_SQL = `
create table if not exists audit (seq bigserial primary key, xid xid8 not null default pg_current_xact_id(),
	at bigint not null default current_setting('audit.at')::bigint, id uuid not null, row json);
create index if not exists audit_xid on audit (xid);
create or replace function audit_begin() returns void language sql as $$
	select set_config('audit.at', coalesce(pg_sequence_last_value('millrace.seq'), 0)::text, true) where coalesce(current_setting('audit.at', true), '') = '' $$;
create or replace function audit_before() returns trigger language plpgsql as $$ begin
	perform audit_begin();
	return case when tg_op = 'DELETE' then old else new end; end $$;
create or replace function audit_row() returns trigger language plpgsql as $$ begin
	if tg_op = 'DELETE' then insert into audit (id) values (old.id); return null; end if;
	if tg_op = 'UPDATE' and old.id <> new.id then insert into audit (id) values (old.id); end if;
	insert into audit (id, row) values (new.id, row_to_json(new));
	return null; end $$;
create or replace function audit_truncate() returns trigger language plpgsql as $$ begin
	perform audit_begin();
	insert into audit (id) select id from "Item";
	return null; end $$;
create or replace trigger aa_audit before insert or update or delete on "Item" for each row execute function audit_before();
create or replace trigger zz_audit after insert or update or delete on "Item" for each row execute function audit_row();
create or replace trigger zz_audit_truncate before truncate on "Item" for each statement execute function audit_truncate();
alter table "Item" enable always trigger aa_audit, enable always trigger zz_audit, enable always trigger zz_audit_truncate;
`;

/** A psql that stays open; statements in, text out. When its connection dies what was asked is answered with nothing, and another follows. */
export class Psql {
	constructor(command, args) {
		Object.assign(this, { command, args, waiting: [], out: "", errors: "", closed: false });
		this.open();
	}
	open() {
		const child = (this.child = spawn(this.command, this.args, { stdio: ["pipe", "pipe", "pipe"] }));
		this.out = "";
		child.stdout.setEncoding("utf8").on("data", (d) => this.read(d));
		child.stderr.setEncoding("utf8").on("data", (d) => (this.errors = (this.errors + d).slice(-4000)));
		child.stdin.on("error", () => undefined);
		this.up = true;
		child.on("close", () => {
			this.up = false;
			for (const answer of this.waiting.splice(0)) answer("");
			if (!this.closed) setTimeout(() => this.open(), 50);
		});
	}
	read(data) {
		this.out += data;
		for (let end; (end = this.out.indexOf("--done--\n")) >= 0; ) {
			this.waiting.shift()?.(this.out.slice(0, end));
			this.out = this.out.slice(end + 9);
		}
	}
	async run(sql) {
		while (!this.up) await new Promise((resolve) => setTimeout(resolve, 20));
		this.asked = sql;
		return new Promise((resolve) => {
			this.waiting.push(resolve);
			this.child.stdin.write(`${sql}\n\\echo --done--\n`);
		});
	}
	/** For the one who must find out what it waits for; nothing when it does not. */
	about() {
		return this.waiting.length || !this.up ? `psql ${this.child.pid}${this.up ? "" : " (ended)"}: ${this.asked}\n  said: ${this.out}\n  ${this.errors.slice(-500)}` : "";
	}
	close() {
		this.closed = true;
		this.child.stdin.end();
	}
}

const READ = `set statement_timeout = 0; begin isolation level repeatable read; select pg_snapshot_xmin(pg_current_snapshot());
select seq || '|' || xid || '|' || at || '|' || id || '|' || coalesce(row::text, '') from audit where xid >= '$since'::xid8 or seq > $known order by seq; select 'whole'; commit;`;

/** The rows at snapshots that come in their order. */
export class Walk {
	constructor(versions = []) {
		this.later = []; // versions that no snapshot so far has seen, by seq
		this.current = new Map(); // id -> { seq, row }, row null: it is gone
		this.alive = new Map(); // id -> row
		this.add(versions);
	}
	add(versions) {
		this.later = this.later.concat(versions);
		this.later.sort((a, b) => a.seq - b.seq);
	}
	/** true: the rows differ from those of the snapshot before. */
	advance(snapshot) {
		const rest = [];
		const before = this.later.length;
		for (const version of this.later) {
			const known = this.current.get(version.id);
			if (!snapshot.sees(version)) rest.push(version);
			else if (known === undefined || known.seq < version.seq) this.set(version);
		}
		this.later = rest;
		return rest.length !== before;
	}
	set(version) {
		this.current.set(version.id, version);
		if (version.row) this.alive.set(version.id, version.row);
		else this.alive.delete(version.id);
	}
	rows() {
		return [...this.alive.values()];
	}
}

/** All versions that were ever committed. */
export class Audit {
	constructor(psql) {
		this.psql = psql;
		this.known = new Set();
		this.versions = [];
		this.first = new Map(); // id -> its first version
		this.inserts = new Map(); // mark -> the first versions of the rows that have it
		this.last = 0; // the highest seq that was read
		this.since = "0"; // all transactions before it had ended when the audit was last read
	}
	/** Reads what has been committed since; gives the new versions. */
	async read() {
		let since, lines;
		for (let tries = 0; !/^\d+$/.test(since ?? ""); tries++) {
			if (tries === 300) throw new Error(`the audit cannot be read: ${this.psql.errors}`);
			if (tries) await new Promise((resolve) => setTimeout(resolve, 100)); // its connection may be what a fault has just ended
			const text = await this.psql.run(READ.replace("$since", this.since).replace("$known", this.last));
			[since, ...lines] = text.endsWith("whole\n") ? text.split("\n").slice(0, -2) : [];
		}
		this.since = since;
		return lines.map((line) => this.take(line)).filter((version) => version);
	}
	take(line) {
		const [seq, xid, at, id, ...rest] = line.split("|");
		if (this.known.has(seq)) return undefined;
		this.known.add(seq);
		this.last = Math.max(this.last, Number(seq));
		const row = rest.join("|");
		const version = { seq: Number(seq), xid: BigInt(xid), at: BigInt(at), id, row: row ? JSON.parse(row) : null };
		this.versions.push(version);
		this.noteFirst(version);
		return version;
	}
	/** The versions of these rows, in the order of their writing. */
	history(ids) {
		const own = this.versions.filter((v) => ids.includes(v.id)).sort((a, b) => a.seq - b.seq);
		return own.map(({ seq, xid, at, id, row }) => ({ seq, xid: String(xid), at: String(at), id, ...row }));
	}
	noteFirst(version) {
		const was = this.first.get(version.id);
		if (was && was.seq < version.seq) return;
		this.first.set(version.id, version);
		if (was?.row?.note) this.inserts.set(was.row.note, this.inserts.get(was.row.note).filter((v) => v !== was));
		const mark = version.row?.note;
		if (mark) this.inserts.set(mark, [...(this.inserts.get(mark) ?? []), version]);
	}
}
