/* pipe.c: hand a message to a command: the service, and one delivery from its checks to its results.
 *
 * State: one struct pipe_service for each master.cf service.  Runs in the root agent; what comes from a message goes through copy.c and argv.c, which are pure, and
 * everything else happens in the child.  Yields.  Source: pipe(8). */
#include "pipe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../common/exit_status.h"

#define OUTPUT_MAX 4000                 /* bytes of a command's output that are looked at */
#define CHUNK 32768

struct pipe_service {
	const struct ph_conf *conf;
	struct ph_arena *arena;
	struct pipe_attr attr;
	struct ph_run_identity id;
	int64_t limit_ms;
};

struct delivery {
	struct pipe_service *svc;
	struct ph_delivery *d;
	struct ph_arena *arena;
	const char *service, *sender;
};

/* ---- the service ---- */

static int read_limit(const struct ph_conf *conf, struct ph_arena *arena, int64_t *ret, struct ph_err *err)
{
	/* the transport's name is part of the parameter's */
	const struct ph_param p = { .name = ph_arena_printf(arena, "%s_time_limit", ph_conf_service(conf)), .type = PH_PARAM_TIME, .def = "$command_time_limit",
		.min = 1000, .time_unit = 's' };

	return ph_conf_settings(conf, &p, 1, ret, err);
}

static int pipe_check(const struct ph_conf *conf, const void *settings, struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_run_identity id;
	struct pipe_attr attr;
	int64_t limit;
	int rc = pipe_attr_parse(ph_conf_service_words(conf), arena, &attr, err);

	if (rc == 0)
		rc = ph_run_identity(conf, arena, attr.user, &id, err);
	if (rc == 0)
		rc = read_limit(conf, arena, &limit, err);
	ph_arena_free(&arena);
	return rc;
}

static int pipe_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	struct pipe_service *svc = ph_arena_alloc(arena, sizeof *svc);
	int rc = pipe_attr_parse(ph_conf_service_words(conf), arena, &svc->attr, err);

	svc->conf = conf;
	svc->arena = arena;
	if (rc == 0)
		rc = ph_run_identity(conf, arena, svc->attr.user, &svc->id, err);
	if (rc == 0)
		rc = read_limit(conf, arena, &svc->limit_ms, err);
	if (rc < 0) {
		ph_arena_free(&arena);
		return rc;
	}
	*ret = svc;
	return 0;
}

static void pipe_stop(void *service)
{
	struct ph_arena *arena = ((struct pipe_service *)service)->arena;

	ph_arena_free(&arena);
}

/* ---- what the macros stand for ---- */

static const char *fold(const struct delivery *p, const char *s)
{
	return ph_str_fold(p->arena, s, ph_conf_utf8(p->svc->conf));
}

/* An address as the flags want it: quoted, halves in lower case. */
static const char *address_text(const struct delivery *p, const char *address)
{
	unsigned flags = p->svc->attr.flags;
	const char *text = flags & PIPE_QUOTE ? ph_address_external(p->arena, address) : address, *at = strrchr(text, '@'), *local = text;

	if (at)
		local = ph_arena_strndup(p->arena, text, (size_t)(at - text));
	if (flags & PIPE_FOLD_USER)
		local = fold(p, local);
	if (!at)
		return local;
	return ph_arena_printf(p->arena, "%s%s", local, flags & PIPE_FOLD_HOST ? fold(p, at) : at);
}

/* Where "user+ext" is cut, 0: nowhere.  Names that lists and the mail system itself use are never cut. */
static size_t extension_at(const struct delivery *p, const char *local)
{
	const char *delims = ph_conf_get(p->svc->conf, "recipient_delimiter"), *special = ph_conf_get(p->svc->conf, "owner_request_special");
	size_t n = strlen(local), cut;

	if (!delims || !*delims || n < 2 || ph_str_ieq(local, "double-bounce") || ph_str_ieq(local, "mailer-daemon"))
		return 0;
	cut = 1 + strcspn(local + 1, delims);
	if (special && ph_str_ieq(special, "yes") && local[cut] == '-' && (ph_str_istarts(local, "owner-") || (n > 8 && ph_str_ieq(local + n - 8, "-request"))))
		return 0;
	return local[cut] ? cut : 0;
}

static void fill_rcpt(const struct delivery *p, const struct ph_rcpt *r, struct pipe_rcpt *ret)
{
	const char *at = strrchr(r->address, '@'), *domain = at ? at + 1 : "";
	const char *local = ph_arena_strndup(p->arena, r->address, at ? (size_t)(at - r->address) : strlen(r->address));
	unsigned flags = p->svc->attr.flags;
	size_t cut;

	if (flags & PIPE_FOLD_USER)
		local = fold(p, local);
	cut = extension_at(p, local);
	*ret = (struct pipe_rcpt){
		.recipient = address_text(p, r->address), .original = address_text(p, r->original), .mailbox = local,
		.user = cut ? ph_arena_strndup(p->arena, local, cut) : local, .extension = cut ? local + cut + 1 : "",
		.domain = flags & PIPE_FOLD_HOST ? fold(p, domain) : domain,
	};
}

