/* embed.c - run by the build: prints C source with the Lua scripts and their SHA-1.
 *
 * Usage: embed PRELUDE SCRIPT... > scripts.c. Each script's first line is "#!lua"; the prelude is
 * put behind it. The order of the scripts is that of enum rscript.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define MAX_TEXT 65536

static const char shebang[] = "#!lua\n";

static size_t read_file(const char *path, char *ret_text)
{
    FILE *f = fopen(path, "rb");
    size_t n = f == NULL ? 0 : fread(ret_text, 1, MAX_TEXT, f);
    if (f == NULL || n == 0 || n == MAX_TEXT || fclose(f) != 0) {
        (void)fprintf(stderr, "embed: cannot read %s\n", path);
        exit(1);
    }
    return n;
}

static void print_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (i % 20 == 0) {
            (void)printf("%s    ", i == 0 ? "" : "\n");
        }
        (void)printf("%d,", text[i]);
    }
}

static void print_sha1(const char *text, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    if (EVP_Digest(text, len, digest, &n, EVP_sha1(), NULL) != 1) {
        exit(1);
    }
    for (unsigned i = 0; i < n; i++) {
        (void)printf("%02x", digest[i]);
    }
}

int main(int argc, char **argv)
{
    static char prelude[MAX_TEXT];
    static char body[MAX_TEXT];
    static char whole[3 * MAX_TEXT];
    if (argc < 3) {
        return 2;
    }
    size_t prelude_len = read_file(argv[1], prelude);
    (void)printf("/* made by embed.c */\n#include \"scripts.h\"\n\n");
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            (void)printf("const struct rscript_text rscripts[RSCRIPT_COUNT] = {\n");
        }
        for (int i = 2; i < argc; i++) {
            size_t body_len = read_file(argv[i], body);
            const size_t mark = sizeof(shebang) - 1;
            if (body_len <= mark || memcmp(body, shebang, mark) != 0) {
                (void)fprintf(stderr, "embed: %s does not begin with #!lua\n", argv[i]);
                return 1;
            }
            memcpy(whole, shebang, mark);
            memcpy(whole + mark, prelude, prelude_len);
            memcpy(whole + mark + prelude_len, body + mark, body_len - mark);
            size_t len = prelude_len + body_len;
            if (pass == 0) {
                (void)printf("static const char text_%d[] = {\n", i);
                print_text(whole, len);
                (void)printf("};\n");
            } else {
                const char *slash = strrchr(argv[i], '/');
                (void)printf("    {\"%s\", text_%d, sizeof(text_%d), \"",
                             slash == NULL ? argv[i] : slash + 1, i, i);
                print_sha1(whole, len);
                (void)printf("\"},\n");
            }
        }
    }
    (void)printf("};\n");
    return 0;
}
