-- Scheduled functions (docs/scheduler.md). Their table, millrace.job, is an entity of every app (`_scheduled_functions`,
-- client/src/server/scheduler.ts), so the installer makes it with the app's own; what is here looks it up when it is called.

-- Workers that have jobs in hand, and until when they are trusted to be alive.
create table if not exists millrace.worker (id uuid primary key, until timestamptz not null);
-- It is known to be dead. What it asked for before may be done after this, and it is not trusted again for that.
alter table millrace.worker add column if not exists lost boolean not null default false;

create or replace function millrace.job_beat(me uuid, lease interval) returns void language sql set search_path = pg_catalog, pg_temp as $body$
	insert into millrace.worker as w values (me, clock_timestamp() + lease)
		on conflict (id) do update set until = excluded.until where w.until < excluded.until - lease / 4 and not w.lost;
$body$;

-- Their jobs are anybody's from now on (job_reap).
create or replace function millrace.lose_workers(ids uuid[]) returns void language sql set search_path = pg_catalog, pg_temp as $body$
	insert into millrace.worker select id, clock_timestamp(), true from unnest(ids) id
		on conflict (id) do update set until = excluded.until, lost = true;
$body$;

-- Before the next attempt of a job that may be retried, in milliseconds; `tried`: attempts that count.
create or replace function millrace.job_backoff(retry jsonb, tried integer) returns double precision language sql immutable
	set search_path = pg_catalog, pg_temp as $body$
	select least((retry ->> 'maxBackoffMs')::double precision,
		(retry ->> 'initialBackoffMs')::double precision * power((retry ->> 'base')::double precision, tried - 1));
$body$;

-- The end of one attempt, if the job is still that worker's. `how`: 'success'; 'failed'; 'lost', when nothing is known to be wrong with
-- the function itself; 'back', when it was never begun. Gives the job's state, or null: it is somebody else's, or was canceled.
create or replace function millrace.end_job(which uuid, tried integer, how text, why jsonb, crashes integer) returns text
	language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	now timestamptz := date_trunc('milliseconds', clock_timestamp());
	j record;
	then_at timestamptz;
begin
	select * into j from millrace.job where id = which and state = 'inProgress' and attempt = tried for update;
	if not found then
		return null;
	end if;
	if how = 'success' then
		update millrace.job set state = how, error = null, holder = null, "finishedAt" = now where id = which;
		return how;
	end if;
	if how = 'back' then
		update millrace.job set state = 'pending', attempt = attempt - 1, holder = null, "startedAt" = null where id = which;
		return 'pending';
	end if;
	if how = 'lost' and j.kind = 'mutation' then
		if j.lost + 1 < crashes then
			then_at := now + interval '100 ms' * power(2, least(j.lost, 10));
		end if;
		update millrace.job set lost = lost + 1 where id = which;
	elsif j.retry is not null and j.attempt - j.lost < (j.retry ->> 'attempts')::integer then
		then_at := now + interval '1 ms' * millrace.job_backoff(j.retry, (j.attempt - j.lost)::integer);
	end if;
	update millrace.job set state = case when then_at is null then 'failed' else 'pending' end, error = why, holder = null,
		"runAt" = coalesce(then_at, "runAt"), "finishedAt" = case when then_at is null then now end where id = which;
	return case when then_at is null then 'failed' else 'pending' end;
end $body$;

-- The end of a mutation, in its own transaction: whether it was still that worker's. Found by its place, which it keeps while nobody
-- changes it: had a serializable transaction read an index, then it would conflict with all that change jobs nearby.
create or replace function millrace.end_own_job(place tid, which uuid, tried integer) returns boolean language plpgsql
	set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_indexscan = off set enable_bitmapscan = off as $body$
begin
	update millrace.job set state = 'success', error = null, holder = null, "finishedAt" = date_trunc('milliseconds', clock_timestamp())
		where ctid = place and id = which and state = 'inProgress' and attempt = tried;
	return found;
end $body$;

-- Jobs of workers that nobody hears of any more.
create or replace function millrace.job_reap(me uuid, crashes integer) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	j record;
begin
	for j in select id, attempt, kind from millrace.job where state = 'inProgress' and holder <> me
		and not exists (select from millrace.worker w where w.id = holder and w.until > clock_timestamp()) limit 100 for update skip locked
	loop
		perform millrace.end_job(j.id, j.attempt::integer, 'lost', case j.kind
			when 'mutation' then '{"code":"worker_crashed","message":"The worker that ran the function was lost."}'
			else '{"code":"action_interrupted","message":"The worker that ran the action was lost; how far the action came is not known."}'
			end::jsonb, crashes);
	end loop;
end $body$;

-- One look at what is due, by a worker that has `running` (with the numbers of their attempts) in hand and room for so many more.
-- What is claimed is committed before it begins. { "jobs": [...], "gone": [id, ...]: no longer its own, "in": milliseconds to the next }.
create or replace function millrace.claim_jobs(me uuid, running uuid[], attempts integer[], places integer, lease interval, crashes integer,
	known text[], unknown_wait interval) returns json language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	now timestamptz := date_trunc('milliseconds', clock_timestamp());
	claimed json;
	gone json;
	next timestamptz;
begin
	if cardinality(running) > 0 then
		perform millrace.job_beat(me, lease);
	end if;
	-- Claimed in a transaction whose end this worker was never told.
	update millrace.job set state = 'pending', attempt = attempt - 1, holder = null, "startedAt" = null where state = 'inProgress' and holder = me and id <> all(running);
	perform millrace.job_reap(me, crashes);
	perform millrace.run_crons(now);
	with due as (
		select id from millrace.job where state = 'pending' and "runAt" <= now and (name = any(known) or "runAt" <= now - unknown_wait)
			order by "runAt" limit greatest(places, 0) for update skip locked),
	taken as (
		update millrace.job j set state = 'inProgress', attempt = attempt + 1, holder = me, "startedAt" = now from due where j.id = due.id
			returning j.ctid, j.id, j.name, j.kind, j.args, j.attempt, j."runAt")
	select json_agg(json_build_object('id', id, 'place', ctid::text, 'fn', name, 'kind', kind, 'args', args, 'attempt', attempt,
		'late', floor(extract(epoch from now - "runAt") * 1000)) order by "runAt") into claimed from taken;
	if claimed is not null then
		perform millrace.job_beat(me, lease);
		delete from millrace.worker where until < now - interval '1 hour';
	end if;
	select json_agg(r.id) into gone from unnest(running, attempts) r(id, attempt) where not exists (
		select from millrace.job j where j.id = r.id and j.state = 'inProgress' and j.holder = me and j.attempt = r.attempt);
	select least((select "runAt" from millrace.job where state = 'pending' and "runAt" > now order by "runAt" limit 1),
		(select min(next_at) from millrace.cron)) into next;
	return json_build_object('jobs', coalesce(claimed, '[]'), 'gone', coalesce(gone, '[]'),
		'in', ceil(extract(epoch from next - clock_timestamp()) * 1000));
end $body$;

-- Removes some of those that ended so long ago; gives their number.
create or replace function millrace.retain_jobs(keep interval, most integer) returns bigint language plpgsql
	set search_path = pg_catalog, pg_temp as $body$
declare
	gone bigint;
begin
	with old as (select id from millrace.job where "finishedAt" < clock_timestamp() - keep order by "finishedAt" limit most
		for update skip locked),
	removed as (delete from millrace.job j using old where j.id = old.id returning 1)
	select count(*) into gone from removed;
	return gone;
end $body$;

revoke all on all functions in schema millrace from public;
grant execute on function millrace.uuid_v7(), millrace.this_hour() to public;
