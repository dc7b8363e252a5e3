-- Sessions that the server signed, and what is revoked before its end (docs/identity.md). The tables are entities of every app
-- (`_sessions`, `_revocations`; client/src/server/sessions.ts), so the installer makes them with the app's own; what is here looks them
-- up when it is called.

-- Times go out as milliseconds since 1970.
create or replace function millrace.since_1970(t timestamptz) returns bigint language sql immutable set search_path = pg_catalog, pg_temp as $body$
	select floor(extract(epoch from t) * 1000)::bigint;
$body$;

create or replace function millrace.create_session(who text, said jsonb, ms bigint) returns json language plpgsql
	set search_path = pg_catalog, pg_temp as $body$
declare
	now timestamptz := date_trunc('milliseconds', clock_timestamp());
	made uuid := millrace.uuid_v7();
begin
	insert into millrace.session (id, "userId", claims, lasts, "createdAt", "expiresAt")
		values (made, who, said, ms, now, now + ms * interval '1 ms');
	return json_build_object('id', made, 'user', who, 'claims', said, 'issued', millrace.since_1970(now), 'ends', millrace.since_1970(now) + ms);
end $body$;

-- Another time of the same length, but not more than `most`. Null: it is revoked, over, or none of ours.
create or replace function millrace.renew_session(which uuid, most bigint) returns json language plpgsql
	set search_path = pg_catalog, pg_temp as $body$
declare
	now timestamptz := date_trunc('milliseconds', clock_timestamp());
	s record;
	ends timestamptz;
begin
	select * into s from millrace.session where id = which and "revokedAt" is null and "expiresAt" > now for update;
	if not found or exists (select from millrace.revocation r where r.id = which or (r."userId" = s."userId" and r.before > s."createdAt")) then
		return null;
	end if;
	ends := greatest(s."expiresAt", now + least(s.lasts, most) * interval '1 ms');
	update millrace.session set "expiresAt" = ends where id = which;
	return json_build_object('id', s.id, 'user', s."userId", 'claims', s.claims, 'issued', millrace.since_1970(now), 'ends', millrace.since_1970(ends));
end $body$;

-- From now on its tokens are refused. `forget_at`: when there are none any more, for those that have no row here (guests); null: never.
-- False: it was revoked already.
create or replace function millrace.revoke_session(which uuid, forget_at timestamptz default null) returns boolean language plpgsql
	set search_path = pg_catalog, pg_temp as $body$
declare
	now timestamptz := date_trunc('milliseconds', clock_timestamp());
	ends timestamptz;
begin
	update millrace.session set "revokedAt" = coalesce("revokedAt", now) where id = which returning "expiresAt" into ends;
	insert into millrace.revocation (id, until) values (which, coalesce(ends, forget_at)) on conflict do nothing;
	return found;
end $body$;

-- All tokens of this user that were issued before now, whoever signed them. Gives the number of his sessions that end so.
create or replace function millrace.revoke_user(who text) returns bigint language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	now timestamptz := date_trunc('milliseconds', clock_timestamp());
	ended bigint;
begin
	insert into millrace.revocation as r (id, "userId", before) values (millrace.uuid_v7(), who, now)
		on conflict ("userId") do update set before = excluded.before where r.before < excluded.before;
	update millrace.session set "revokedAt" = now where "userId" = who and "revokedAt" is null and "expiresAt" > now;
	get diagnostics ended = row_count;
	return ended;
end $body$;

-- Removes some of what nobody can have a good token of any more.
create or replace function millrace.retain_sessions(most integer) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	past timestamptz := clock_timestamp() - interval '1 day';
	max_age bigint := (select value::bigint from millrace.setting where key = 'auth_token_max_age');
begin
	if to_regclass('millrace.session') is null or to_regclass('millrace.revocation') is null then
		return;
	end if;
	delete from millrace.session where id in (select id from millrace.session where "expiresAt" < past limit most for update skip locked);
	delete from millrace.revocation where id in (select id from millrace.revocation where until < past limit most for update skip locked);
	-- Of users, when all tokens from before them are too old to be taken.
	if max_age > 0 then
		delete from millrace.revocation where id in (
			select id from millrace.revocation where before < past - max_age * interval '1 ms' limit most for update skip locked);
	end if;
end $body$;

revoke all on all functions in schema millrace from public;
grant execute on function millrace.uuid_v7(), millrace.this_hour() to public;
