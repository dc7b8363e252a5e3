#!/usr/bin/env python3
"""Prints C, TypeScript and the manual's tables from proto/tables/*.toml. Standard library only.

  print_tables.py --c tables.h tables.c    for the build
  print_tables.py --write                  refreshes client/src/tables.ts and docs/*.md in the source tree
  print_tables.py --check                  says which of those are stale; status 1 when any is
"""
import hashlib
import json
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLES = ROOT / "proto" / "tables"
NOTE = "Printed by proto/print_tables.py from the tables in proto/tables. Do not edit."


def load():
    return {name: tomllib.loads((TABLES / f"{name}.toml").read_text()) for name in ("messages", "errors", "settings", "counters", "faults")}


def quote(text):
    """A C or TypeScript string literal (the tables are ASCII or plain UTF-8)."""
    return json.dumps(text, ensure_ascii=False)


def wire_hash(t):
    """Of what goes over the wire: names, directions, fields and types, error codes. Prose may change freely."""
    shape = [t["messages"]["protocol"]]
    for m in t["messages"]["message"]:
        shape.append([m["name"], m["from"], [[f[0], f[1]] for f in m["fields"]]])
    for p in t["messages"]["part"]:
        shape.append([p["name"], p.get("union", ""), [[f[0], f[1]] for f in p.get("fields", [])]])
    shape.append([e["code"] for e in t["errors"]["error"]])
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


# C

def setting_type(s):
    return "enum" if s["type"].startswith("enum(") else s["type"]


def setting_choices(s):
    return s["type"][5:-1].replace("|", " ") if setting_type(s) == "enum" else ""


def setting_default(s):
    d = s["default"]
    return ("true" if d else "false") if isinstance(d, bool) else str(d)


def setting_member(s):
    kind = setting_type(s)
    return "bool " if kind == "bool" else "const char *" if kind in ("string", "enum") else "int64_t "


def enum(name, prefix, words, last=None, first=None):
    rows = ([first] if first else []) + [prefix + w.upper() for w in words] + ([last] if last else [])
    return f"enum {name} {{\n" + "".join(f"\t{r},\n" for r in rows) + "};\n"


def c_header(t):
    errors, counters = t["errors"]["error"], t["counters"]["counter"]
    messages, settings = t["messages"]["message"], t["settings"]["setting"]
    members = "".join(f"\t{setting_member(s)}{s['name']};\n" for s in settings)
    return f"""/* {NOTE} */
#ifndef MR_TABLES_H
#define MR_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_PROTOCOL {t['messages']['protocol']}
#define MR_TABLES_HASH 0x{wire_hash(t)}ULL /* of the messages' shape and the error codes */

/* Errors. */
{enum("mr_code", "MR_", [e["code"] for e in errors], "MR_CODES", "MR_OK = 0")}
const char *mr_code_name(enum mr_code code);  /* "bad_message"; MR_OK: "ok" */
int mr_code_http(enum mr_code code);          /* HTTP status */
const char *mr_code_retry(enum mr_code code); /* "never", "later" or "same" */
enum mr_code mr_code_by_name(const char *name, size_t n); /* MR_OK when there is no such code */

/* Messages. */
{enum("mr_message", "MR_M_", [m["name"] for m in messages], "MR_MESSAGES")}
const char *mr_message_name(enum mr_message message);
bool mr_message_from_client(enum mr_message message);
enum mr_message mr_message_by_name(const char *name, size_t n); /* MR_MESSAGES when there is no such message */

/* Counters and gauges. */
{enum("mr_counter", "MR_C_", [c["name"] for c in counters], "MR_COUNTERS")}
extern const char *const mr_counter_name[MR_COUNTERS];  /* without the prefix millrace_ */
extern const char *const mr_counter_kind[MR_COUNTERS];  /* "counter" or "gauge" */
extern const char *const mr_counter_prose[MR_COUNTERS];

/* Fault points (ground/fault.h). */
{enum("mr_fault", "MR_F_", [f["name"] for f in t["faults"]["fault"]], "MR_FAULT_POINTS")}
/* Settings. */
{enum("mr_setting_id", "MR_S_", [s["name"] for s in settings], "MR_SETTINGS")}
struct mr_settings {{
{members}}};

{enum("mr_setting_type", "MR_ST_", ["int", "ms", "bytes", "bool", "string", "enum"])}
struct mr_setting {{
	const char *name; /* with underscores */
	enum mr_setting_type type;
	size_t offset; /* of its member in struct mr_settings */
	const char *def;
	int64_t min, max;    /* int, ms, bytes */
	const char *choices; /* enum: words separated by blanks */
	const char *prose;
}};
extern const struct mr_setting mr_setting[MR_SETTINGS];

#endif
"""


def c_strings(name, size, rows):
    return f"const char *const {name}[{size}] = {{\n" + "".join(f"\t{quote(r)},\n" for r in rows) + "};\n"


