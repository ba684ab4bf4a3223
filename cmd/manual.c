/* manual.c: "posthouse manual DIR": write a manual page for each installed module and one for all parameters, from the declarations that the
 * program itself works with.  A text in doc/man/modules/KIND_NAME (mdoc) is put into the page where there is one. */
#include "cmd/cmd.h"
#include "base/log.h"
#include "config/config.h"
#include "module/loader.h"
#include <posthouse/restriction.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_words[] = { "text", "text, not expanded", "yes or no", "number", "number", "time" };

/* mdoc takes a leading dot and a backslash for its own. */
static void put_text(FILE *f, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", f);
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", f);
		else if (*s == '-')
			fputs("\\-", f);
		else
			fputc(*s, f);
	}
	fputc('\n', f);
}

static void put_param(FILE *f, const struct ph_param *p)
{
	fprintf(f, ".It Va %s Pq %s\n", p->name, type_words[p->type]);
	if (p->def && *p->def) {
		fputs("Default: ", f);
		put_text(f, p->def);
	} else {
		fputs("Default: empty.\n", f);
	}
	fputs(".br\n", f);
	put_text(f, p->help ? p->help : "");
}

static void put_params(FILE *f, const struct ph_param *params, size_t n)
{
	fputs(".Bl -tag -width 4n\n", f);
	for (size_t i = 0; i < n; i++)
		put_param(f, &params[i]);
	fputs(".El\n", f);
}

static void put_extra(FILE *f, const char *texts, const char *kind, const char *name)
{
	char path[4096], buf[4096];
	size_t n;
	FILE *in;

	if (!texts || (size_t)snprintf(path, sizeof path, "%s/%s_%s", texts, kind, name) >= sizeof path)
		return;
	in = fopen(path, "r");
	if (!in)
		return;
	while ((n = fread(buf, 1, sizeof buf, in)) > 0)
		fwrite(buf, 1, n, f);
	fclose(in);
}

static FILE *page_open(const char *dir, const char *name, int section)
{
	char path[4096];
	FILE *f = NULL;

	if ((size_t)snprintf(path, sizeof path, "%s/%s.%d", dir, name, section) < sizeof path)
		f = fopen(path, "w");
	if (!f)
		ph_log(PH_LOG_FATAL, "%s/%s.%d: %s", dir, name, section, strerror(errno));
	return f;
}

static void page_head(FILE *f, const char *name, int section, const char *summary)
{
	fprintf(f, ".\\\" made by \"posthouse manual\" from the declarations in the source\n.Dd $Mdocdate$\n.Dt %s %d\n.Os posthouse\n"
		".Sh NAME\n.Nm %s\n.Nd ", name, section, name);
	put_text(f, summary);
}

static int module_page(const char *dir, const char *texts, const struct ph_module_info *x)
{
	int section = strcmp(x->kind, "delivery") == 0 ? 8 : 5;
	char name[256];
	FILE *f;

	snprintf(name, sizeof name, "posthouse-%s-%s", x->kind, x->name);
	f = page_open(dir, name, section);
	if (!f)
		return -1;
	page_head(f, name, section, x->module->summary);
	fputs(".Sh DESCRIPTION\n", f);
	if (strcmp(x->kind, "lookup") == 0)
		fprintf(f, "In any parameter that takes tables:\n.Sm off\n.Cm %s : Ar name\n.Sm on\n", x->name);
	else
		fprintf(f, "%s\n.Cm %s\n%s\n", strcmp(x->kind, "delivery") == 0 ? "In master.cf, a service of type unix with the command" :
			strcmp(x->kind, "restriction") == 0 ? "In smtpd_*_restrictions:" : "Named in the configuration as", x->name,
			strcmp(x->kind, "restriction") == 0 && x->module->ops.restriction->n_args ? ".Ar argument" : ".Pp");
	put_extra(f, texts, x->kind, x->name);
	if (x->module->n_params) {
		fputs(".Sh PARAMETERS\nOf\n.Pa main.cf :\n", f);
		put_params(f, x->module->params, x->module->n_params);
	}
	fputs(".Sh SEE ALSO\n.Xr posthouse 1 ,\n.Xr posthouse-parameters 5\n", f);
	return fclose(f) == 0 ? 0 : -1;
}

static int parameter_page(const char *dir)
{
	FILE *f = page_open(dir, "posthouse-parameters", 5);

	if (!f)
		return -1;
	page_head(f, "posthouse-parameters", 5, "the parameters of main.cf that have an effect");
	fputs(".Sh DESCRIPTION\nNames and meanings are those of Postfix unless a line says otherwise.\n", f);
	for (const struct ph_param_table *t = ph_param_tables(); t; t = t->next) {
		fprintf(f, ".Ss %s\n", t->owner);
		put_params(f, t->params, t->n);
	}
	fputs(".Sh SEE ALSO\n.Xr posthouse 1\n", f);
	return fclose(f) == 0 ? 0 : -1;
}

int ph_main_manual(int argc, char **argv)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_module_info *list;
	int rc = 0;
	size_t n;

	if (argc < 2) {
		ph_log(PH_LOG_FATAL, "usage: posthouse manual DIR [TEXTS]");
		return 64;
	}
	ph_modules_init(PH_MODULE_DIR);
	n = ph_modules_scan(arena, &list);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (list[i].module)
			rc = module_page(argv[1], argv[2], &list[i]);
	if (rc == 0)
		rc = parameter_page(argv[1]);
	ph_arena_free(&arena);
	return rc < 0 ? 1 : 0;
}
