/* code.h: a reply code that main.cf sets, as the only setting of a restriction. */
#ifndef MODULES_RESTRICTION_COMMON_CODE_H
#define MODULES_RESTRICTION_COMMON_CODE_H

#include <posthouse/module.h>
#include <posthouse/restriction.h>

struct code_settings { int code; };
#define CODE_PARAM(name, def, help) \
	static const struct ph_param params[] = { PH_P_INT(struct code_settings, code, name, def, 200, 599, help) }

/* The enhanced code "5.x.y" with the reply code's class. */
static inline const char *code_dsn(struct ph_session *s, int code, const char *detail)
{
	return ph_arena_printf(ph_session_arena(s), "%d.%s", code / 100, detail);
}
static inline enum ph_verdict_class code_class(int code)
{
	return code < 500 ? PH_DEFER : PH_REJECT;
}

#endif
