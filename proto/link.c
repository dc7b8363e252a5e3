/* A frame's length word keeps its upper four bits for the number of descriptors that come with it: they arrive with the frame's first
 * byte, and the count says which frame of several read at once they belong to. */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ground/log.h"

enum { LINK_MAGIC = 0x6c696e6b, FDS_MAX = 8, HEAD = 4, READ_PIECE = 65536, READS_A_TURN = 16 };

/* Descriptors that must go out with the byte at `at`, the first of their frame. */
struct passing {
	size_t at;
	int fds[FDS_MAX];
	int n;
};

struct mr_link {
	unsigned magic;
	struct mr_loop *loop;
	struct mr_watch *watch;
	int fd;
	mr_link_cb *cb;
	void *arg;
	bool in_cb, deleted, broken;
	struct mr_buf in;
	size_t in_off;
	int fds[2 * FDS_MAX]; /* received, not yet given out */
	int n_fds;
	struct mr_buf out;
	size_t out_off;
	struct passing *passing; /* in order of at */
	size_t n_passing;
};

static void on_ready(void *arg, int events);

struct mr_link *mr_link_new(struct mr_loop *loop, int fd, mr_link_cb *cb, void *arg)
{
	MR_ASSERT(fd >= 0 && cb);
	struct mr_link *link = mr_alloc(sizeof(*link));
	*link = (struct mr_link){.magic = LINK_MAGIC, .loop = loop, .fd = fd, .cb = cb, .arg = arg};
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	link->watch = mr_watch_new(loop, fd, MR_READ, on_ready, link);
	return link;
}

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void drop_output(struct mr_link *link)
{
	for (size_t i = 0; i < link->n_passing; i++)
		close_all(link->passing[i].fds, link->passing[i].n);
	free(link->passing);
	link->passing = NULL;
	link->n_passing = 0;
	mr_buf_fini(&link->out);
	link->out_off = 0;
}

static void release(struct mr_link *link)
{
	close_all(link->fds, link->n_fds);
	mr_buf_fini(&link->in);
	link->magic = 0;
	free(link);
}

void mr_link_delete(struct mr_link **l)
{
	struct mr_link *link = *l;
	*l = NULL;
	if (!link)
		return;
	MR_ASSERT(link->magic == LINK_MAGIC && !link->deleted);
	link->deleted = true;
	mr_watch_delete(&link->watch);
	close(link->fd);
	drop_output(link);
	/* Inside its own callback the reader still holds it, and lets it go. */
	if (!link->in_cb)
		release(link);
}

/* Output */

static ssize_t send_piece(struct mr_link *link, size_t n, const struct passing *with)
{
	struct iovec iov = {link->out.p + link->out_off, n};
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (with) {
		size_t size = sizeof(int) * (size_t)with->n;
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(size);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(size)};
		memcpy(CMSG_DATA(c), with->fds, size);
	}
	return sendmsg(link->fd, &msg, MSG_NOSIGNAL);
}

static void passed(struct mr_link *link)
{
	close_all(link->passing[0].fds, link->passing[0].n);
	link->n_passing--;
	memmove(link->passing, link->passing + 1, link->n_passing * sizeof(*link->passing));
}

/* The peer is gone or the socket is unusable: the reader will find the end and tell the owner, never a sender. */
static void give_up(struct mr_link *link)
{
	link->broken = true;
	drop_output(link);
	shutdown(link->fd, SHUT_RDWR);
	mr_watch_set(link->watch, MR_READ);
}

static void forget_sent(struct mr_link *link)
{
	if (link->out_off < link->out.n && link->out_off < 1 << 20)
		return;
	size_t gone = link->out_off;
	memmove(link->out.p, link->out.p + gone, link->out.n - gone);
	link->out.n -= gone;
	link->out_off = 0;
	for (size_t i = 0; i < link->n_passing; i++)
		link->passing[i].at -= gone;
	if (!link->out.n && link->out.cap > 1 << 20)
		mr_buf_fini(&link->out);
}

