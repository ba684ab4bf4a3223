/* received.c: trace headers of mail that does not come over SMTP.  (smtpd/envelope.c writes those of sessions.)
 *
 * Pure but for the clock; does not yield.  RFC 5321 section 4.4. */
#include "message/received.h"

#include "message/header.h"

const char *ph_received_local(const struct ph_conf *conf, const char *queue_id, int64_t uid, struct ph_arena *arena)
{
	const char *host = ph_conf_get(conf, "myhostname"), *name = ph_conf_get(conf, "mail_name");
	char date[64];

	ph_header_date(ph_wall_us(), date, sizeof(date));
	host = host ? host : "localhost";
	name = name ? name : "Postfix";
	if (uid < 0)
		return ph_arena_printf(arena, "Received: by %s (%s)\n\tid %s; %s", host, name, queue_id, date);
	return ph_arena_printf(arena, "Received: by %s (%s, from userid %lld)\n\tid %s; %s", host, name, (long long)uid, queue_id, date);
}
