#!/usr/bin/env python3
"""Prints a file as a C array: embed.py NAME INPUT OUTPUT."""
import sys

name, source, target = sys.argv[1:4]
with open(source, "rb") as f:
    data = f.read()
with open(target, "w", encoding="ascii") as f:
    f.write(f'#include "{name}.h"\n\nconst char mr_{name}[] = {{\n')
    for i in range(0, len(data), 24):
        f.write("\t" + "".join(f"{b if b < 128 else b - 256}," for b in data[i:i + 24]) + "\n")
    f.write(f"\t0}};\nconst size_t mr_{name}_bytes = {len(data)};\n")
