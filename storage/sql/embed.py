"""Prints SQL files as C: one NUL-terminated char array per file, mr_sql_<name>."""
import os
import sys

out, *sources = sys.argv[1:]
with open(out, "w") as f:
    f.write('#include "storage/sql.h"\n')
    for source in sources:
        name = os.path.splitext(os.path.basename(source))[0]
        text = open(source, "rb").read() + b"\0"
        f.write(f"\nconst char mr_sql_{name}[] = {{\n")
        for i in range(0, len(text), 24):
            f.write("\t" + ",".join(str(b) for b in text[i:i + 24]) + ",\n")
        f.write("};\n")
