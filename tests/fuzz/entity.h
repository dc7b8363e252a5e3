/* An entity with a field of every type, for fuzz targets. */
#ifndef MR_FUZZ_ENTITY_H
#define MR_FUZZ_ENTITY_H

#include "proto/ground/log.h"
#include "proto/schema.h"

static inline const struct mr_entity *fuzz_entity(void)
{
	static struct mr_app *app;
	struct mr_error err;
	static const char text[] =
		"{\"entities\":[{\"name\":\"T\",\"fields\":[{\"name\":\"a\",\"type\":\"bool\",\"optional\":true},"
		"{\"name\":\"b\",\"type\":\"int\",\"optional\":true},{\"name\":\"c\",\"type\":\"bigint\",\"optional\":true},"
		"{\"name\":\"d\",\"type\":\"float\",\"optional\":true},{\"name\":\"e\",\"type\":\"numeric\",\"optional\":true},"
		"{\"name\":\"f\",\"type\":\"string\",\"optional\":true},{\"name\":\"g\",\"type\":\"uuid\",\"optional\":true},"
		"{\"name\":\"h\",\"type\":\"datetime\",\"optional\":true},{\"name\":\"i\",\"type\":\"bytes\",\"optional\":true},"
		"{\"name\":\"j\",\"type\":\"json\",\"optional\":true},{\"name\":\"k\",\"type\":\"string\",\"serverOnly\":true}]},"
		"{\"name\":\"S\",\"fields\":[{\"name\":\"x\",\"type\":\"string\"},{\"name\":\"y\",\"type\":\"int\",\"optional\":true}]}]}";
	if (!app)
		app = mr_app_read(mr_str(text), &err);
	MR_ASSERT(app);
	return &app->entities[0];
}

#endif
