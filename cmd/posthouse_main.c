/* posthouse_main.c: the program; everything is in the library. */
int ph_main(int argc, char **argv);

int main(int argc, char **argv)
{
	return ph_main(argc, argv);
}