def c_source(t):
    errors, counters = t["errors"]["error"], t["counters"]["counter"]
    messages, settings = t["messages"]["message"], t["settings"]["setting"]
    codes = "".join(f'\t{{{quote(e["code"])}, {e["http"]}, {quote(e["retry"])}}},\n' for e in errors)
    names = "".join(f'\t{{{quote(m["name"])}, {"true" if m["from"] == "client" else "false"}}},\n' for m in messages)
    rows = ""
    for s in settings:
        rows += (f'\t{{{quote(s["name"])}, MR_ST_{setting_type(s).upper()}, offsetof(struct mr_settings, {s["name"]}), '
                 f'{quote(setting_default(s))}, {s.get("min", 0)}, {s.get("max", 0)}, {quote(setting_choices(s))},\n'
                 f'\t\t{quote(s["prose"])}}},\n')
    return f"""/* {NOTE} */
#include "proto/tables.h"

#include <string.h>

static const struct {{
	const char *name;
	int http;
	const char *retry;
}} codes[MR_CODES] = {{
	{{"ok", 200, "never"}},
{codes}}};

const char *mr_code_name(enum mr_code code)
{{
	return codes[code].name;
}}

int mr_code_http(enum mr_code code)
{{
	return codes[code].http;
}}

const char *mr_code_retry(enum mr_code code)
{{
	return codes[code].retry;
}}

static bool same(const char *z, const char *name, size_t n)
{{
	return strlen(z) == n && memcmp(z, name, n) == 0;
}}

enum mr_code mr_code_by_name(const char *name, size_t n)
{{
	for (int i = 1; i < MR_CODES; i++)
		if (same(codes[i].name, name, n))
			return (enum mr_code)i;
	return MR_OK;
}}

static const struct {{
	const char *name;
	bool from_client;
}} messages[MR_MESSAGES] = {{
{names}}};

const char *mr_message_name(enum mr_message message)
{{
	return messages[message].name;
}}

bool mr_message_from_client(enum mr_message message)
{{
	return messages[message].from_client;
}}

enum mr_message mr_message_by_name(const char *name, size_t n)
{{
	int i = 0;
	while (i < MR_MESSAGES && !same(messages[i].name, name, n))
		i++;
	return (enum mr_message)i;
}}

{c_strings("mr_counter_name", "MR_COUNTERS", [c["name"] for c in counters])}
{c_strings("mr_counter_kind", "MR_COUNTERS", [c["kind"] for c in counters])}
{c_strings("mr_counter_prose", "MR_COUNTERS", [c["prose"] for c in counters])}
const struct mr_setting mr_setting[MR_SETTINGS] = {{
{rows}}};
"""


# TypeScript

def pascal(name):
    return "".join(w.capitalize() for w in name.split("_"))


def ts_interface(name, prose, fields, tag=None):
    out = f"/** {prose} */\nexport interface {name} {{\n"
    if tag:
        out += f"\tt: {quote(tag)};\n"
    for field, kind, text in fields:
        out += f"\t/** {text} */\n\t{field}: {kind};\n"
    return out + "}\n"


def ts_union(name, kinds):
    return f"export type {name} =\n" + "\n".join(f"\t| {k}" for k in kinds) + ";\n"


def ts(t):
    messages, parts, errors = t["messages"]["message"], t["messages"]["part"], t["errors"]["error"]
    out = [f"// {NOTE}\n", 'import type { RowId } from "./keys.js";\n', 'import type { Include, Row, Value, Where } from "./values.js";\n',
           f"export const PROTOCOL = {t['messages']['protocol']};",
           f'/** Of the messages\' shape and the error codes. */\nexport const TABLES_HASH = "{wire_hash(t)}";\n']
    out.append("/** Stable names of everything that can go wrong. */\n" + ts_union("ErrorCode", [quote(e["code"]) for e in errors]))
    out.append('/** never: it will fail again. later: the same request may succeed. same: send it again with the same id; it never runs twice. */\n'
               'export type Retry = "never" | "later" | "same";\n')
    rows = "".join(f'\t{e["code"]}: {{ http: {e["http"]}, retry: {quote(e["retry"])} }},\n' for e in errors)
    out.append(f"export const ERRORS: Readonly<Record<ErrorCode, {{ readonly http: number; readonly retry: Retry }}>> = {{\n{rows}}};\n")
    for p in parts:
        if "union" in p:
            out.append(f"/** {p['prose']} */\nexport type {p['name']} = {p['union']};\n")
        else:
            out.append(ts_interface(p["name"], p["prose"], p["fields"]))
    for m in messages:
        out.append(ts_interface(pascal(m["name"]) + "Message", m["prose"], m["fields"], m["name"]))
    for side in ("client", "server"):
        out.append(f"/** What the {side} sends. */\n" + ts_union(side.capitalize() + "Message",
                   [pascal(m["name"]) + "Message" for m in messages if m["from"] == side]))
    return "\n".join(out)


# Manual

def cell(text):
    return text.replace("|", "\\|")