static void flush(struct mr_link *link)
{
	while (link->out_off < link->out.n) {
		const struct passing *next = link->n_passing ? &link->passing[0] : NULL;
		const struct passing *with = next && next->at == link->out_off ? next : NULL;
		const struct passing *behind = with ? (link->n_passing > 1 ? next + 1 : NULL) : next;
		size_t end = behind ? behind->at : link->out.n;
		ssize_t sent = send_piece(link, end - link->out_off, with);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS))
			break;
		if (sent <= 0) {
			give_up(link);
			return;
		}
		if (with)
			passed(link);
		link->out_off += (size_t)sent;
	}
	forget_sent(link);
	mr_watch_set(link->watch, link->out_off < link->out.n ? MR_READ | MR_WRITE : MR_READ);
}

void mr_link_send(struct mr_link *link, struct mr_str json)
{
	mr_link_send_fds(link, json, NULL, 0);
}

void mr_link_send_fds(struct mr_link *link, struct mr_str json, const int *fds, int n_fds)
{
	MR_ASSERT(link->magic == LINK_MAGIC && !link->deleted);
	MR_ASSERT(json.n < MR_LINK_MAX && n_fds >= 0 && n_fds <= FDS_MAX);
	if (link->broken)
		return;
	if (n_fds) {
		link->passing = mr_realloc(link->passing, (link->n_passing + 1) * sizeof(*link->passing));
		struct passing *p = &link->passing[link->n_passing++];
		*p = (struct passing){.at = link->out.n, .n = n_fds};
		for (int i = 0; i < n_fds; i++) {
			p->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
			if (p->fds[i] < 0)
				mr_die("no descriptor is left: %s", strerror(errno));
		}
	}
	uint32_t word = (uint32_t)json.n | (uint32_t)n_fds << 28;
	const uint8_t head[HEAD] = {(uint8_t)word, (uint8_t)(word >> 8), (uint8_t)(word >> 16), (uint8_t)(word >> 24)};
	bool waiting = link->out_off < link->out.n;
	mr_buf_add(&link->out, head, HEAD);
	mr_buf_str(&link->out, json);
	if (!waiting)
		flush(link);
}

size_t mr_link_pending(const struct mr_link *link)
{
	return link->out.n - link->out_off;
}

/* Input */

/* Keeps the descriptors that came; false when there are more than anybody may send. */
static bool keep_fds(struct mr_link *link, struct msghdr *msg)
{
	bool ok = !(msg->msg_flags & MSG_CTRUNC);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (int i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(int));
			if (link->n_fds < (int)MR_COUNT(link->fds)) {
				link->fds[link->n_fds++] = fd;
			} else {
				close(fd);
				ok = false;
			}
		}
	}
	return ok;
}

enum received { RECEIVED_END, RECEIVED_NOTHING, RECEIVED_ALL, RECEIVED_SOME };

static enum received receive(struct mr_link *link)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {mr_buf_room(&link->in, READ_PIECE), READ_PIECE};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t got;
	do
		got = recvmsg(link->fd, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? RECEIVED_NOTHING : RECEIVED_END;
	if (!keep_fds(link, &msg) || got == 0)
		return RECEIVED_END;
	link->in.n += (size_t)got;
	/* If there is more behind a piece that is not full, the next turn brings it. */
	return got < READ_PIECE ? RECEIVED_ALL : RECEIVED_SOME;
}

static void tell(struct mr_link *link, struct mr_str text, int n_fds)
{
	int fds[FDS_MAX];
	memcpy(fds, link->fds, sizeof(int) * (size_t)n_fds);
	link->n_fds -= n_fds;
	memmove(link->fds, link->fds + n_fds, sizeof(int) * (size_t)link->n_fds);
	link->in_cb = true;
	link->cb(link, text, fds, n_fds, link->arg);
	link->in_cb = false;
}

