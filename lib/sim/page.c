/* page.c - pages and their tokens. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/str.h>

#include "page.h"

bool sim_page_open(struct sim_call *c, const char *list, bool default_descending,
                   struct sim_page *ret_page)
{
    const char *order = json_string_value(json_object_get(c->in, "sortOrder"));
    const char *token = json_string_value(json_object_get(c->in, "nextToken"));
    struct sim_page p = {.descending =
                             order == NULL ? default_descending : strcmp(order, "DESCENDING") == 0};
    snprintf(p.list, sizeof p.list, "%s%s", list, p.descending ? "-" : "+");
    if (token != NULL) {
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(2 * SIM_CURSOR_BYTES);
        bool ok = rb_unbase64(token, strlen(token), &text) && !rb_buf_failed(&text);
        const char *s = rb_buf_str(&text);
        size_t len = strlen(p.list);
        if (!ok || strncmp(s, p.list, len) != 0 || s[len] != '\n' ||
            strlen(s + len + 1) >= sizeof p.after || s[len + 1] == '\0') {
            sim_fail(c, "InvalidInputException",
                     "Invalid token: the nextToken is not of this list");
            return false;
        }
        snprintf(p.after, sizeof p.after, "%s", s + len + 1);
        p.skipping = true;
    }
    json_t *limit = json_object_get(c->in, "maxResults");
    p.limit = json_is_integer(limit) ? (size_t)json_integer_value(limit) : SIM_PAGE;
    p.items = json_array();
    *ret_page = p;
    return true;
}

bool sim_page_add(struct sim_page *page, const char *item)
{
    if (page->skipping) {
        page->skipping = strcmp(item, page->after) != 0;
        return true;
    }
    if (json_array_size(page->items) == page->limit) {
        page->more = true;
        return false;
    }
    json_array_append_new(page->items, json_string(item));
    snprintf(page->last, sizeof page->last, "%s", item);
    return true;
}

void sim_page_close(struct sim_call *c, struct sim_page *page, const char *member)
{
    c->out = json_pack("{s:o}", member, page->items);
    if (page->more) {
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(2 * SIM_CURSOR_BYTES);
        RB_CLEANUP(rb_buf_release) struct rb_buf token = RB_BUF_INIT(4 * SIM_CURSOR_BYTES);
        rb_buf_addf(&text, "%s\n%s", page->list, page->last);
        rb_base64(rb_buf_str(&text), text.len, &token);
        json_object_set_new(c->out, "nextToken", json_string(rb_buf_str(&token)));
    }
}
