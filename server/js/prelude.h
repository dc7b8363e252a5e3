/* prelude.js as bytes, NUL-terminated; made at build time by embed.py. */
#ifndef MR_PRELUDE_H
#define MR_PRELUDE_H

#include <stddef.h>

extern const char mr_prelude[];
extern const size_t mr_prelude_bytes;

#endif
