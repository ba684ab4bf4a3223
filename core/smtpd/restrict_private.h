/* restrict_private.h: the inside of restriction lists, for restrict.c and restrict_run.c. */
#ifndef CORE_SMTPD_RESTRICT_PRIVATE_H
#define CORE_SMTPD_RESTRICT_PRIVATE_H

#include "smtpd/restrict.h"

enum ph_ruse_kind {
	PH_RUSE_MODULE,
	PH_RUSE_CLASS,
	PH_RUSE_TABLE,          /* a bare type:name: check_<what the list checks>_access */
	PH_RUSE_WARN,           /* warn_if_reject */
	PH_RUSE_BROKEN,         /* why says what is wrong */
};
struct ph_ruse {
	enum ph_ruse_kind kind;
	char *name;             /* as main.cf has it */
	char *arg, *why;
	bool passed_over;       /* BROKEN: said in the log, but no reason to refuse */
	const struct ph_module *mod;
	const struct ph_restriction_ops *ops;
	const void *settings;
	void *use;
	struct ph_rlist *list;                  /* CLASS */
	struct ph_ruse *by_class[PH_ACCESS_SASL + 1];    /* TABLE: made on first use */
};
struct ph_rlist {
	struct ph_smtpd_service *svc;
	char *title;
	size_t n;
	struct ph_ruse *u;
};
struct ph_rcache {
	size_t n;
	struct { char *text; struct ph_rlist *list; } *e;
};
/* Find the module and prepare it.  0, or negative: u is BROKEN now. */
int ph_ruse_load(struct ph_smtpd_service *svc, struct ph_ruse *u, const char *module, const char *arg);
#endif
