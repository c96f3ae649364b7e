/* page.h - lists in pages of 100 with an opaque nextToken that names the last item given, so that
 * items which come or go between two calls shift nothing. A token belongs to its list and order. */
#ifndef RB_SIM_PAGE_H
#define RB_SIM_PAGE_H

#include "core.h"

#define SIM_CURSOR_BYTES 256

struct sim_page {
    bool descending;
    bool skipping; /* the last item of the page before has not come by yet */
    bool more;
    char list[SIM_CURSOR_BYTES];  /* which list and order */
    char after[SIM_CURSOR_BYTES]; /* the last item of the page before; "" on the first */
    char last[SIM_CURSOR_BYTES];
    size_t limit; /* items on a page */
    json_t *items;
};

/* sim_page_open - read sortOrder and nextToken; false: the token is not of this list, the call has
 * its error. Then sim_page_add each item in order until it says false, and sim_page_close. */
bool sim_page_open(struct sim_call *c, const char *list, bool default_descending,
                   struct sim_page *ret_page);
bool sim_page_add(struct sim_page *page, const char *item);
void sim_page_close(struct sim_call *c, struct sim_page *page, const char *member);

#endif
