// millrace/server: the language in which an app is declared.
export { entity, field, policy, increment, Entity, Field, DatetimeField, Increment } from "./server/schema.js";
export type {
	ChangesOf,
	ClientRow,
	EntitiesOf,
	EntityName,
	Fields,
	FieldType,
	IdOf,
	IndexesOf,
	InsertOf,
	KeyOf,
	NamedPolicy,
	OnDelete,
	OrderOf,
	PatchOf,
	PolicyRules,
	ReadName,
	ServerRow,
	WhereOf,
} from "./server/schema.js";
export {
	ArrayValidator,
	BigintValidator,
	BytesValidator,
	DatetimeValidator,
	IdValidator,
	NumberValidator,
	ObjectValidator,
	paginationOptsValidator,
	paginationResultValidator,
	StringValidator,
	UnionValidator,
	v,
	ValidationError,
	Validator,
} from "./server/validators.js";
export type { Infer, InferIn, ObjectIn, ObjectOf, Presence, Shape } from "./server/validators.js";
export { action, internalAction, internalMutation, internalQuery, mutation, query, typed, RegisteredFunction } from "./server/functions.js";
export type {
	Access,
	ActionCtx,
	ActionDeclarer,
	Auth,
	DbReader,
	DbWriter,
	LockingQuery,
	Declarers,
	Expression,
	FilterBuilder,
	FunctionKind,
	Groups,
	Identity,
	IndexRange,
	Isolation,
	Measured,
	MeasuresOf,
	MutationCtx,
	MutationDeclarer,
	PaginationOptions,
	PaginationResult,
	Query,
	QueryCtx,
	QueryDeclarer,
	RunFunction,
	Sql,
	SqlParam,
} from "./server/functions.js";
export { HttpAction, httpAction, HttpRouter, httpRouter } from "./server/http.js";
export type { Cors, HttpCtx, HttpHandler, ParamsOf, PathRoute, PrefixRoute, RoutableMethod } from "./server/http.js";
export { cron, cronJobs } from "./server/crons.js";
export type { CronOptions, Crons, CronTimeOptions, DayOfWeek, Interval } from "./server/crons.js";
export type { JobDocument, JobRow, JobState, RetryOptions, ScheduleOptions, Scheduler } from "./server/scheduler.js";
export type { Session, SessionOptions, SessionRow } from "./server/sessions.js";
export type { SystemName, SystemRows } from "./server/system.js";
export type { Row, Value, Where } from "./values.js";
