/* verify.c: whether mail to an address is deliverable, as the SMTP server asks: from the cache, and by probes (verify(8)).
 *
 * A probe is a message without content that goes the way of all mail, but the delivery agent ends before it delivers.  Its result is not in the
 * journal: a probe that a restart loses is sent again when somebody asks again.
 * State: the cache, the number of probes under way.  Only a probe's coroutine yields. */
#include <errno.h>
#include <posthouse/co.h>
#include <posthouse/delivery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "message/intake.h"
#include "message/received.h"
#include "queue/qmgr_private.h"
#include "queue/verify_cache.h"

#define CACHE_MAX ((size_t)1000000)
#define ADDRESS_MAX 1000
#define TEXT_MAX 400
#define UNCACHED_SECONDS 60
#define MULTIPLE "aliased to multiple recipients"

struct settings {
	const char *map;
	bool negative_cache;
	int64_t positive_expire_ms, positive_refresh_ms, negative_expire_ms, negative_refresh_ms, clean_ms;
	int pending_limit;
};
#define S struct settings
static const struct ph_param params[] = {
	PH_P_STR(S, map, "address_verify_map", "$default_cache_db_type:$data_directory/verify_cache", "where results of address verification are kept; empty: in memory"),
	PH_P_BOOL(S, negative_cache, "address_verify_negative_cache", "yes", "keep results of failed probes"),
	PH_P_TIME(S, positive_expire_ms, "address_verify_positive_expire_time", "31d", 's', 1000, 0, "how long a good result is believed"),
	PH_P_TIME(S, positive_refresh_ms, "address_verify_positive_refresh_time", "7d", 's', 1000, 0, "when a good result is probed again"),
	PH_P_TIME(S, negative_expire_ms, "address_verify_negative_expire_time", "3d", 's', 1000, 0, "how long a bad result is believed"),
	PH_P_TIME(S, negative_refresh_ms, "address_verify_negative_refresh_time", "3h", 's', 1000, 0, "when a bad result is probed again"),
	PH_P_TIME(S, clean_ms, "address_verify_cache_cleanup_interval", "12h", 'h', 0, 0, "how often expired results are removed; 0: never"),
	PH_P_INT(S, pending_limit, "address_verify_pending_request_limit", "5000", 1, 0, "probes under way at the same time"),
};
#undef S
PH_SETTINGS_TABLE("verify", params)

static struct verify {
	bool started;
	struct settings set;
	struct ph_verify_times times;
	struct ph_verify_cache *cache;
	struct ph_timer *clean_timer;
	int pending;
} v;

static int64_t now_seconds(void)
{
	return ph_wall_us() / 1000000;
}

static void on_clean(void *arg)
{
	ph_verify_cache_clean(v.cache);
	ph_timer_set(v.clean_timer, ph_now_ms() + v.set.clean_ms);
}

/* The first question: most systems never ask one. */
static bool start(struct ph_qmgr *q)
{
	struct ph_err err;

	if (v.started)
		return true;
	if (ph_conf_settings(q->conf, params, PH_ARRAY_LEN(params), &v.set, &err) < 0) {
		ph_log_as("verify", PH_LOG_WARNING, "%s", err.text);
		return false;
	}
	v.started = true;
	v.times = (struct ph_verify_times){ v.set.positive_expire_ms / 1000, v.set.positive_refresh_ms / 1000, v.set.negative_expire_ms / 1000,
					    v.set.negative_refresh_ms / 1000 };
	v.cache = ph_verify_cache_open(q->conf, v.set.map, CACHE_MAX, &v.times);
	if (v.set.clean_ms > 0) {
		v.clean_timer = ph_timer_new(on_clean, NULL);
		on_clean(NULL);
	}
	return true;
}

