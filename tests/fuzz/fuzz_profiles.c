/* fuzz_profiles.c - libFuzzer target: the files of AWS's profiles, and the command of
 * credential_process cut into words. */
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/aws/identity.h"
#include "fuzz.h"

/* file - one file that lives in memory, named by the environment as both of AWS's. */
static int file(void)
{
    static int fd = -1;
    if (fd < 0) {
        char path[64];
        fd = memfd_create("profiles", MFD_CLOEXEC);
        need(fd >= 0 && snprintf(path, sizeof path, "/proc/self/fd/%d", fd) > 0);
        need(setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1) == 0);
        need(setenv("AWS_CONFIG_FILE", path, 1) == 0);
    }
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    RB_CLEANUP(rb_profiles_freep) struct rb_profiles *p = NULL;
    char **argv = NULL;
    struct rb_arena a;
    int fd = file();
    need(ftruncate(fd, 0) == 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
    if (rb_profiles_load(&p, NULL) == RB_OK) {
        struct rb_credentials keys = {.expires_ms = 0};
        (void)rb_profiles_has(p, "work");
        (void)rb_profiles_get(p, "work", "region", RB_PROFILE_EITHER);
        if (rb_profiles_keys(p, "default", RB_PROFILE_CREDENTIALS, &keys, NULL) == RB_OK) {
            rb_credentials_release(&keys);
        }
    }
    rb_arena_init(&a, 1 << 20);
    char *command = text_of(data, len);
    need(command != NULL);
    if (rb_process_split(command, &a, &argv, NULL) == RB_OK) {
        need(argv[0] != NULL);
    }
    free(command);
    rb_arena_release(&a);
    return 0;
}
