-- Crons (docs/scheduler.md): what the app declares, and when each is due next. A due one becomes a job in the statement that moves it on,
-- so each occurrence is one job, whoever comes by.

create table if not exists millrace.cron (
	name text collate "C" primary key,
	spec jsonb not null, -- as the manifest has it
	next_at timestamptz,
	last_at timestamptz,
	ran bigint not null default 0,
	skipped bigint not null default 0
);
insert into millrace.setting values ('crons', '[]') on conflict do nothing;

-- The instants at which clocks there show this time, in order: none in a gap, two where an hour comes twice.
create or replace function millrace.instants_of(shown timestamp, zone text) returns timestamptz[] language plpgsql stable
	set search_path = pg_catalog, pg_temp as $body$
declare
	as_utc timestamptz := shown at time zone 'UTC';
	far interval := '26 hours'; -- more than any offset and any change of it
	before interval := (as_utc - far) at time zone zone - (as_utc - far) at time zone 'UTC';
	after interval := (as_utc + far) at time zone zone - (as_utc + far) at time zone 'UTC';
	instants timestamptz[] := '{}';
begin
	if (as_utc - greatest(before, after)) at time zone zone = shown then
		instants := instants || (as_utc - greatest(before, after));
	end if;
	if before <> after and (as_utc - least(before, after)) at time zone zone = shown then
		instants := instants || (as_utc - least(before, after));
	end if;
	return instants;
end $body$;

-- For a time that clocks there skip: when they go on behind the gap.
create or replace function millrace.gap_end(shown timestamp, zone text) returns timestamptz language plpgsql stable
	set search_path = pg_catalog, pg_temp as $body$
declare
	as_utc timestamptz := shown at time zone 'UTC';
	low bigint := extract(epoch from as_utc - interval '26 hours');
	high bigint := extract(epoch from as_utc + interval '26 hours');
	middle bigint;
begin
	-- The clock shows less than `shown` at low, and more at high.
	while high - low > 1 loop
		middle := (low + high) / 2;
		if to_timestamp(middle) at time zone zone < shown then
			low := middle;
		else
			high := middle;
		end if;
	end loop;
	return to_timestamp(high);
end $body$;

-- The first occurrence after this one; null: there is none in the next nine years.
create or replace function millrace.next_cron("when" jsonb, after timestamptz) returns timestamptz language plpgsql stable
	set search_path = pg_catalog, pg_temp as $body$
declare
	zone text := "when" ->> 'timeZone';
	minutes integer[] := array(select jsonb_array_elements("when" -> 'minutes')::integer);
	hours integer[] := array(select jsonb_array_elements("when" -> 'hours')::integer);
	days integer[] := array(select jsonb_array_elements("when" -> 'days')::integer);
	months integer[] := array(select jsonb_array_elements("when" -> 'months')::integer);
	weekdays integer[] := array(select jsonb_array_elements("when" -> 'weekdays')::integer);
	any_hour boolean := ("when" ->> 'anyHour')::boolean;
	any_day boolean := ("when" ->> 'anyDay')::boolean;
	shown_then timestamp := after at time zone zone;
	day date;
	shown timestamp;
	instants timestamptz[];
	one timestamptz;
	best timestamptz;
	best_day date;
	h integer;
	m integer;
begin
	if "when" ? 'everyMs' then
		return after + interval '1 ms' * ("when" ->> 'everyMs')::bigint;
	end if;
	for n in -1 .. 9 * 366 loop
		day := shown_then::date + n;
		-- Where the clock is put back over midnight, the day behind one may begin before that one ends.
		exit when best_day is not null and day > best_day + 1;
		continue when extract(month from day)::integer <> all(months);
		if any_day then
			continue when extract(day from day)::integer <> all(days) or extract(dow from day)::integer <> all(weekdays);
		else
			continue when extract(day from day)::integer <> all(days) and extract(dow from day)::integer <> all(weekdays);
		end if;
		<<times>>
		foreach h in array hours loop
			foreach m in array minutes loop
				shown := day + make_interval(hours => h, mins => m);
				-- What the clock showed so long ago comes again nowhere.
				continue when shown < shown_then - interval '3 hours';
				instants := millrace.instants_of(shown, zone);
				if not any_hour then
					instants := array[coalesce(instants[1], millrace.gap_end(shown, zone))];
				end if;
				exit times when instants[1] > best;
				foreach one in array instants loop
					if one > after and (best is null or one < best) then
						best := one;
						best_day := coalesce(best_day, day);
					end if;
				end loop;
			end loop;
		end loop;
	end loop;
	return best;