static void fill_values(const struct delivery *p, struct pipe_values *v)
{
	struct ph_delivery *d = p->d;
	const struct pipe_attr *a = &p->svc->attr;
	const char *sender = p->sender;

	*v = (struct pipe_values){
		/* the original client, if a filter in front of us has told of one (XFORWARD) */
		.client_address = ph_delivery_attr(d, "log_client_address"), .client_helo = ph_delivery_attr(d, "log_helo_name"),
		.client_hostname = ph_delivery_attr(d, "log_client_name"), .client_port = ph_delivery_attr(d, "log_client_port"),
		.client_protocol = ph_delivery_attr(d, "log_protocol_name"), .queue_id = ph_delivery_queue_id(d),
		.nexthop = a->flags & PIPE_FOLD_HOST ? fold(p, ph_delivery_nexthop(d)) : ph_delivery_nexthop(d),
		.sasl_method = ph_delivery_attr(d, "sasl_method"), .sasl_sender = ph_delivery_attr(d, "sasl_sender"),
		.sasl_username = ph_delivery_attr(d, "sasl_username"), .size = ph_arena_printf(p->arena, "%lld", (long long)ph_delivery_bytes(d)),
		.sender = *sender && (a->flags & PIPE_QUOTE) ? ph_address_external(p->arena, sender) : sender,
	};
}

static char **make_argv(const struct delivery *p, struct ph_err *err)
{
	size_t n = ph_delivery_rcpt_count(p->d);
	struct pipe_rcpt *rcpts = ph_arena_alloc(p->arena, (n + 1) * sizeof *rcpts);
	struct pipe_values values;

	fill_values(p, &values);
	for (size_t i = 0; i < n; i++)
		fill_rcpt(p, ph_delivery_rcpt(p->d, i), &rcpts[i]);
	return pipe_argv(&p->svc->attr, &values, rcpts, n, p->arena, err);
}

/* ---- the message ---- */

