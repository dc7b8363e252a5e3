#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "proto/ground/hash.h"

enum { SECRET_BYTES = 32, LEAST_TEXT = 32 };

/* Makes the file. It appears whole or not at all (written beside, then linked), and never over one that is there. */
static bool make(const char *path, struct mr_error *err)
{
	uint8_t raw[SECRET_BYTES];
	struct mr_buf text = {0};
	char *beside = mr_printf("%s.%d.new", path, (int)getpid());
	mr_random(raw, sizeof raw);
	mr_base64url(&text, (struct mr_str){(const char *)raw, sizeof raw});
	mr_buf_char(&text, '\n');
	unlink(beside);
	int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
	ok = ok && (link(beside, path) == 0 || errno == EEXIST);
	if (!ok)
		mr_path_fail(err, errno, "cannot write", path);
	if (fd >= 0)
		close(fd);
	unlink(beside);
	mr_buf_fini(&text);
	free(beside);
	return ok;
}

static bool read_secret(const char *path, struct mr_buf *out, struct mr_error *err)
{
	struct stat st;
	if (stat(path, &st) == 0 && (st.st_mode & 077))
		return mr_fail(err, MR_BAD_VALUE, "%s may be read by others; make it private with `chmod 600 %s`.", path, path);
	if (!mr_file_read(path, out, err))
		return false;
	while (out->n && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r' || out->p[out->n - 1] == ' '))
		out->p[--out->n] = 0;
	return out->n >= LEAST_TEXT ||
	       mr_fail(err, MR_BAD_VALUE, "%s is shorter than %d characters; remove it to get a new one.", path, LEAST_TEXT);
}

bool mr_secret_get(const struct mr_settings *s, struct mr_buf *out, struct mr_error *err)
{
	if (*s->auth_secret) {
		mr_buf_z(out, s->auth_secret);
		return out->n >= LEAST_TEXT ||
		       mr_fail(err, MR_BAD_VALUE, "auth_secret is shorter than %d characters; give a longer one.", LEAST_TEXT);
	}
	char *path = mr_printf("%s/secret", s->data_dir);
	bool ok = mr_dir_make(s->data_dir, 0700, err) && (mr_path_exists(path) || make(path, err)) && read_secret(path, out, err);
	free(path);
	return ok;
}
