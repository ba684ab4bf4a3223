/* bounce_template.h: the texts of notifications: built in, or from bounce_template_file (bounce(5)). */
#ifndef CORE_MESSAGE_BOUNCE_TEMPLATE_H
#define CORE_MESSAGE_BOUNCE_TEMPLATE_H

#include "config/config.h"
#include "message/bounce.h"

#define PH_BOUNCE_KINDS 4       /* enum ph_bounce_kind */

struct ph_bounce_template {
	const char *charset, *from, *subject, *postmaster_subject, *body;
	const char *name, *origin;      /* "delay"; "[built-in]" or the file */
	bool builtin;                   /* from is in the form "address (name)", and header_from_format holds for it */
};

/* The template of kind for conf.  From the file if it holds a good one, else the built-in one (with a warning once per configuration). */
const struct ph_bounce_template *ph_bounce_template(const struct ph_conf *conf, enum ph_bounce_kind kind);
/* body with $name and ${name} replaced; the times of delay_warning_time_hours and the like included.  In arena. */
const char *ph_bounce_template_text(const struct ph_conf *conf, struct ph_arena *arena, const struct ph_bounce_template *t);
/* "failure", "delay", "success", "verify". */
const char *ph_bounce_template_name(int kind);
/* Those that are built in. */
void ph_bounce_template_builtin(struct ph_bounce_template ret[PH_BOUNCE_KINDS]);
/* bounce_template_file into ret, which holds what counts where the file says nothing; strings in arena.  A template that cannot be used is named in
 * the log.  Negative: the syntax is beyond repair, or the file cannot be read; nothing is changed then. */
int ph_bounce_template_read(const char *path, struct ph_arena *arena, struct ph_bounce_template ret[PH_BOUNCE_KINDS], struct ph_err *err);
/* The same for its text; path: for messages. */
int ph_bounce_template_parse(const char *text, const char *path, struct ph_arena *arena, struct ph_bounce_template ret[PH_BOUNCE_KINDS], struct ph_err *err);
#endif
