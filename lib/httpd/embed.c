/* embed.c - run by the build: prints C source with the files of the dashboard, each with its type
 * and an entity tag made of its SHA-256.
 *
 * Usage: embed FILE... > assets.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define MAX_FILE ((size_t)1024 * 1024)
#define TAG_BYTES 16

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
};

static const char *type_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(dot, types[i].suffix) == 0) {
            return types[i].type;
        }
    }
    (void)fprintf(stderr, "embed: %s is of no type that is served\n", name);
    exit(1);
}

static size_t read_file(const char *path, unsigned char *ret_data)
{
    FILE *f = fopen(path, "rb");
    size_t n = f == NULL ? 0 : fread(ret_data, 1, MAX_FILE, f);
    if (f == NULL || n == 0 || n == MAX_FILE || fclose(f) != 0) {
        (void)fprintf(stderr, "embed: cannot read %s\n", path);
        exit(1);
    }
    return n;
}

static void print_data(int number, const unsigned char *data, size_t len)
{
    (void)printf("static const unsigned char data_%d[] = {", number);
    for (size_t i = 0; i < len; i++) {
        (void)printf("%s%d,", i % 24 == 0 ? "\n    " : "", data[i]);
    }
    (void)printf("\n};\n");
}

static void print_tag(const unsigned char *data, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    if (EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL) != 1) {
        exit(1);
    }
    for (unsigned i = 0; i < TAG_BYTES; i++) {
        (void)printf("%02x", digest[i]);
    }
}

int main(int argc, char **argv)
{
    static unsigned char data[MAX_FILE];
    (void)printf("/* made by embed.c */\n#include \"page.h\"\n\n");
    for (int i = 1; i < argc; i++) {
        print_data(i, data, read_file(argv[i], data));
    }
    (void)printf("const struct rb_asset rb_assets[] = {\n");
    for (int i = 1; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        const char *name = slash == NULL ? argv[i] : slash + 1;
        (void)printf("    {\"%s\", \"%s\", \"\\\"", name, type_of(name));
        print_tag(data, read_file(argv[i], data));
        (void)printf("\\\"\", data_%d, sizeof data_%d},\n", i, i);
    }
    (void)printf("};\nconst unsigned rb_n_assets = %d;\n", argc - 1);
    return argc > 1 ? 0 : 2;
}
