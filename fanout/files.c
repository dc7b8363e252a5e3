#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "net_inner.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum { KEEP_FILE = 8 << 20, KEEP_ALL = 64 << 20, GZIP_FROM = 1024, PIECE = 64 * 1024 };

struct file {
	char *name; /* real path, the key */
	dev_t dev;
	ino_t ino;
	struct timespec changed;
	size_t n;
	char *bytes;
	struct mr_buf gzip; /* empty: not tried yet, or not worth it */
	bool gzip_tried;
};

struct mr_files {
	struct mr_map by_name;
	size_t bytes;
};

/* --- kept files --- */

struct mr_files *mr_files_new(void)
{
	return mr_alloc(sizeof(struct mr_files));
}

static void drop_file(struct mr_files *files, struct file *f)
{
	mr_map_del(&files->by_name, mr_str(f->name));
	files->bytes -= f->n + f->gzip.n;
	mr_buf_fini(&f->gzip);
	free(f->bytes);
	free(f->name);
	free(f);
}

static void drop_all(struct mr_files *files)
{
	struct mr_str name;
	void *f;

	for (size_t i = 0; mr_map_next(&files->by_name, &i, &name, &f);)
		drop_file(files, f);
}

void mr_files_delete(struct mr_files **files)
{
	struct mr_files *fs = *files;

	*files = NULL;
	if (!fs)
		return;
	drop_all(fs);
	mr_map_fini(&fs->by_name);
	free(fs);
}

static bool is_same(const struct file *f, const struct stat *st)
{
	return f->dev == st->st_dev && f->ino == st->st_ino && f->n == (size_t)st->st_size && f->changed.tv_sec == st->st_mtim.tv_sec &&
	       f->changed.tv_nsec == st->st_mtim.tv_nsec;
}

static bool read_whole(int fd, char *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = pread(fd, bytes + at, n - at, (off_t)at);
		if (got <= 0 && !(got < 0 && errno == EINTR))
			return false;
		at += got > 0 ? (size_t)got : 0;
	}
	return true;
}

/* NULL: it shrank or failed while being read. */
static struct file *keep(struct mr_files *files, const char *name, int fd, const struct stat *st)
{
	struct file *old = mr_map_get(&files->by_name, mr_str(name));
	size_t n = (size_t)st->st_size;

	if (old && is_same(old, st))
		return old;
	if (old)
		drop_file(files, old);
	if (files->bytes + n > KEEP_ALL)
		drop_all(files);
	char *bytes = mr_alloc(n + 1);
	if (!read_whole(fd, bytes, n)) {
		free(bytes);
		return NULL;
	}
	struct file *f = mr_alloc(sizeof(*f));
	*f = (struct file){.name = mr_strdup(name), .dev = st->st_dev, .ino = st->st_ino, .changed = st->st_mtim, .n = n, .bytes = bytes};
	mr_map_put(&files->by_name, mr_str(f->name), f);
	files->bytes += n;
	return f;
}

/* --- types --- */

struct type {
	const char *suffix, *type;
	bool text; /* worth compressing */
};

static const struct type *type_of(struct mr_str path)
{
	static const struct type types[] = {
		{".html", "text/html; charset=utf-8", true},
		{".css", "text/css; charset=utf-8", true},
		{".js", "text/javascript; charset=utf-8", true},
		{".mjs", "text/javascript; charset=utf-8", true},
		{".json", "application/json", true},
		{".map", "application/json", true},
		{".webmanifest", "application/manifest+json", true},
		{".svg", "image/svg+xml", true},
		{".txt", "text/plain; charset=utf-8", true},
		{".md", "text/markdown; charset=utf-8", true},
		{".xml", "application/xml", true},
		{".wasm", "application/wasm", true},
		{".png", "image/png", false},
		{".jpg", "image/jpeg", false},
		{".jpeg", "image/jpeg", false},
		{".gif", "image/gif", false},
		{".webp", "image/webp", false},
		{".avif", "image/avif", false},
		{".ico", "image/x-icon", false},
		{".woff", "font/woff", false},
		{".woff2", "font/woff2", false},
		{".ttf", "font/ttf", true},
		{".pdf", "application/pdf", false},
		{".mp3", "audio/mpeg", false},
		{".mp4", "video/mp4", false},
		{".webm", "video/webm", false},
	};
	static const struct type other = {"", "application/octet-stream", false};

	for (size_t i = 0; i < MR_COUNT(types); i++) {
		size_t n = strlen(types[i].suffix);
		if (path.n >= n && strncasecmp(path.p + path.n - n, types[i].suffix, n) == 0)
			return &types[i];
	}
	return &other;
}