def md_code(text):
    # Inside a table a bar must be escaped even in code.
    return "`" + text.replace("|", "\\|") + "`"


def md_fields(fields):
    if not fields:
        return "No fields.\n"
    rows = "".join(f"| `{f[0].rstrip('?')}`{' (may be absent)' if f[0].endswith('?') else ''} | {md_code(f[1])} | {cell(f[2])} |\n" for f in fields)
    return "| field | type | meaning |\n|---|---|---|\n" + rows


def md_messages(t):
    m = t["messages"]
    out = [f"<!-- {NOTE} -->\n# Messages\n\nProtocol {m['protocol']}. How they travel is told in [protocol.md](protocol.md). "
           "A message is a map; `t` is its name. Types are written as in TypeScript.\n"]
    for side, title in (("client", "From the client"), ("server", "From the server")):
        out.append(f"## {title}\n")
        for row in m["message"]:
            if row["from"] == side:
                out.append(f"### {row['name']}\n{row['prose']}\n\n{md_fields(row['fields'])}")
    out.append("## Parts\n")
    for p in m["part"]:
        body = f"`{p['union']}`\n" if "union" in p else md_fields(p["fields"])
        out.append(f"### {p['name']}\n{p['prose']}\n\n{body}")
    return "\n".join(out)


def md_errors(t):
    rows = "".join(f"| `{e['code']}` | {e['http']} | {e['retry']} | {cell(e['prose'])} |\n" for e in t["errors"]["error"])
    return (f"<!-- {NOTE} -->\n# Errors\n\nCodes are stable: never renamed, never used again for something else. Over HTTP an error is "
            "`{\"error\":{\"code\",\"message\",\"data\"}}` with the status below.\n\n"
            "`retry`: *never* - it will fail again; *later* - the same request may succeed; *same* - send it again with the same id, "
            "it never runs twice. With the latter two `data.outcome` is `\"unknown\"` when an earlier attempt of the same call may have been done;\n"
            "the same id tells.\n\n| code | HTTP | retry | meaning |\n|---|---|---|---|\n" + rows)


def md_range(s):
    kind = setting_type(s)
    if kind == "enum":
        return ", ".join(f"`{c}`" for c in setting_choices(s).split())
    return f"{s['min']} to {s['max']}" if "min" in s else ""


def md_settings(t):
    rows = ""
    for s in t["settings"]["setting"]:
        default = setting_default(s)
        rows += f"| `{s['name']}` | {setting_type(s)} | {md_code(default) if default else ''} | {md_range(s)} | {cell(s['prose'])} |\n"
    return (f"<!-- {NOTE} -->\n# Settings\n\nGiven as `--name-with-dashes value` on the command line, as `MILLRACE_NAME` in the environment, or as "
            "`name = value` in `millrace.conf` (in the app's folder, or named by `--config` or `MILLRACE_CONFIG`); the first of these that is set "
            "wins. Times take `ms`, `s`, `m` or `h`, sizes `KB`, `MB` or `GB` (powers of 1024); without a unit they are milliseconds and bytes.\n\n"
            "| setting | type | default | allowed | meaning |\n|---|---|---|---|---|\n" + rows)


def md_counters(t):
    rows = "".join(f"| `millrace_{c['name']}` | {c['kind']} | {cell(c['prose'])} |\n" for c in t["counters"]["counter"])
    return (f"<!-- {NOTE} -->\n# Counters\n\nWhat `/metrics` prints, in Prometheus's text format.\n\n"
            "| name | kind | meaning |\n|---|---|---|\n" + rows)


def committed(t):
    docs = ROOT / "docs"
    return {
        ROOT / "client" / "src" / "tables.ts": ts(t),
        docs / "messages.md": md_messages(t),
        docs / "errors.md": md_errors(t),
        docs / "settings.md": md_settings(t),
        docs / "counters.md": md_counters(t),
    }


def check_rows(t):
    """The tables' own rules: names are words, nothing occurs twice."""
    for names in ([e["code"] for e in t["errors"]["error"]], [m["name"] for m in t["messages"]["message"]],
                  [s["name"] for s in t["settings"]["setting"]], [c["name"] for c in t["counters"]["counter"]],
                  [f["name"] for f in t["faults"]["fault"]]):
        assert len(set(names)) == len(names), f"a name occurs twice in {names}"
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", n) for n in names), names
    assert all(e["retry"] in ("never", "later", "same") for e in t["errors"]["error"])


def main(args):
    tables = load()
    check_rows(tables)
    if len(args) == 3 and args[0] == "--c":
        pathlib.Path(args[1]).write_text(c_header(tables))
        pathlib.Path(args[2]).write_text(c_source(tables))
    elif args == ["--write"]:
        for path, text in committed(tables).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
    elif args == ["--check"]:
        stale = [str(p.relative_to(ROOT)) for p, text in committed(tables).items() if not p.exists() or p.read_text() != text]
        if stale:
            sys.exit("stale, run proto/print_tables.py --write: " + ", ".join(stale))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
