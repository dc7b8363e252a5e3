-- The schema `millrace`: the change log, the functions that write it, what retention has dropped (docs/changes.md).
-- Every statement may be run again on a database that has it already. SQL-standard bodies are parsed now, so that no
-- search_path of a later caller can change what they mean.

create schema if not exists millrace;
revoke all on schema millrace from public;

create table if not exists millrace.setting (key text collate "C" primary key, value text not null);
insert into millrace.setting values ('capture_max_rows', '10000'), ('capture_max_bytes', '16777216'), ('log_retention', '48'),
	('era', '0 0 48 0 0 48') on conflict do nothing;

-- Numbers changes and log rows alike; cache 1, or the numbers of two backends would not be in order of drawing.
create sequence if not exists millrace.seq cache 1;

-- Up to version 2 time was counted in days. Rows stay in their parts.
do $body$
begin
	if exists (select from pg_attribute where attrelid = to_regclass('millrace.change_log') and attname = 'day' and not attisdropped) then
		alter table millrace.change_log alter column day type integer using day * 24;
		alter table millrace.change_log rename column day to hour;
		update millrace.setting set value = value::integer * 24 where key = 'log_retention';
		update millrace.setting set value = (select string_agg((n::bigint * case when i in (2, 5) then 1 else 24 end)::text, ' ' order by i)
			from unnest(string_to_array(value, ' ')) with ordinality u(n, i)) where key = 'era';
		drop function millrace.part_of, millrace.kept_from, millrace.set_period, millrace.today, millrace.retain;
	end if;
end $body$;

-- Hours since 1970. The only clock that calls and retention go by.
create or replace function millrace.this_hour() returns integer language sql volatile parallel safe
	return pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp()) / 3600)::pg_catalog.int4;

-- In which part an hour's rows are kept, and from which hour on calls are surely remembered. A part is one period of hours
-- (log_retention); of the four, one is being filled, the one before is kept whole, the next one stays clean for calls of
-- clocks that run ahead, and the one after that may be truncated. `millrace.part_of` and `millrace.kept_from` carry the
-- period as a constant, so that they are folded into the statements that use them; `millrace.set_period` replaces both. A new
-- period begins a new era at the end of a part (mr_install_settings), so that no hour ever moves to another part.
create or replace function millrace.set_period(era_hour integer, era_part integer, era_period integer, past_hour integer, past_part integer,
	past_period integer) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
	execute format('create or replace function millrace.part_of(hour integer) returns smallint language sql immutable parallel safe return
		(case when hour >= %s then %s + (hour - %s) / %s else %s + (hour - %s) / %s end %% 4)::pg_catalog.int2',
		era_hour, era_part, era_hour, era_period, past_part, past_hour, past_period);
	execute format('create or replace function millrace.kept_from(now integer) returns integer language sql immutable parallel safe return
		case when now >= %1$s + %2$s then %1$s + ((now - %1$s) / %2$s - 1) * %2$s when now >= %1$s then %1$s - %4$s
		else %3$s + ((now - %3$s) / %4$s - 1) * %4$s end',
		era_hour, era_period, past_hour, past_period);
end $body$;
do $body$
declare
	era integer[] := (select string_to_array(value, ' ') from millrace.setting where key = 'era');
begin
	if to_regprocedure('millrace.part_of(integer)') is null then
		perform millrace.set_period(era[1], era[2], era[3], era[4], era[5], era[6]);
	end if;
end $body$;

-- A call whose record may have been dropped is refused by this, inside of the statement that would write the record.
create or replace function millrace.refuse_expired() returns smallint language plpgsql as $body$
begin
	raise exception 'the record of this call has been dropped' using errcode = 'MR001';
end $body$;

-- So is one whose hour is yet to come: its record would be in a part that others take for clean.
create or replace function millrace.refuse_ahead() returns smallint language plpgsql as $body$
begin
	raise exception 'the hour of this call is yet to come' using errcode = 'MR003';
end $body$;

