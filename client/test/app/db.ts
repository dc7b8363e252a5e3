import type * as App from "./app";
import { createDb } from "millrace/react";
export const db = createDb<typeof App>();
