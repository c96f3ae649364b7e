/* embed.c - run by the build: prints C source with files as arrays of bytes.
 *
 * Usage: embed HEADER NAME FILE [NAME FILE]… > made.c; HEADER declares `const unsigned char NAME[]`
 * and `const size_t NAME_len`.
 */
#include <stdio.h>

static int print_file(const char *name, const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t n = 0;
    int c = 0;
    if (f == NULL) {
        (void)fprintf(stderr, "embed: cannot read %s\n", path);
        return 1;
    }
    (void)printf("const unsigned char %s[] = {", name);
    while ((c = fgetc(f)) != EOF) {
        (void)printf("%s%d,", n++ % 20 == 0 ? "\n    " : "", c);
    }
    (void)printf("0};\nconst size_t %s_len = %zu;\n", name, n);
    int bad = ferror(f);
    return fclose(f) != 0 || bad != 0;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc % 2 != 0) {
        return 2;
    }
    (void)printf("/* made by embed.c */\n#include <%s>\n", argv[1]);
    for (int i = 2; i < argc; i += 2) {
        if (print_file(argv[i], argv[i + 1]) != 0) {
            return 1;
        }
    }
    return 0;
}