-- And one that would commit while a call that it may conflict with has its turn alone.
create or replace function millrace.refuse_turn() returns smallint language plpgsql as $body$
begin
	raise exception 'another call has its turn' using errcode = 'MR002';
end $body$;

create table if not exists millrace.change_log (
	part smallint not null,
	seq bigint not null default nextval('millrace.seq'),
	xid xid8 not null default pg_current_xact_id(),
	tag bigint not null default (random() * 9007199254740991)::bigint,
	hour integer not null,
	token bytea,
	session text collate "C",
	call text collate "C",
	fn text collate "C",
	args_hash bytea,
	user_id text collate "C",
	result json,
	changes json
) partition by list (part);
create table if not exists millrace.change_log_0 partition of millrace.change_log for values in (0);
create table if not exists millrace.change_log_1 partition of millrace.change_log for values in (1);
create table if not exists millrace.change_log_2 partition of millrace.change_log for values in (2);
create table if not exists millrace.change_log_3 partition of millrace.change_log for values in (3);
create index if not exists change_log_xid on millrace.change_log (xid);
create index if not exists change_log_seq on millrace.change_log (seq);
create unique index if not exists change_log_call on millrace.change_log (part, session, call) where session is not null;
-- Next to nothing to keep, and retention need not read a part in order to know that it is old.
create index if not exists change_log_hour on millrace.change_log using brin (hour);

create table if not exists millrace.log_floor (xid xid8 not null, seq bigint not null);
insert into millrace.log_floor select '0', 0 where not exists (select from millrace.log_floor);

-- Identifiers of version 7: 48 bits of milliseconds, then random bits. Anybody's insert may need it.
create or replace function millrace.uuid_v7() returns uuid language sql volatile parallel safe
	return pg_catalog.encode(pg_catalog.set_bit(pg_catalog.set_bit(pg_catalog.overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
		pg_catalog.substring(pg_catalog.int8send(pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp()) * 1000)::pg_catalog.int8), 3),
		1, 6), 52, 1), 53, 1), 'hex')::pg_catalog.uuid;

-- One log row of a transaction that no worker speaks for.
create or replace function millrace.log_change(change text, number bigint) returns void language plpgsql
	set search_path = pg_catalog, pg_temp as $body$
declare
	now integer := millrace.this_hour();
begin
	-- What others can see must survive a crash, or numbers and positions would be given out twice.
	if current_setting('synchronous_commit') not in ('on', 'remote_apply') then
		perform set_config('synchronous_commit', 'on', true);
	end if;
	insert into millrace.change_log (part, seq, hour, changes) values (millrace.part_of(now), number, now, change::json);
end $body$;

