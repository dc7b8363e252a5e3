import { makeApi, makeInternal } from "millrace";
export type Modules = {
	messages: typeof import("./functions/messages");
	nested: typeof import("./functions/nested");
	joinWaitlist: typeof import("./functions/joinWaitlist");
	admin: { users: typeof import("./functions/messages") };
};
export const api = makeApi<Modules>();
export const internal = makeInternal<Modules>();
