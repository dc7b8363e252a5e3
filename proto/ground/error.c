#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A cut text must stay valid UTF-8: drops an unfinished character at its end. */
static void trim_character(char *z)
{
	size_t n = strlen(z), i = n;
	while (i > 0 && n - i < 4 && ((unsigned char)z[i - 1] & 0xc0) == 0x80)
		i--;
	if (i == 0)
		return;
	unsigned char lead = (unsigned char)z[i - 1];
	size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (n - (i - 1) < want)
		z[i - 1] = 0;
}

static void fill(struct mr_error *err, enum mr_code code, const char *data, const char *fmt, va_list ap)
{
	err->code = code;
	int n = vsnprintf(err->message, sizeof(err->message), fmt, ap);
	if (n < 0)
		err->message[0] = 0;
	else if ((size_t)n >= sizeof(err->message))
		trim_character(err->message);
	/* Half a JSON text is of no use: data that does not fit is left out. */
	size_t len = data ? strlen(data) : 0;
	if (len >= sizeof(err->data))
		len = 0;
	if (len)
		memmove(err->data, data, len);
	err->data[len] = 0;
	err->foreign = false;
}

bool mr_fail(struct mr_error *err, enum mr_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(err, code, NULL, fmt, ap);
	va_end(ap);
	return false;
}

bool mr_fail_data(struct mr_error *err, enum mr_code code, const char *data, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(err, code, data, fmt, ap);
	va_end(ap);
	return false;
}