/* Gives out the complete frames. False: what came is not of this protocol, or the link was deleted meanwhile. */
static bool give_frames(struct mr_link *link)
{
	while (link->in.n - link->in_off >= HEAD) {
		const uint8_t *h = (const uint8_t *)link->in.p + link->in_off;
		uint32_t word = (uint32_t)h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 24;
		size_t n = word & 0x0fffffff;
		int n_fds = (int)(word >> 28);
		if (n_fds > link->n_fds || n_fds > FDS_MAX)
			return false;
		if (link->in.n - link->in_off < HEAD + n)
			break;
		struct mr_str text = {link->in.p + link->in_off + HEAD, n};
		link->in_off += HEAD + n;
		tell(link, text, n_fds);
		if (link->deleted)
			return false;
	}
	size_t left = link->in.n - link->in_off;
	if (link->in_off)
		memmove(link->in.p, link->in.p + link->in_off, left);
	link->in.n = left;
	link->in_off = 0;
	if (!left && link->in.cap > 1 << 20)
		mr_buf_fini(&link->in);
	return true;
}

static void read_turn(struct mr_link *link)
{
	for (int i = 0; i < READS_A_TURN; i++) {
		enum received got = receive(link);
		if (got == RECEIVED_NOTHING)
			return;
		if (got != RECEIVED_END && give_frames(link)) {
			if (got == RECEIVED_ALL)
				return;
			continue;
		}
		if (link->deleted)
			return;
		/* The end. What the peer sent before is given out already. */
		link->broken = true;
		drop_output(link);
		tell(link, (struct mr_str){NULL, 0}, 0);
		if (!link->deleted)
			mr_watch_delete(&link->watch);
		return;
	}
}

static void on_ready(void *arg, int events)
{
	struct mr_link *link = arg;
	if (events & MR_WRITE && !link->broken)
		flush(link);
	if (events & MR_READ)
		read_turn(link);
	if (link->deleted)
		release(link);
}

/* Addresses: a path too long for an address is reached through its folder's descriptor. */

static bool make_address(const char *path, struct sockaddr_un *addr, int *folder)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	*folder = -1;
	size_t n = strlen(path);
	if (n < sizeof(addr->sun_path)) {
		memcpy(addr->sun_path, path, n + 1);
		return true;
	}
	const char *slash = strrchr(path, '/');
	char *dir = slash ? mr_strndup(path, (size_t)(slash - path)) : mr_strdup(".");
	*folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (*folder < 0)
		return false;
	char *via = mr_printf("/proc/self/fd/%d/%s", *folder, slash ? slash + 1 : path);
	bool fits = strlen(via) < sizeof(addr->sun_path);
	if (fits)
		memcpy(addr->sun_path, via, strlen(via) + 1);
	free(via);
	errno = ENAMETOOLONG;
	return fits;
}

/* Closes and keeps errno. */
static int failed(int fd, int folder)
{
	int saved = errno;
	if (fd >= 0)
		close(fd);
	if (folder >= 0)
		close(folder);
	errno = saved;
	return -1;
}

int mr_link_connect(const char *path)
{
	struct sockaddr_un addr;
	int folder, fd = -1;
	if (!make_address(path, &addr, &folder))
		return failed(-1, folder);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return failed(fd, folder);
	if (folder >= 0)
		close(folder);
	return fd;
}

static bool bind_private(int fd, const struct sockaddr_un *addr)
{
	mode_t old = umask(0177);
	int rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
	umask(old);
	return rc == 0;
}

int mr_link_listen(const char *path)
{
	struct sockaddr_un addr;
	int folder, fd;
	int other = mr_link_connect(path);
	if (other >= 0) {
		close(other);
		errno = EADDRINUSE;
		return -1;
	}
	struct stat st;
	if (errno == ECONNREFUSED && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	if (!make_address(path, &addr, &folder))
		return failed(-1, folder);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !bind_private(fd, &addr) || listen(fd, 128) != 0)
		return failed(fd, folder);
	if (folder >= 0)
		close(folder);
	return fd;
}
