// millrace/server: the language in which an app is declared.
export { entity, field, policy, increment, Entity, Field, DatetimeField, Increment } from "./server/schema.js";
export type {
	ChangesOf,
	ClientRow,
	EntitiesOf,
	EntityName,
	Fields,
	FieldType,
	IndexesOf,
	InsertOf,
	NamedPolicy,
	OnDelete,
	OrderOf,
	PatchOf,
	PolicyRules,
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
	Identity,
	IndexRange,
	Isolation,
	MutationCtx,
	MutationDeclarer,
	Query,
	QueryCtx,
	QueryDeclarer,
	Sql,
	SqlParam,
} from "./server/functions.js";
export type { Row, Value, Where } from "./values.js";
