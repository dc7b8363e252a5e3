// What the app declared, as docs/manifest.md prints it, and its functions by wire name. Wrong declarations end here, with a sentence.

import { fieldOfValidator } from "../server/columns.js";
import { type Access, RegisteredFunction } from "../server/functions.js";
import { type Facts, Field, registry } from "../server/schema.js";
import { SCHEDULED } from "../server/scheduler.js";
import { Validator } from "../server/validators.js";

export type Modules = { readonly [path: string]: { readonly [name: string]: unknown } };

/** `messages` + `send` -> messages.send; the default export has its module's name; `admin/users` -> admin.users. */
export function collectFunctions(modules: Modules): Map<string, RegisteredFunction> {
	const found = new Map<string, RegisteredFunction>();
	for (const [path, module] of Object.entries(modules)) {
		const base = path.replace(/\//g, ".");
		for (const [name, value] of Object.entries(module)) {
			if (!(value instanceof RegisteredFunction)) continue;
			const full = name === "default" ? base : `${base}.${name}`;
			if (found.has(full)) throw new Error(`two functions are named ${full}`);
			found.set(full, value);
		}
	}
	return found;
}

function entityManifest(name: string): object {
	const entity = registry.entities.get(name);
	if (!entity) throw new Error(`no entity named ${name}`);
	const fields = Object.entries(entity.fields).map(([key, field]) => {
		const where = `entity ${name}, field ${key}`;
		const facts = field instanceof Field ? field.facts : field instanceof Validator ? fieldOfValidator(field, where) : undefined;
		if (!facts) throw new Error(`${where} is no field`);
		const { references } = facts;
		if (references !== undefined && !registry.entities.has(references))
			throw new Error(`${where}: there is no entity named ${references}`);
		return { name: key, ...(registry.documents.has(name) || references === SCHEDULED ? dangling(facts) : facts) };
	});
	const { schema, table } = entity.place;
	const checks = entity.checks.length ? { checks: entity.checks } : {};
	return { name, schema, table, ...(entity.key ? { key: entity.key } : {}), fields, indexes: entity.indexes, ...checks };
}

/** Ids in documents may be of documents that are gone, as in Convex, and so may those of jobs: no foreign key. */
function dangling({ references: _table, ...facts }: Facts): Facts {
	return facts;
}

/** Internal functions are nobody's from outside; what schemas of documents declare is everybody's (registry.access). */
export function accessOf({ options, internal }: RegisteredFunction): Access {
	return options.auth ?? (internal ? "public" : registry.access);
}

export function printManifest(functions: ReadonlyMap<string, RegisteredFunction>, crons: readonly object[], routes: readonly object[]): string {
	for (const one of registry.policies)
		if (!registry.entities.has(one.entity))
			throw new Error(`a policy names the entity ${JSON.stringify(one.entity)}, which is not declared`);
	return JSON.stringify({
		entities: [...registry.entities.keys()].map(entityManifest),
		policies: registry.policies,
		functions: [...functions].map(([name, fn]) => ({
			name,
			kind: fn.kind,
			auth: accessOf(fn),
			internal: fn.internal,
			...(fn.options.cancelWithCaller ? { cancel: true } : {}),
			...(fn.kind === "mutation" ? { isolation: fn.options.isolation ?? "serializable" } : {}),
		})),
		crons,
		...(routes.length > 0 ? { routes } : {}),
	});
}