-- "This table changed in ways that are not listed."
create or replace function millrace.mark_bulk(entity text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	number bigint := nextval('millrace.seq');
begin
	perform millrace.log_change('[{"s":' || number || ',"e":' || to_json(entity) || ',"bulk":true}]', number);
end $body$;

-- One row of a foreign writer. Images must not depend on that writer's settings, so all that row_to_json looks at is pinned.
create or replace function millrace.capture_row(entity text, image_old record, image_new record, mine text, spent text) returns void
	language plpgsql set search_path = pg_catalog, pg_temp set datestyle = 'ISO, MDY' set timezone = 'UTC' set extra_float_digits = 1
	set bytea_output = 'hex' set intervalstyle = 'iso_8601' set xmlbinary = 'base64' as $body$
declare
	rows_left bigint;
	bytes_left bigint;
	number bigint := nextval('millrace.seq');
	change text := '[{"s":' || number || ',"e":' || to_json(entity)
		|| coalesce(',"o":' || row_to_json(image_old)::text, '') || coalesce(',"n":' || row_to_json(image_new)::text, '') || '}]';
	marked text;
begin
	if split_part(spent, ' ', 1) = mine then
		rows_left := split_part(spent, ' ', 2);
		bytes_left := split_part(spent, ' ', 3);
	else
		select max(value) filter (where key = 'capture_max_rows'), max(value) filter (where key = 'capture_max_bytes')
			into rows_left, bytes_left from millrace.setting;
	end if;
	rows_left := rows_left - 1;
	bytes_left := bytes_left - octet_length(change);
	if rows_left >= 0 and bytes_left >= 0 then
		perform millrace.log_change(change, number);
	else
		perform millrace.mark_bulk(entity);
		marked := current_setting('millrace.bulk', true);
		if split_part(marked, '|', 1) is distinct from mine then
			marked := mine || '|';
		end if;
		perform set_config('millrace.bulk', marked || entity || '|', true);
	end if;
	perform set_config('millrace.spent', mine || ' ' || rows_left || ' ' || bytes_left, true);
end $body$;

-- The trigger of every row that no worker captures itself. `millrace.spent` (transaction, rows and bytes left) and
-- `millrace.bulk` (transaction, tables that have their marker) are local to the transaction and go back with a savepoint.
create or replace function millrace.capture() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
declare
	mine text := pg_current_xact_id()::text;
	marked text := current_setting('millrace.bulk', true);
begin
	if marked <> '' and starts_with(marked, mine || '|') and strpos(marked, '|' || tg_argv[0] || '|') > 0 then
		return null;
	end if;
	perform millrace.capture_row(tg_argv[0], old, new, mine, current_setting('millrace.spent', true));
	return null;
end $body$;

create or replace function millrace.capture_truncate() returns trigger language plpgsql security definer
	set search_path = pg_catalog, pg_temp as $body$
begin
	perform millrace.mark_bulk(tg_argv[0]);
	return null;
end $body$;

-- Truncates the part that is due. 'done', 'nothing', or why it must wait: then it is asked again later. Whoever reads the log has
-- locked it before he took his snapshot, so retention comes wholly before it or after his transaction (storage/ticker_log.c).
create or replace function millrace.retain() returns text language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	now integer := millrace.this_hour();
	kept integer := millrace.kept_from(now);
	due text := 'millrace.change_log_' || millrace.part_of(kept - 1);
	last text := format('select (select xid from %1$s order by xid desc limit 1), (select seq from %1$s order by seq desc limit 1)', due);
	last_xid xid8;
	last_seq bigint;
	xid_then xid8;
	seq_then bigint;
	young boolean;
	behind numeric;
	old record;
begin
	if kept <= 0 or millrace.part_of(kept - 1) in (millrace.part_of(kept), millrace.part_of(now), millrace.part_of(now + 1)) then
		return 'nothing';
	end if;
	execute last into last_xid, last_seq;
	if last_xid is null then
		return 'nothing';
	end if;
	if last_xid >= pg_snapshot_xmin(pg_current_snapshot()) then
		return format('transaction %s still runs', pg_snapshot_xmin(pg_current_snapshot()));
	end if;
	behind := pg_snapshot_xmax(pg_current_snapshot())::text::numeric - last_xid::text::numeric;
	select pid, xact_start into old from pg_stat_activity where age(backend_xmin) >= behind order by xact_start limit 1;
	if found then
		return format('process %s of Postgres holds a snapshot since %s', old.pid, old.xact_start);
	end if;
	-- A clock that ran ahead has left rows behind that are not old. Asked before anybody has to wait for us; what comes later shows below.
	execute format('select exists (select from %s where hour >= $1)', due) into young using kept;
	if young then
		return 'it holds rows of hours that the clock of Postgres has not reached again';
	end if;
	begin
		execute format('lock table only %s in access exclusive mode', due);
	exception when lock_not_available then
		return 'somebody reads it';
	end;
	execute last into xid_then, seq_then;
	if xid_then <> last_xid or seq_then <> last_seq then
		return 'rows are still written to it';
	end if;
	update millrace.log_floor set xid = greatest(xid, last_xid), seq = greatest(seq, last_seq);
	execute format('truncate only %s', due);
	return 'done';
end $body$;

revoke all on all functions in schema millrace from public;
grant execute on function millrace.uuid_v7(), millrace.this_hour() to public;

insert into millrace.setting values ('version', '5') on conflict (key) do update set value = excluded.value;
