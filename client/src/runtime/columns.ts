// What a field of an entity was declared as.

import { fieldOfValidator } from "../server/columns.js";
import { type Facts, Field, registry } from "../server/schema.js";
import { Validator } from "../server/validators.js";
import { isDocuments } from "./documents.js";

const known = new Map<string, ReadonlyMap<string, Facts>>();

/** The id that an entity has without a word. */
function idOf(entity: string): Facts | undefined {
	const declared = registry.entities.get(entity);
	return declared && !isDocuments(entity) ? { type: declared.key ? "string" : "uuid" } : undefined;
}

/** Undefined: nobody declared it. */
export function factsOf(entity: string, name: string): Facts | undefined {
	let all = known.get(entity);
	if (!all) {
		const pairs = Object.entries(registry.entities.get(entity)?.fields ?? {}).flatMap(([field, one]: [string, unknown]) => {
			const facts = one instanceof Field ? one.facts : one instanceof Validator ? fieldOfValidator(one, `${entity}.${field}`) : undefined;
			return facts ? [[field, facts] as const] : [];
		});
		known.set(entity, (all = new Map(pairs)));
	}
	return all.get(name) ?? (name === "id" ? idOf(entity) : undefined);
}