static void remember(const char *address, enum ph_verified status, int64_t probed, int64_t updated, const char *text)
{
	struct ph_buf b = PH_BUF_INIT(TEXT_MAX + 100);

	ph_buf_printf(&b, "%d:%lld:%lld:%.*s", (int)status, (long long)probed, (long long)updated, TEXT_MAX, *text ? text : "-");
	for (char *p = b.data; *p; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			*p = '?';
	ph_verify_cache_put(v.cache, address, b.data);
	ph_buf_done(&b);
}

/* ---- probes ---- */

static int send_probe(struct ph_qmgr *q, struct ph_arena *arena, const char *address, struct ph_err *err)
{
	struct ph_intake_params p = {
		.conf = ph_qmgr_service_conf(q, q->set.cleanup_service), .prog = "verify", .origin = "local", .local_origin = true,
		.flags = PH_INTAKE_NO_BCC | PH_INTAKE_NO_CHECKS | PH_INTAKE_NO_MILTERS, .arena = arena,
	};
	const char *sender = ph_route_probe_sender(q->route_conf, arena);
	struct ph_intake *in;
	char queue_id[PH_QUEUE_ID_MAX];
	struct ph_verdict verdict;
	int r;

	r = ph_intake_begin(&p, &in, err);
	if (r < 0)
		return r;
	ph_intake_sender(in, sender, NULL, NULL, "", PH_ENV_VERIFY);
	ph_intake_rcpt(in, address, NULL, 0);
	ph_intake_prepend(in, ph_received_local(q->conf, ph_intake_queue_id(in), -1, arena));
	snprintf(queue_id, sizeof(queue_id), "%s", ph_intake_queue_id(in));
	verdict = ph_intake_end(&in, NULL);
	if (verdict.cls == PH_PERMIT && verdict.code == 252) {
		ph_log_as("cleanup", PH_LOG_INFO, "%s: to=<%s>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=deliverable (%s)", queue_id,
			  ph_address_quote(arena, address), MULTIPLE);
		v.pending--;
		remember(address, PH_VERIFIED_OK, 0, now_seconds(), MULTIPLE);
	}
	return verdict.cls == PH_PERMIT ? 0 : ph_err_set(err, -EIO, "%s", verdict.text ? verdict.text : "not accepted");
}

static void probe_main(void *arg)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_err err = { 0, "" };

	if (send_probe(ph_qmgr, arena, arg, &err) < 0) {
		v.pending--;
		ph_log_as("verify", PH_LOG_WARNING, "probe for <%s> could not be sent: %s", (char *)arg, err.text);
	}
	ph_arena_free(&arena);
	free(arg);
}

/* What is known stays in force until the probe is back. */
static void probe(const char *address, const struct ph_verify_entry *known)
{
	if (v.pending >= v.set.pending_limit) {
		ph_log_as("verify", PH_LOG_WARNING, "address_verify_pending_request_limit (%d) reached: <%s> is not probed now", v.set.pending_limit, address);
		return;
	}
	remember(address, known->status, now_seconds(), known->updated, known->text);
	v.pending++;
	ph_co_spawn("verify probe", probe_main, ph_strdup(address));
}

void ph_qmgr_verify_result(struct ph_qmgr *q, const struct ph_entry *e, const struct ph_envelope *env, uint32_t rcpt, enum ph_delivery_status status,
			   const char *text)
{
	const char *address;
	int64_t updated;

	if (!start(q) || !env || rcpt >= env->n_rcpts)
		return;
	address = env->rcpts[rcpt].original && *env->rcpts[rcpt].original ? env->rcpts[rcpt].original : env->rcpts[rcpt].address;
	if (rcpt == 0 && v.pending > 0)
		v.pending--;
	updated = now_seconds();
	if (status != PH_SENT && !v.set.negative_cache)         /* only for those who wait for it right now */
		updated -= v.times.negative_expire - UNCACHED_SECONDS;
	remember(address, status == PH_SENT ? PH_VERIFIED_OK : status == PH_DEFERRED ? PH_VERIFIED_DEFER : PH_VERIFIED_BOUNCE, 0, updated, text);
}

/* ---- questions ---- */

static void answer(struct ph_ipc *ipc, uint32_t number, enum ph_verified status, const char *text)
{
	struct ph_buf b = PH_BUF_INIT(8 * 1024);

	ph_pack_u32(&b, number);
	ph_pack_u8(&b, (uint8_t)status);
	ph_pack_str(&b, text);
	ph_ipc_send(ipc, PH_F_VERIFIED, b.data, b.len);
	ph_buf_done(&b);
}

void ph_qmgr_verify_frame(struct ph_qmgr *q, struct ph_ipc *ipc, struct ph_slice payload)
{
	static const struct ph_verify_entry unknown = { PH_VERIFIED_TODO, 0, 0, "Address verification in progress" };
	struct ph_verify_entry known = unknown;
	struct ph_unpack u;
	const char *address, *value;
	uint32_t number;

	ph_unpack_init(&u, payload);
	number = ph_unpack_u32(&u);
	ph_arena_reset(q->scratch);
	address = ph_unpack_str(&u, q->scratch);
	if (u.bad || !*address || strlen(address) > ADDRESS_MAX || !start(q))
		return;                 /* the one who asks has a time limit */
	value = ph_verify_cache_get(v.cache, address);
	if (value)
		value = ph_arena_strdup(q->scratch, value);
	if (value && (ph_verify_parse(value, &known) < 0 || ph_verify_expired(&known, &v.times, now_seconds())))
		known = unknown;
	answer(ipc, number, known.status, known.text);
	if (ph_verify_needs_probe(&known, &v.times, now_seconds()))
		probe(address, &known);
}
