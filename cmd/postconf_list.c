/* postconf_list.c: what there is: table types, locks, SASL back ends, texts of notifications, TLS.  Source: postconf(1). */
#include "cmd/postconf.h"

#include "base/log.h"
#include "message/bounce_template.h"
#include "module/loader.h"
#include <posthouse/sasl.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the usable modules of a kind, and one that is no module.  client: SASL modules that can be clients. */
static void list_modules(struct pc *pc, const char *kind, bool client, const char *besides)
{
	struct ph_module_info *modules;
	size_t i, n = ph_modules_scan(pc->arena, &modules), k = 0;
	const char **names = ph_alloc((n + 2) * sizeof(*names));

	for (i = 0; i < n; i++) {
		if (strcmp(modules[i].kind, kind) != 0 || modules[i].module == NULL)
			continue;
		if (client && modules[i].module->ops.sasl->client_start == NULL)
			continue;
		names[k++] = modules[i].name;
	}
	if (besides)
		names[k++] = besides;
	qsort(names, k, sizeof(*names), by_name);
	for (i = 0; i < k; i++)
		printf("%s\n", names[i]);
	free(names);
}

static const struct { const char *name; enum ph_bounce_kind kind; } texts[] = {
	{ "failure", PH_BOUNCE_FAILURE }, { "delay", PH_BOUNCE_DELAY }, { "success", PH_BOUNCE_SUCCESS }, { "verify", PH_BOUNCE_TRACE },
};

/* The built-in author is shown as header_from_format has it. */
static const char *author(const struct ph_conf *view, const char *from)
{
	const char *format = ph_conf_get(view, "header_from_format");

	if (format && ph_str_ieq(format, "obsolete"))
		return from;
	return strcmp(from, "MAILER-DAEMON (Mail Delivery System)") == 0 ? "Mail Delivery System <MAILER-DAEMON>" : from;
}

static void print_template(const struct ph_conf *view, const struct ph_bounce_template *t, const char *name)
{
	printf("%s_template = <<EOF\nCharset: %s\nFrom: %s\nSubject: %s\n", name, t->charset, author(view, t->from), t->subject);
	if (t->postmaster_subject)
		printf("Postmaster-Subject: %s\n", t->postmaster_subject);
	printf("\n%s%sEOF\n", t->body, *t->body && t->body[strlen(t->body) - 1] == '\n' ? "" : "\n");
}

/* Complaints about the file come from bounce(8), as far as anybody knows. */
static void read_templates(struct pc *pc, const char *file, struct ph_bounce_template *t)
{
	struct ph_log_config log = { .prog = "bounce", .syslog_name = ph_conf_get(pc->conf, "syslog_name"), .only_stderr = true, .stderr_full_name = true };
	struct ph_err err;

	ph_bounce_template_builtin(t);
	if (!file)
		file = ph_conf_get(pc->conf, "bounce_template_file");
	if (!file || !*file)
		return;
	ph_log_open(&log);
	ph_log_set_immediate(true);
	if (ph_bounce_template_read(file, pc->arena, t, &err) < 0)
		pc_fatal("%s", err.text);
}

/* -b: bodies with names expanded; -t: templates as they are. */
static void list_texts(struct pc *pc, bool expanded, const char *file)
{
	struct ph_bounce_template all[PH_BOUNCE_KINDS];
	const char *body;
	size_t i;

	read_templates(pc, file, all);
	for (i = 0; i < PH_ARRAY_LEN(texts); i++) {
		const struct ph_bounce_template *t = &all[texts[i].kind];

		if (i > 0)
			printf("\n");
		if (!expanded) {
			print_template(pc->conf, t, texts[i].name);
			continue;
		}
		body = ph_bounce_template_text(pc->conf, pc->arena, t);
		printf("expanded_%s_text = <<EOF\n%s%sEOF\n", texts[i].name, body,
		       *body && body[strlen(body) - 1] == '\n' ? "" : "\n");
	}
}

static void list_tls(const char *mode)
{
	if (strcmp(mode, "compile-version") == 0)
		printf("%s\n", OPENSSL_VERSION_TEXT);
	else if (strcmp(mode, "run-version") == 0)
		printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
	else if (strcmp(mode, "public-key-algorithms") == 0)
		printf("dsa\necdsa\ned25519\ned448\nrsa\n");
	else {
		ph_log(PH_LOG_WARNING, "unknown 'postconf -T' mode: %s", mode);
		exit(1);
	}
}

void pc_list(struct pc *pc, int what, char **args, int n)
{
	if (what == 'l') {
		printf("flock\nfcntl\ndotlock\n");
		return;
	}
	if (what == 'T') {
		list_tls(args[0]);
		return;
	}
	pc_load(pc);
	switch (what) {
	case 'm': list_modules(pc, "lookup", false, "proxy"); break;   /* a prefix, which changes nothing here */
	case 'a': list_modules(pc, "sasl", false, NULL); break;
	case 'A': list_modules(pc, "sasl", true, "cyrus"); break;       /* what smtp_sasl_type calls the client's own mechanisms */
	case 'b': list_texts(pc, true, n ? args[0] : NULL); break;
	case 't': list_texts(pc, false, n ? args[0] : NULL); break;
	}
}
