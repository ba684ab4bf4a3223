# sources of cmd
# Tables and modules.
libposthouse_la_SOURCES += cmd/maptool.c cmd/maptool.h cmd/postmap.c cmd/postalias.c cmd/modules.c modules/lookup/common/text.c \
	modules/lookup/common/text.h
