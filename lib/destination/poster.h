/* poster.h - one report on its way: what a type's post and judge have in hand. */
#ifndef RB_DESTINATION_POSTER_H
#define RB_DESTINATION_POSTER_H

#include <retrybuild/destination.h>
#include <retrybuild/json.h>

struct rb_poster {
    const struct rb_destination_setting *d;
    const struct rb_destination_type *type;
    const struct rb_report_view *v;
    const struct rb_settings *s;
    struct rb_httpc *http;
    const struct rb_random *rnd;
    int64_t first_due_ms;
    struct rb_arena *a;           /* lives as long as the report is under way */
    struct rb_http_answer answer; /* to the last request */
    struct rb_post_result *ret;   /* judged after each request */
};

/* rb_poster_send - one request, judged into p->ret. True: delivered, the answer is in p->answer.
 * False: p->ret says what becomes of the report (p->answer.status is 0 when there was no answer);
 * a post that knows better may go on. */
bool rb_poster_send(struct rb_poster *p, const struct rb_rendered *r);
/* rb_poster_fail - nothing more can be done: dead, with the sentence. */
void rb_poster_fail(struct rb_poster *p, const char *error);
/* rb_poster_again - once more at its time, at least @after_ms from now; dead when it has been tried
 * for long enough. */
void rb_poster_again(struct rb_poster *p, int64_t after_ms, const char *error);
/* rb_poster_limited - as again, and nothing else goes to this destination for @after_ms either. */
void rb_poster_limited(struct rb_poster *p, int64_t after_ms, const char *error);
/* rb_poster_done - delivered after all. */
void rb_poster_done(struct rb_poster *p);
/* rb_poster_keep - the receipt for the chain's next report; false when it does not fit. */
bool rb_poster_keep(struct rb_poster *p, const char *receipt);
/* rb_poster_json - the last answer read as JSON; NULL = it is none. Caller json_decref()s. */
json_t *rb_poster_json(const struct rb_poster *p);

/* rb_limits_pause_ms - how long the answer's headers ask to wait before the next request, -1 = they
 * do not: Retry-After, else a spent quota (x-ratelimit-remaining or ratelimit-remaining 0) with its
 * reset, in seconds from now or since 1970. @refused: the answer is a refusal, so that Retry-After
 * counts. Source: facts on integrations, 2.1, 3.3, 4.3. */
int64_t rb_limits_pause_ms(const struct rb_http_answer *a, bool refused, int64_t now_ms);

#endif
