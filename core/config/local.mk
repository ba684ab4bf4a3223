# sources of core/config
libcore_la_SOURCES += \
	core/config/cidr.c core/config/cidr.h core/config/check.c core/config/conf.c core/config/config.h core/config/expand.c core/config/functional.c \
	core/config/general.c core/config/general.h core/config/known.c core/config/known.def core/config/known.h \
	core/config/disable.c core/config/lines.c core/config/load.c core/config/maincf.c core/config/mastercf.c core/config/match.c core/config/params.c \
	core/config/ports.c core/config/private.h core/config/refs.c core/config/rootonly.c core/config/rootonly.h core/config/settings.c

check_PROGRAMS += t/unit/config_expand t/unit/config_files t/unit/config_settings t/unit/config_match \
	t/unit/config_check
t_unit_config_expand_SOURCES = t/unit/config_expand.c
t_unit_config_expand_LDADD = libcore.la
t_unit_config_expand_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
t_unit_config_files_SOURCES = t/unit/config_files.c
t_unit_config_files_LDADD = libcore.la
t_unit_config_files_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
t_unit_config_settings_SOURCES = t/unit/config_settings.c
t_unit_config_settings_LDADD = libcore.la
t_unit_config_settings_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
t_unit_config_match_SOURCES = t/unit/config_match.c
t_unit_config_match_LDADD = libcore.la
t_unit_config_match_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
# All declarations of the core, so all of it.
t_unit_config_check_SOURCES = t/unit/config_check.c
t_unit_config_check_LDADD = libcore.la
t_unit_config_check_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
TESTS += t/unit/config_check t/unit/config_match t/unit/config_expand t/unit/config_files t/unit/config_settings

EXTRA_DIST += t/fuzz/corpus/maincf t/fuzz/corpus/mastercf t/peers/postconf.t
if FUZZ
noinst_PROGRAMS += t/fuzz/maincf t/fuzz/mastercf
t_fuzz_maincf_SOURCES = t/fuzz/maincf.c
t_fuzz_maincf_LDADD = libcore.la
t_fuzz_maincf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -static
t_fuzz_mastercf_SOURCES = t/fuzz/mastercf.c
t_fuzz_mastercf_LDADD = libcore.la
t_fuzz_mastercf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -static
endif