/* --- finding --- */

static bool segment_ok(struct mr_str s)
{
	return s.n > 0 && (s.p[0] != '.' || mr_str_is(s, ".well-known"));
}

/* Refuses "..", empty and hidden segments; a last slash is allowed. */
static bool path_ok(struct mr_str path)
{
	if (path.n == 0 || path.p[0] != '/' || memchr(path.p, '\0', path.n))
		return false;
	for (const char *p = path.p + 1, *end = path.p + path.n; p < end;) {
		const char *slash = memchr(p, '/', (size_t)(end - p)), *stop = slash ? slash : end;
		if (!segment_ok((struct mr_str){p, (size_t)(stop - p)}))
			return false;
		p = slash ? slash + 1 : end;
	}
	return true;
}

enum found { NOTHING, A_FILE, A_FOLDER /* that has an index.html but was asked for without its slash */ };

/* Follows links, and refuses what then lies outside of root. */
static enum found find(const char *root, struct mr_str path, char real[PATH_MAX], struct stat *st)
{
	char name[PATH_MAX], real_root[PATH_MAX];
	const char *index = path.n && path.p[path.n - 1] == '/' ? "index.html" : "";

	if (!path_ok(path) || (size_t)snprintf(name, sizeof(name), "%s%.*s%s", root, (int)path.n, path.p, index) >= sizeof(name))
		return NOTHING;
	if (!realpath(root, real_root) || !realpath(name, real) || stat(real, st) != 0)
		return NOTHING;
	size_t n = strlen(real_root);
	if (strncmp(real, real_root, n) != 0 || (real[n] != '/' && real[n] != '\0' && n > 1))
		return NOTHING;
	if (S_ISREG(st->st_mode))
		return A_FILE;
	if (!S_ISDIR(st->st_mode) || (size_t)snprintf(name, sizeof(name), "%s/index.html", real) >= sizeof(name))
		return NOTHING;
	return access(name, R_OK) == 0 ? A_FOLDER : NOTHING;
}

bool mr_file_exists(const char *root, struct mr_str path)
{
	char real[PATH_MAX];
	struct stat st;

	return find(root, path, real, &st) != NOTHING;
}

/* --- answering --- */

static bool takes_gzip(const struct mr_req *req)
{
	struct mr_str s = mr_req_header(req, "accept-encoding");
	const char *p = s.n ? memmem(s.p, s.n, "gzip", 4) : NULL;

	if (!p)
		return false;
	const char *end = s.p + s.n;
	for (p += 4; p < end && (*p == ' ' || *p == ';'); p++)
		;
	if (end - p < 3 || memcmp(p, "q=0", 3) != 0)
		return true;
	for (p += 3; p < end && (*p == '.' || *p == '0'); p++)
		;
	return p < end && *p >= '1' && *p <= '9'; /* q=0.5 */
}

static void gzip(struct mr_files *files, struct file *f)
{
	z_stream z = {0};

	f->gzip_tried = true;
	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return;
	z.avail_out = (uInt)deflateBound(&z, f->n);
	z.next_out = (Bytef *)mr_buf_room(&f->gzip, z.avail_out);
	z.next_in = (Bytef *)f->bytes;
	z.avail_in = (uInt)f->n;
	int end = deflate(&z, Z_FINISH);
	f->gzip.n = z.total_out;
	deflateEnd(&z);
	if (end != Z_STREAM_END || f->gzip.n >= f->n)
		mr_buf_fini(&f->gzip);
	files->bytes += f->gzip.n;
}

/* Says ETag and how to keep it. True when the client holds this version already. */
static bool is_known(struct mr_req *req, const struct stat *st, bool zipped, bool varies)
{
	struct mr_str seen = mr_req_header(req, "if-none-match");
	char tag[100];

	int n = snprintf(tag, sizeof(tag), "\"%llx-%llx-%llx%s\"",
		(unsigned long long)st->st_mtim.tv_sec * 1000000000ULL + (unsigned long long)st->st_mtim.tv_nsec,
		(unsigned long long)st->st_size, (unsigned long long)st->st_ino, zipped ? "-gz" : "");
	mr_req_add_header(req, "ETag", tag);
	mr_req_add_header(req, "Cache-Control", "no-cache"); /* kept, but asked about each time */
	if (varies)
		mr_req_add_header(req, "Vary", "Accept-Encoding");
	return mr_str_is(seen, "*") || (seen.n && memmem(seen.p, seen.n, tag, (size_t)n));
}

