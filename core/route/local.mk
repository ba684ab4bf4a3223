# sources of core/route
libcore_la_SOURCES += core/route/route.h core/route/internal.h core/route/route.c core/route/resolve.c core/route/recipient.c \
	core/route/own_addr.c core/route/address.c core/route/token.c core/route/token.h core/route/addrlist.c \
	core/route/hostname.c core/route/hostname.h
