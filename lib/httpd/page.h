/* page.h - the files of the dashboard as the build put them into the program (embed.c). */
#ifndef RB_HTTPD_PAGE_H
#define RB_HTTPD_PAGE_H

#include <stddef.h>

struct rb_asset {
    const char *name; /* "app.js" */
    const char *content_type;
    const char *tag; /* entity tag, quotes included */
    const unsigned char *data;
    size_t len;
};
extern const struct rb_asset rb_assets[];
extern const unsigned rb_n_assets;

#endif
