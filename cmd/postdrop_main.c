/* postdrop_main.c: the set-gid program: this one command, whatever name it is called by. */
int ph_main_only(const char *command, int argc, char **argv);

int main(int argc, char **argv)
{
	return ph_main_only("postdrop", argc, argv);
}
