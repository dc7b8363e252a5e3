// `ctx.scheduler`, and the entity in which scheduled functions are kept: a table of Millrace's own (millrace.job), which every app has. Its
// rows change like any others, so that a list of jobs is a live query.

import type { FunctionRef } from "../api.js";
import type { Id } from "./documents.js";
import { entity, Field, field, registry } from "./schema.js";
import type { Value } from "../values.js";

export const SCHEDULED = "_scheduled_functions";

export type JobState = "pending" | "inProgress" | "success" | "failed" | "canceled";

/** What is done about a failure: nothing more, unless it is asked for. */
export interface RetryOptions {
	/** How often it runs at most, the first time included; from 1 to 100. */
	readonly attempts: number;
	/** Before the second attempt; 1000 when it is not given. */
	readonly initialBackoffMs?: number;
	/** By how much the time grows with each attempt; 2 when it is not given. */
	readonly base?: number;
	/** 600000 when it is not given. */
	readonly maxBackoffMs?: number;
}
export interface ScheduleOptions {
	readonly retry?: RetryOptions;
}
/** The arguments may be left out when none is required. */
export type ScheduleArgs<Args> = Record<never, never> extends Args
	? [args?: Args, options?: ScheduleOptions]
	: [args: Args, options?: ScheduleOptions];

export interface Scheduler {
	/**
	 * Has a mutation run exactly once, or an action at most once, so many milliseconds from now; 0: as soon as this mutation is committed.
	 * It is nobody's call: it has no identity. Gives the job's id. What a mutation schedules it schedules if it is committed.
	 */
	runAfter<Args>(delayMs: number, fn: FunctionRef<"mutation" | "action", Args, unknown>, ...args: ScheduleArgs<Args>): Promise<Id<typeof SCHEDULED>>;
	/** The same, at a time: a Date, or milliseconds since 1970. */
	runAt<Args>(time: Date | number, fn: FunctionRef<"mutation" | "action", Args, unknown>, ...args: ScheduleArgs<Args>): Promise<Id<typeof SCHEDULED>>;
	/** It does not run any more. An action that runs already is stopped where it stands; what has ended stays as it is. */
	cancel(id: string): Promise<void>;
}

/** A row of `_scheduled_functions` as functions with entities see it. */
export interface JobRow {
	readonly id: string;
	readonly name: string;
	readonly kind: "mutation" | "action";
	readonly args: Value;
	readonly runAt: string;
	readonly state: JobState;
	/** How often it was begun, and how often of those its worker was lost. */
	readonly attempt: number;
	readonly lost: number;
	readonly retry: Value;
	/** Why it failed: `{ code, message, data? }`. */
	readonly error: Value;
	/** The cron that it is an occurrence of. */
	readonly cron: string | null;
	readonly startedAt: string | null;
	readonly finishedAt: string | null;
}
export type JobIndexes = { readonly by_finish: readonly ["finishedAt"]; readonly by_cron: readonly ["cron", "state"] };

/** The same as a document, as Convex has it. */
export interface JobDocument {
	readonly _id: Id<typeof SCHEDULED>;
	readonly _creationTime: number;
	readonly name: string;
	readonly args: readonly Value[];
	readonly scheduledTime: number;
	readonly completedTime?: number;
	readonly state:
		| { readonly kind: "pending" | "inProgress" | "success" | "canceled" }
		| { readonly kind: "failed"; readonly error: string };
}

/** Declares the entity, when the app's modules have declared theirs. */
export function declareScheduled(): void {
	if (registry.entities.has(SCHEDULED)) return;
	for (const { entity: of, ...rules } of registry.policies)
		if (of === SCHEDULED && Object.keys(rules).some((act) => act !== "read"))
			throw new Error(`policy for ${SCHEDULED}: clients can be allowed to read it, not to write it; functions have ctx.scheduler`);
	entity(SCHEDULED, {
		name: field.string(),
		kind: field.string(),
		args: field.json(),
		runAt: field.datetime(),
		state: field.string().default("pending"),
		attempt: field.int().default(0),
		lost: field.int().default(0),
		retry: field.json().optional(),
		error: field.json().optional(),
		cron: field.string().optional(),
		/** The worker that has it. */
		holder: new Field<string>({ type: "uuid", optional: true, serverOnly: true }),
		startedAt: field.datetime().optional(),
		finishedAt: field.datetime().optional(),
	})
		.index("due", ["runAt"], { where: { state: "pending" } })
		.index("held", ["holder"], { where: { state: "inProgress" } })
		.index("by_finish", ["finishedAt"])
		.index("by_cron", ["cron", "state"]);
	const made = registry.entities.get(SCHEDULED);
	if (made) Object.assign(made.place, { schema: "millrace", table: "job" });
	if (registry.access === "public") registry.documents.add(SCHEDULED);
}
