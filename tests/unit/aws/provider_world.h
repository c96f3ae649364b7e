/* provider_world.h - credential providers in a folder of their own, with a server that answers for
 * STS and the metadata endpoints. */
#ifndef RB_TEST_PROVIDER_WORLD_H
#define RB_TEST_PROVIDER_WORLD_H

#include "../../../lib/aws/identity.h"
#include "../common/script_server.h"

struct world {
    struct script_server *server;
    struct rb_settings settings;
    struct rb_aws *aws;
    char dir[64];
    char path[160];
};

int provider_world_open(void **state);
int provider_world_close(void **state);
/* write_file - into the folder; the path, until the next call. */
const char *write_file(struct world *w, const char *name, const char *text);
/* fetch - by a new client. */
enum rb_code fetch(struct world *w, struct rb_credentials *ret_c, struct rb_err *err);
void assert_gives(struct world *w, const char *provider, const char *key, const char *token);
/* assert_refuses - the error says @what, and never a secret. */
void assert_refuses(struct world *w, const char *what);

#define ROW(name) cmocka_unit_test_setup_teardown(name, provider_world_open, provider_world_close)

#endif
