/* postcat.c: show messages of queue files (postcat(1)).
 *
 * A file holds one message or many: all of them are shown.  With -q a message is found by its id: the queue manager says where it lies, or
 * the files and journals do when the mail system is down; then maildrop/ is looked into.  State: struct postcat.  Blocks. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/queue_id.h"
#include "cmd/cmd.h"
#include "cmd/postcat.h"
#include "config/config.h"
#include "config/general.h"
#include "queue/proto.h"
#include "queue/recover_offline.h"

#define WAIT_MS PH_SECONDS(300)

struct postcat {
	struct ph_postcat p;
	const struct ph_conf *conf;
	const struct ph_general_settings *g;
	bool by_id;
	char **args;
	int n_args;
	struct ph_offline *offline;
	struct ph_msg_ref found;
	int status;
};

static int fatal(struct postcat *c, const char *what, const char *name, int r)
{
	ph_log(PH_LOG_FATAL, "%s %s: %s", what, name, strerrordesc_np(-r));
	c->status = 1;
	return r;
}

/* ---- files -------------------------------------------------------------------------------- */

struct show {
	struct postcat *c;
	int fd;
	const char *path;
	unsigned n;
};

static int show_one(void *arg, const struct ph_msg_ref *ref, struct ph_slice bytes)
{
	struct show *s = arg;
	struct ph_arena *arena = ph_arena_new();
	struct ph_envelope *env;
	struct ph_err err;
	int r;

	s->n++;
	if (ref->env_length == 0) {
		ph_log(PH_LOG_WARNING, "%s: %llu damaged bytes at %llu", s->path, (unsigned long long)ref->length, (unsigned long long)ref->offset);
		r = 0;
	} else {
		r = ph_envelope_decode(bytes, arena, &env, &err);
		if (r == 0)
			r = ph_postcat_message(&s->c->p, s->fd, s->path, ref, env, &err);
		if (r < 0)
			ph_log(PH_LOG_WARNING, "%s: %s", s->path, err.text);
	}
	ph_arena_free(&arena);
	return 0;
}

static int show_fd(struct postcat *c, int fd, const char *path)
{
	struct show s = { .c = c, .fd = fd, .path = path };
	char magic[8] = "";
	struct ph_err err;
	int r;

	if (pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && memcmp(magic, "PHDROP1\n", 8) == 0)
		r = ph_postcat_maildrop(&c->p, fd, path, &err);
	else
		r = ph_segment_scan_fd(fd, show_one, &s, &err);
	if (r < 0 || (s.n == 0 && memcmp(magic, "PHDROP1\n", 8) != 0))
		ph_log(PH_LOG_WARNING, "%s: input is not a valid queue file", path);
	return r;
}

static int show_file(struct postcat *c, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	if (fd < 0)
		return fatal(c, "open", path, -errno);
	r = show_fd(c, fd, path);
	close(fd);
	return r;
}

/* A pipe cannot be read at places: by way of a file without a name. */
static int show_stdin(struct postcat *c)
{
	char buf[65536];
	FILE *f = tmpfile();
	size_t n;
	int r;

	if (f == NULL)
		return fatal(c, "create", "temporary file", -errno);
	while ((n = fread(buf, 1, sizeof(buf), stdin)) > 0)
		fwrite(buf, 1, n, f);
	if (ftell(f) == 0) {    /* nothing is no message, and no mistake */
		fclose(f);
		return 0;
	}
	r = fflush(f) == 0 && lseek(fileno(f), 0, SEEK_SET) == 0 ? show_fd(c, fileno(f), "stdin") : fatal(c, "write", "temporary file", -errno);
	fclose(f);
	return r;
}

/* ---- ids ---------------------------------------------------------------------------------- */

static int on_found(void *arg, const char *text, size_t n)
{
	struct ph_msg_ref *ref = arg;
	json_int_t instance, offset, length, envelope;
	const char *id, *file;
	json_t *j = json_loadb(text, n, 0, NULL);

	if (json_unpack(j, "{s:s, s:s, s:I, s:I, s:I, s:I}", "id", &id, "file", &file, "instance", &instance, "offset", &offset, "length",
			&length, "envelope", &envelope) == 0) {
		snprintf(ref->queue_id, sizeof(ref->queue_id), "%s", id);
		snprintf(ref->file, sizeof(ref->file), "%s", file);
		ref->instance = (uint64_t)instance;
		ref->offset = (uint64_t)offset;
		ref->length = (uint64_t)length;
		ref->env_length = (uint32_t)envelope;
	}
	json_decref(j);
	return 0;
}