static const char *top(const struct delivery *p)
{
	const struct pipe_attr *a = &p->svc->attr;
	const struct ph_rcpt *r = ph_delivery_rcpt(p->d, 0);
	const char *sender = *p->sender ? ph_address_external(p->arena, p->sender) : "";
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	time_t now = (time_t)(ph_wall_us() / 1000000);
	char when[40] = "";
	const char *text;
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &tm);
	if (a->flags & PIPE_FROM)
		ph_buf_printf(&b, "From %s  %s%s", *sender ? sender : "MAILER-DAEMON", when, a->eol);
	if (a->flags & PIPE_RETURN_PATH)
		ph_buf_printf(&b, "Return-Path: <%s>%s", sender, a->eol);
	if (a->flags & PIPE_ORIG_RCPT)
		ph_buf_printf(&b, "X-Original-To: %s%s", r->original, a->eol);
	if (a->flags & PIPE_DELIVERED)
		ph_buf_printf(&b, "Delivered-To: %s%s", r->address, a->eol);
	text = ph_arena_strdup(p->arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

/* 0; -EPIPE: the command does not read on, which its exit status will explain; -ETIMEDOUT; or the message cannot be read (err). */
static int feed(const struct delivery *p, struct ph_run *run, struct ph_err *err)
{
	struct ph_buf out = PH_BUF_INIT(CHUNK * (strlen(p->svc->attr.eol) + 2) + 64);  /* each byte may be a line end, or a dot */
	const char *head = top(p);
	char *buf = ph_alloc(CHUNK);
	struct pipe_copy copy;
	int64_t at = 0;
	ssize_t n = 0;
	int rc = ph_run_write(run, head, strlen(head));

	pipe_copy_init(&copy, &p->svc->attr);
	while (rc == 0 && (n = ph_delivery_read(p->d, at, buf, CHUNK, err)) > 0) {
		at += n;
		ph_buf_clear(&out);
		rc = pipe_copy_add(&copy, buf, (size_t)n, &out);
		if (rc == 0)
			rc = ph_run_write(run, out.data, out.len);
	}
	ph_buf_clear(&out);
	if (rc == 0 && n == 0)
		rc = pipe_copy_end(&copy, &out);
	if (rc == 0 && n == 0 && out.len)
		rc = ph_run_write(run, out.data, out.len);
	ph_buf_done(&out);
	free(buf);
	return n < 0 ? (int)n : rc;
}

/* 1: one of the headers says that it was delivered to the (only) recipient; 0; negative: cannot be read. */
static int delivered_before(const struct delivery *p, struct ph_err *err)
{
	struct pipe_loop *loop = ph_alloc(sizeof *loop);
	char *buf = ph_alloc(CHUNK);
	int64_t at = 0;
	ssize_t n = 0;
	int rc;

	loop->address = ph_delivery_rcpt(p->d, 0)->address;
	while (!loop->done && (n = ph_delivery_read(p->d, at, buf, CHUNK, err)) > 0) {
		at += n;
		pipe_loop_add(loop, buf, (size_t)n);
	}
	rc = n < 0 ? (int)n : loop->found;
	free(buf);
	free(loop);
	return rc;
}

/* ---- one delivery ---- */

static void misconfigured(const struct delivery *p)
{
	ph_delivery_result_all(p->d, PH_DEFERRED, "4.3.5", p->service, "mail system configuration error");
}

/* May the command have this message at all?  False: the recipients have their results. */
static bool acceptable(const struct delivery *p)
{
	const struct pipe_attr *a = &p->svc->attr;
	size_t n = ph_delivery_rcpt_count(p->d);
	struct ph_err err;
	int rc;

	if ((a->flags & (PIPE_DELIVERED | PIPE_ORIG_RCPT)) && n > 1) {
		ph_log(PH_LOG_WARNING, "pipe flag `%c' requires %s_destination_recipient_limit = 1", a->flags & PIPE_DELIVERED ? 'D' : 'O', p->service);
		misconfigured(p);
		return false;
	}
	if (a->size > 0 && ph_delivery_bytes(p->d) > a->size) {
		ph_delivery_result_all(p->d, PH_BOUNCED, "5.2.3", p->service, "message too large");
		return false;
	}
	if (!(a->flags & PIPE_DELIVERED))
		return true;
	rc = delivered_before(p, &err);
	if (rc > 0)
		ph_delivery_result_all(p->d, PH_BOUNCED, "5.4.6", p->service, "mail forwarding loop for %s", ph_delivery_rcpt(p->d, 0)->address);
	else if (rc < 0)
		ph_delivery_result_all(p->d, PH_DEFERRED, "4.3.0", p->service, "%s", err.text);
	return rc == 0;
}

static void give_result(const struct delivery *p, const char *command, bool timed_out, int status, const char *output)
{
	struct exit_status r;

	if (timed_out)
		ph_log(PH_LOG_WARNING, "pipe_command_read: read time limit exceeded");
	exit_status(p->arena, command, timed_out, status, output, &r);
	ph_delivery_remote(p->d, NULL, r.diagnostic);
	if (r.status == PH_SENT)
		ph_delivery_result_all(p->d, r.status, r.dsn, p->service, "delivered via %s service%s%.100s%s", p->service, *r.text ? " (" : "", r.text,
			*r.text ? ")" : "");
	else
		ph_delivery_result_all(p->d, r.status, r.dsn, p->service, "%s", r.text);
}

static void run(const struct delivery *p, char **argv)
{
	const struct pipe_attr *a = &p->svc->attr;
	struct ph_run_spec spec = {
		.uid = p->svc->id.uid, .gid = p->svc->id.gid, .chroot_dir = a->chroot_dir, .argv = argv, .env = ph_run_environment(p->svc->conf, p->arena),
		.dir = a->dir ? a->dir : a->chroot_dir ? "/" : ph_conf_get(p->svc->conf, "queue_directory"),
		.limit_ms = p->svc->limit_ms, .output_max = OUTPUT_MAX,
	};
	const char *output;
	struct ph_run *child;
	struct ph_err err;
	int status, rc;

	if (ph_run_start(&spec, &child, &err) < 0) {
		ph_delivery_result_all(p->d, PH_DEFERRED, "4.3.0", p->service, "%s", err.text);
		return;
	}
	rc = feed(p, child, &err);
	if (rc < 0 && rc != -EPIPE && rc != -ETIMEDOUT) {
		ph_delivery_result_all(p->d, PH_DEFERRED, "4.3.0", p->service, "%s", err.text);
	} else {
		rc = ph_run_end(child, &status, &output);
		give_result(p, argv[0], rc == -ETIMEDOUT, status, output);
	}
	ph_run_free(&child);
}

static void pipe_deliver(void *service, struct ph_delivery *d)
{
	struct delivery p = { .svc = service, .d = d, .arena = ph_delivery_arena(d), .service = ph_delivery_service(d), .sender = ph_delivery_sender(d) };
	struct ph_err err;
	char **argv;

	if (!*p.sender)
		p.sender = p.svc->attr.null_sender;
	if (!acceptable(&p))
		return;
	argv = make_argv(&p, &err);
	if (!argv) {
		ph_log(PH_LOG_WARNING, "file %s/master.cf: service %s: %s", ph_conf_get(p.svc->conf, "config_directory"), p.service, err.text);
		misconfigured(&p);
	} else if (ph_delivery_probe(d)) {
		ph_delivery_result_all(d, PH_SENT, "2.0.0", p.service, "delivers to command: %s", argv[0]);
	} else {
		run(&p, argv);
	}
}

static const struct ph_delivery_ops ops = {
	.size = sizeof ops, .start = pipe_start, .stop = pipe_stop, .deliver = pipe_deliver, .check = pipe_check,
};

PH_MODULE(PH_KIND_DELIVERY, "pipe", "1.0", "hands mail to a command: content filters, other mail systems", .ops.delivery = &ops);
