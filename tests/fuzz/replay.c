/* replay.c - a fuzz target without its fuzzer: every file of the folders given, whole, and each with
 * a few changed bytes; fails when there are too few files. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX_BYTES ((size_t)1 << 20)
#define CHANGES 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* run - @data, then copies of it of which one byte differs or the end is missing. */
static void run(const uint8_t *data, size_t len)
{
    static const uint8_t bytes[] = {0, '"', '\\', '{', ']', 0x80, ' ', '9'};
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    if (copy == NULL) {
        abort();
    }
    (void)LLVMFuzzerTestOneInput(data, len);
    for (size_t i = 0; i < CHANGES && len > 0; i++) {
        memcpy(copy, data, len);
        copy[(len * i / CHANGES + i) % len] = bytes[i % sizeof(bytes)];
        (void)LLVMFuzzerTestOneInput(copy, len);
        (void)LLVMFuzzerTestOneInput(data, len * i / CHANGES);
    }
    free(copy);
}

static unsigned run_folder(const char *folder, uint8_t *buffer)
{
    unsigned n = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        (void)fprintf(stderr, "no folder %s\n", folder);
        exit(1);
    }
    for (struct dirent *e = NULL; (e = readdir(dir)) != NULL;) {
        char path[1024];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (f != NULL) {
            run(buffer, fread(buffer, 1, INPUT_MAX_BYTES, f));
            (void)fclose(f);
            n++;
        }
    }
    (void)closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    unsigned least = 0;
    uint8_t *buffer = malloc(INPUT_MAX_BYTES);
    if (argc < 3 || buffer == NULL || sscanf(argv[1], "%u", &least) != 1) {
        (void)fprintf(stderr, "usage: %s LEAST FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        n += run_folder(argv[i], buffer);
    }
    free(buffer);
    (void)printf("%u inputs\n", n);
    return n >= least && n > 0 ? 0 : 1;
}
