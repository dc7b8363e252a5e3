import { entity, field } from "millrace/server";

export const Account = entity("Account", {
	owner: field.string(),
	balance: field.int(),
});
