// millrace/convex/values: the names of `convex/values`.
import { idOf } from "../server/documents.js";
import { v as own } from "../server/validators.js";

/** As in `millrace/server`, but that `v.id("messages")` means an id that names its table. */
export const v = { ...own, id: idOf };

export { ConvexError } from "./error.js";
export type { Id as GenericId } from "../server/documents.js";
export type { AnyValidator as GenericValidator, Infer, ObjectOf as ObjectType, Shape as PropertyValidators, Validator } from "../server/validators.js";
export type { Value } from "../values.js";
