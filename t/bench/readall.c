/* readall.c: a filter on libmilter that asks for everything and changes nothing: what a milter costs its mail system.
 * readall SOCKET (inet:PORT@127.0.0.1 or unix:/path); ends with SIGTERM.  Build: cc readall.c -lmilter -lpthread. */
#include <libmilter/mfapi.h>
#include <stdio.h>

static sfsistat on_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *addr) { return SMFIS_CONTINUE; }
static sfsistat on_text(SMFICTX *ctx, char *text) { return SMFIS_CONTINUE; }
static sfsistat on_envelope(SMFICTX *ctx, char **argv) { return SMFIS_CONTINUE; }
static sfsistat on_header(SMFICTX *ctx, char *name, char *value) { return SMFIS_CONTINUE; }
static sfsistat on_body(SMFICTX *ctx, unsigned char *p, size_t n) { return SMFIS_CONTINUE; }
static sfsistat on_event(SMFICTX *ctx) { return SMFIS_CONTINUE; }

int main(int argc, char **argv)
{
	struct smfiDesc d = { .xxfi_name = "readall", .xxfi_version = SMFI_VERSION, .xxfi_connect = on_connect, .xxfi_helo = on_text,
		.xxfi_envfrom = on_envelope, .xxfi_envrcpt = on_envelope, .xxfi_header = on_header, .xxfi_eoh = on_event, .xxfi_body = on_body,
		.xxfi_eom = on_event, .xxfi_abort = on_event, .xxfi_close = on_event };

	if (argc != 2 || smfi_setconn(argv[1]) == MI_FAILURE || smfi_register(d) == MI_FAILURE) {
		fprintf(stderr, "usage: readall SOCKET\n");
		return 1;
	}
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
