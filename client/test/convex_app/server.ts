import type * as App from "./app";
import { typed } from "millrace/server";
export const { query, mutation, action, internalQuery, internalMutation, internalAction } = typed<typeof App>();
export type { App };
