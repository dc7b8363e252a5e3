// All cases by name; each prints its table.
import { attacks } from "./attacks.mjs";
import { empty } from "./empty.mjs";
import { engine } from "./engine.mjs";
import { exists } from "./exists.mjs";
import { contention, insert, transfer } from "./mutations.mjs";
import { reruns } from "./reruns.mjs";
import { types } from "./types.mjs";

export const CASES = { insert, transfer, contention, empty, engine, reruns, exists, types, attacks };
export const QUICK = ["insert", "transfer", "empty", "reruns"];