static void not_found(struct mr_req *req)
{
	struct mr_error err = {0};

	mr_fail(&err, MR_NOT_FOUND, "there is no such file");
	mr_req_error(req, &err);
}

static void answer_kept(struct mr_req *req, const char *real, int fd, const struct stat *st, const struct type *type)
{
	struct file *f = keep(req->net->files, real, fd, st);

	if (!f) {
		not_found(req);
		return;
	}
	bool zip = type->text && f->n >= GZIP_FROM && takes_gzip(req);
	if (zip && !f->gzip_tried)
		gzip(req->net->files, f);
	zip = zip && f->gzip.n;
	if (is_known(req, st, zip, type->text)) {
		mr_req_reply(req, 304, NULL, MR_STR(""));
		return;
	}
	if (zip)
		mr_req_add_header(req, "Content-Encoding", "gzip");
	mr_req_reply(req, 200, type->type, zip ? mr_buf_view(&f->gzip) : (struct mr_str){f->bytes, f->n});
}

/* Too large to keep: read piece by piece as the client takes it. */
struct large {
	h2o_generator_t generator; /* first: h2o gives it back */
	struct mr_net *net;
	int fd;
	off_t at, size;
	char *piece;
};

static void close_large(void *p)
{
	struct large *l = p;
	close(l->fd);
	free(l->piece);
}

static void send_piece(h2o_generator_t *generator, h2o_req_t *h)
{
	struct large *l = (struct large *)generator;
	size_t want = (size_t)MR_MIN((off_t)PIECE, l->size - l->at);
	ssize_t got = pread(l->fd, l->piece, want, l->at);
	h2o_iovec_t bytes = {l->piece, got > 0 ? (size_t)got : 0};

	/* A file that shrank meanwhile ends the connection early, as its announced length is wrong. */
	l->at += (off_t)bytes.len;
	mr_count_own(&l->net->bytes_sent, (int64_t)bytes.len);
	h2o_send_state_t state = got <= 0 ? H2O_SEND_STATE_ERROR : l->at == l->size ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS;
	h2o_send(h, &bytes, bytes.len ? 1 : 0, state);
}

static void answer_large(struct mr_req *req, int fd, const struct stat *st, const struct type *type)
{
	h2o_req_t *h = req->h2o;

	bool known = is_known(req, st, false, false);

	if (known || mr_str_is(mr_req_method(req), "HEAD")) {
		close(fd);
		mr_req_reply(req, known ? 304 : 200, type->type, (struct mr_str){NULL, (size_t)st->st_size}); /* the length only */
		return;
	}
	struct large *l = h2o_mem_alloc_shared(&h->pool, sizeof(*l), close_large);
	*l = (struct large){.generator = {send_piece, NULL}, .net = req->net, .fd = fd, .size = st->st_size, .piece = mr_alloc(PIECE)};
	mr_req_begin(req, 200, type->type);
	h->res.content_length = (size_t)st->st_size;
	mr_req_start(req, &l->generator);
	send_piece(&l->generator, h);
}

/* To the folder's own address, so that relative links in its index.html lead where they should. */
static void answer_folder(struct mr_req *req)
{
	struct mr_str path = mr_req_path(req);
	struct mr_buf b = {0};

	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];
		if (c > ' ' && c < 0x7f && !strchr("%?#\"<>\\^`{|}", c))
			mr_buf_char(&b, (char)c);
		else
			mr_buf_printf(&b, "%%%02X", c);
	}
	mr_buf_char(&b, '/');
	mr_req_add_header(req, "Location", b.p);
	mr_req_reply(req, 308, "text/plain", MR_STR(""));
	mr_buf_fini(&b);
}

void mr_req_file(struct mr_req *req, const char *root, struct mr_str path)
{
	char real[PATH_MAX];
	struct stat st;
	enum found found = find(root, path, real, &st);

	if (found == A_FOLDER) {
		answer_folder(req);
		return;
	}
	int fd = found == A_FILE ? open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		not_found(req);
		return;
	}
	/* real, not path: a folder's address stands for its index.html. */
	const struct type *type = type_of(mr_str(real));
	if (st.st_size > KEEP_FILE) {
		answer_large(req, fd, &st, type);
		return;
	}
	answer_kept(req, real, fd, &st, type);
	close(fd);
}
