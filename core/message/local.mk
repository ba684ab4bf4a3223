# sources of core/message
libcore_la_SOURCES += core/message/envelope.h core/message/intake.h core/message/bounce.h core/message/header.h core/message/header.c \
	core/message/mime.h core/message/mime.c core/message/cleanup.h core/message/cleanup_map.h core/message/cleanup_conf.c \
	core/message/cleanup_header.c core/message/cleanup_addr.c core/message/cleanup_env.c core/message/intake.c core/message/content.c \
	core/message/filter_host.h core/message/filter_mail.h core/message/filter_mail.c core/message/filter_chain.c core/message/checks.c \
	core/message/rewrite.c core/message/received.h core/message/received.c core/message/bounce_template.h core/message/bounce_template.c \
	core/message/bounce.c