end $body$;

-- Brings the table in line with what an app declares. A cron whose times stay the same keeps its next one.
create or replace function millrace.set_crons(declared jsonb) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	c jsonb;
	now timestamptz := date_trunc('milliseconds', clock_timestamp());
	zone text;
begin
	delete from millrace.cron where name not in (select x ->> 'name' from jsonb_array_elements(declared) x);
	for c in select jsonb_array_elements(declared) loop
		zone := c -> 'when' ->> 'timeZone';
		if zone is not null and not exists (select from pg_timezone_names where name = zone) then
			raise exception 'cron "%": Postgres knows no time zone "%"; pg_timezone_names lists them', c ->> 'name', zone
				using errcode = 'invalid_parameter_value';
		end if;
		insert into millrace.cron as old (name, spec, next_at) values (c ->> 'name', c,
				case when zone is null then now else millrace.next_cron(c -> 'when', now) end)
			on conflict (name) do update set spec = excluded.spec,
				next_at = case when old.spec -> 'when' = excluded.spec -> 'when' then old.next_at else excluded.next_at end
				where old.spec <> excluded.spec;
	end loop;
	insert into millrace.setting values ('crons', declared::text) on conflict (key) do update set value = excluded.value;
end $body$;

-- Of the occurrences from `due` to `now` the last, the one after that, and how many come before it. A thousand are counted; behind that
-- the last one is looked for from ever nearer on.
create or replace function millrace.cron_due("when" jsonb, due timestamptz, now timestamptz, out last timestamptz, out next timestamptz,
	out missed bigint) language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
	every interval := interval '1 ms' * ("when" ->> 'everyMs')::bigint;
	ago interval;
begin
	if every is not null then
		missed := floor(extract(epoch from now - due) / extract(epoch from every));
		last := due + missed * every;
		next := last + every;
		return;
	end if;
	last := due;
	missed := 0;
	loop
		next := millrace.next_cron("when", last);
		exit when next is null or next > now;
		missed := missed + 1;
		last := next;
		if missed % 1000 = 0 then
			foreach ago in array array[interval '30 days', '1 day', '1 hour'] loop
				next := millrace.next_cron("when", greatest(last, now - ago));
				last := case when next <= now then next else last end;
			end loop;
		end if;
	end loop;
end $body$;

-- Makes jobs of what is due. Who comes while another is at it does something else.
create or replace function millrace.run_crons(now timestamptz) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
	c record;
	due record;
begin
	for c in select name, spec, next_at from millrace.cron where next_at <= now for update skip locked loop
		due := millrace.cron_due(c.spec -> 'when', c.next_at, now);
		if exists (select from millrace.job where cron = c.name and state in ('pending', 'inProgress')) then
			update millrace.cron set next_at = due.next, skipped = skipped + due.missed + 1 where name = c.name;
		else
			insert into millrace.job (name, kind, args, "runAt", retry, cron) values (c.spec ->> 'fn', c.spec ->> 'kind', c.spec -> 'args',
				due.last, nullif(c.spec -> 'retry', 'null'), c.name);
			update millrace.cron set next_at = due.next, last_at = due.last, ran = ran + 1, skipped = skipped + due.missed where name = c.name;
		end if;
	end loop;
end $body$;

revoke all on all functions in schema millrace from public;
grant execute on function millrace.uuid_v7(), millrace.this_hour() to public;
