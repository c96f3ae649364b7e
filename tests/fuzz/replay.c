/* replay.c - a main for a fuzz target without libFuzzer: every file of the folders named is given
 * to it once. An empty folder is an error. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FILE_MAX_BYTES (1024 * 1024)

static int replay_file(const char *folder, const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(FILE_MAX_BYTES);
    size_t len = f == NULL || data == NULL ? 0 : fread(data, 1, FILE_MAX_BYTES, f);
    uint8_t *exact = malloc(len == 0 ? 1 : len);
    int failed = f == NULL || data == NULL || exact == NULL;
    for (size_t i = 0; !failed && i < len; i++) {
        exact[i] = data[i];
    }
    failed = failed || LLVMFuzzerTestOneInput(exact, len) != 0;
    free(exact);
    free(data);
    if (f != NULL) {
        (void)fclose(f);
    }
    return failed;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        unsigned n = 0;
        for (const struct dirent *e = NULL; dir != NULL && (e = readdir(dir)) != NULL;) {
            if (e->d_name[0] == '.') {
                continue;
            }
            n++;
            if (replay_file(argv[i], e->d_name) != 0) {
                (void)fprintf(stderr, "%s/%s cannot be replayed\n", argv[i], e->d_name);
                return 1;
            }
        }
        if (dir != NULL) {
            (void)closedir(dir);
        }
        if (n == 0) {
            (void)fprintf(stderr, "%s has no cases\n", argv[i]);
            return 1;
        }
    }
    return argc < 2;
}
