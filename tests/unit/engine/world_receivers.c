/* Receivers as the test owns them: every post is kept, and judged as the test says. */
#include "world.h"

#include <stdio.h>

#include <retrybuild/destination.h>

/* Of reports that are calls of AWS, and of answers to who asked, this world has none. */
const struct rb_destination_type *rb_destination_type_find(const char *type)
{
    static const struct rb_destination_type chat = {.type = "slack", .chat = true};
    return rb_str_eq(type, "slack") ? &chat : NULL;
}

const struct rb_destination_type *rb_reply_type_find(const char *source_type)
{
    (void)source_type;
    return NULL;
}

bool rb_destination_wants(const struct rb_destination_setting *d, const struct rb_retry *r,
                          enum rb_stage stage)
{
    (void)r;
    return d->stages[stage];
}

int64_t rb_destination_pace_ms(const struct rb_destination_setting *d)
{
    (void)d;
    return 0;
}

void rb_destination_post(const struct rb_destination_setting *d, const struct rb_report_view *v,
                         int64_t first_due_ms, const struct rb_settings *s, struct rb_httpc *http,
                         const struct rb_random *rnd, struct rb_post_result *ret)
{
    struct world *w = the_world;

    (void)first_due_ms;
    (void)s;
    (void)rnd;
    assert_non_null(http);
    pthread_mutex_lock(&w->lock);
    assert_true(w->n_posts < WORLD_POSTS);
    snprintf(w->posts[w->n_posts].destination, 64, "%s", d->name);
    snprintf(w->posts[w->n_posts].message_id, 64, "%s", v->message_id);
    w->posts[w->n_posts].stage = v->stage;
    w->posts[w->n_posts].state = v->retry->state;
    w->n_posts++;
    pthread_mutex_unlock(&w->lock);
    *ret = (struct rb_post_result){.verdict = RB_POST_DELIVERED};
    if (w->verdict != WORLD_DELIVERED) {
        ret->verdict = w->verdict == WORLD_AGAIN ? RB_POST_AGAIN : RB_POST_DEAD;
        ret->again_in_ms = 5000;
        snprintf(ret->error, sizeof(ret->error), "the receiver is down");
    }
}