/* 0 and c->found; -ESRCH: not in the queue; another error. */
static int find(struct postcat *c, const char *id, struct ph_err *err)
{
	char request[100];
	int r = -ECONNREFUSED;

	memset(&c->found, 0, sizeof(c->found));
	snprintf(request, sizeof(request), "{\"cmd\":\"find\",\"id\":\"%s\"}", id);
	if (c->offline == NULL)
		r = ph_qmgr_ctl(c->g->queue_directory, request, on_found, &c->found, ph_now_ms() + WAIT_MS, err);
	if (r == -ECONNREFUSED || r == -ENOENT || r == -ENOTSOCK) {
		r = c->offline ? 0 : ph_offline_open(ph_conf_config(c->conf), c->g->queue_directory, false, &c->offline, err);
		if (r == 0)
			r = ph_offline_request(c->offline, request, on_found, &c->found, err);
	}
	return r == 0 && c->found.queue_id[0] == '\0' ? -ESRCH : r;
}

static int show_ref(struct postcat *c, int dirfd)
{
	const struct ph_msg_ref *ref = &c->found;
	struct ph_arena *arena = ph_arena_new();
	char path[sizeof(ref->file) + sizeof(ref->queue_id) + 2];
	struct ph_stored *m;
	struct ph_err err;
	int r = ph_stored_open(dirfd, ref, arena, &m, &err);

	/* The last component is the id, as scripts expect it. */
	if (strchr(ref->file, '.'))
		snprintf(path, sizeof(path), "%s/%s", ref->file, ref->queue_id);
	else
		snprintf(path, sizeof(path), "%s", ref->file);
	if (r == 0)
		r = ph_postcat_message(&c->p, m->fd, path, ref, m->env, &err);
	if (r < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		c->status = 1;
	}
	ph_arena_free(&arena);
	return r;
}

static int show_id(struct postcat *c, int dirfd, const char *id)
{
	struct ph_err err = { 0 };
	char path[64];
	int fd, r = -ESRCH;

	if (!ph_queue_id_plausible(id)) {
		ph_log(PH_LOG_FATAL, "bad mail queue ID: %s", id);
		c->status = 1;
		return -EINVAL;
	}
	if (ph_queue_id_valid(id)) {
		r = find(c, id, &err);
		if (r == 0)
			return show_ref(c, dirfd);
		if (r != -ESRCH) {
			ph_log(PH_LOG_FATAL, "%s", err.text);
			c->status = 1;
			return r;
		}
		snprintf(path, sizeof(path), "maildrop/%s", id);
		fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd >= 0) {
			r = show_fd(c, fd, path);
			close(fd);
			return r;
		}
	}
	return fatal(c, "open queue file", id, -ENOENT);
}

static void run(void *arg)
{
	struct postcat *c = arg;
	int i, dirfd = -1;

	if (c->n_args == 0)
		show_stdin(c);
	if (c->by_id) {
		dirfd = open(c->g->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dirfd < 0) {
			fatal(c, "open queue directory", c->g->queue_directory, -errno);
			return;
		}
	}
	for (i = 0; i < c->n_args && c->status == 0; i++) {
		if (c->by_id)
			show_id(c, dirfd, c->args[i]);
		else
			show_file(c, c->args[i]);
	}
	ph_stored_cache_trim();
	ph_offline_close(&c->offline);
	if (dirfd >= 0)
		close(dirfd);
}

static int usage(void)
{
	ph_log(PH_LOG_FATAL, "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] [-h (header text)] "
	       "[-q (access queue)] [-v] [file(s)...]");
	return 1;
}

static int options(struct postcat *c, int argc, char **argv, const char **config_dir)
{
	int opt;

	optind = 1;
	while ((opt = getopt(argc, argv, "bc:dehoqv")) != -1) {
		switch (opt) {
		case 'b': c->p.body = true; break;
		case 'c': *config_dir = optarg; break;
		case 'd': c->p.types = true; break;
		case 'e': c->p.envelope = true; break;
		case 'h': c->p.header = true; break;
		case 'o': c->p.offsets = true; break;
		case 'q': c->by_id = true; break;
		case 'v': c->p.verbose = true; break;
		default: return -EINVAL;
		}
	}
	if (!c->p.body && !c->p.envelope && !c->p.header)
		c->p.body = c->p.envelope = c->p.header = true;
	c->args = argv + optind;
	c->n_args = argc - optind;
	return 0;
}

int ph_main_postcat(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "postcat", .only_stderr = true };
	const char *config_dir = NULL;
	struct postcat c = { 0 };
	struct ph_config *config;
	struct ph_err err;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	if (options(&c, argc, argv, &config_dir) < 0)
		return usage();
	if (ph_config_load(ph_cmd_config_dir(config_dir), PH_CONFIG_QUIET, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return 1;
	}
	c.conf = ph_config_main(config);
	c.g = ph_conf_general(c.conf);
	if (ph_run_blocking(run, &c) < 0)
		return 1;
	if (fflush(stdout) != 0) {
		ph_log(PH_LOG_FATAL, "write error: %m");
		return 1;
	}
	return c.status;
}
