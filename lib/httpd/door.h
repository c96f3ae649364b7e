/* door.h - what the files of the AWS front door share. POST / speaks AWS JSON 1.1: door.c proves
 * who calls and finds the operation, door_retry.c serves RetryBuild, door_pass.c passes look-ups
 * on, door_wait.c has the threads and the pauses, door_answer.c AWS's form of an error.
 */
#ifndef RB_HTTPD_DOOR_H
#define RB_HTTPD_DOOR_H

#include <retrybuild/codebuild.h>

#include "private.h"

#define RB_DOOR_WAITING_MAX 256 /* requests that wait for something at once */
#define RB_DOOR_BODY_MAX_BYTES ((size_t)256 * 1024)

/* A request whose caller is proved; follows the exchange from thread to thread. */
struct rb_door {
    const char *region; /* of the credential scope */
    const char *operation;
    bool counted; /* in n_door */

    /* RetryBuild */
    const char *build_id;
    const char *account; /* NULL until it is known */
    const char *token;
    const char *child_id;
    int64_t until_ms;  /* boot clock: answered by then */
    int64_t parent_ms; /* boot clock: until then the retry whose child the build is may still end */
    int64_t due_ms;    /* boot clock: the next look */
    int64_t pause_ms;  /* before it */
    void (*look)(struct rb_exchange *ex, struct rb_store_session *ses);
};

/* ---- door.c ---- */
/* rb_door_begin - with the headers: is this a request to the front door? Then its answers have
 * AWS's form. True when it is one and the door is closed: there is nothing at this path. */
bool rb_door_begin(struct rb_exchange *ex);
void rb_door_end(struct rb_exchange *ex);

/* ---- door_answer.c ---- */
/* rb_door_error - AWS's error: @type in the body and in a header. Any thread that has the exchange.
 */
void rb_door_error(struct rb_exchange *ex, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* rb_door_problem - what elsewhere is problem+json with this status. */
void rb_door_problem(struct rb_exchange *ex, unsigned status, const char *detail);
/* rb_door_body - the answer's body is AWS JSON. */
void rb_door_body(struct rb_exchange *ex, unsigned status);

/* ---- door_look.c ---- */
/* rb_door_look - API thread: has the call of the retry ex->retry_id been made? An answer, another
 * look, or the question for the child. */
void rb_door_look(struct rb_exchange *ex, struct rb_store_session *ses);
/* rb_door_get_build - BatchGetBuilds of one build; *ret_text, in @ret_answer, is empty when
 * CodeBuild does not show it. False: another answer of AWS, or none (*ret_rc says why). */
bool rb_door_get_build(struct rb_exchange *ex, struct rb_codebuild *c, const char *id,
                       struct rb_http_answer *ret_answer, struct rb_slice *ret_text,
                       enum rb_code *ret_rc, struct rb_err *err);

/* ---- door_retry.c, door_pass.c ---- */
void rb_door_retry(struct rb_exchange *ex);
void rb_door_pass(struct rb_exchange *ex);
/* rb_door_give - AWS's own answer, as it is. */
void rb_door_give(struct rb_exchange *ex, const struct rb_http_answer *answer);
/* rb_door_no_answer - the error for a call to CodeBuild that came to nothing. */
void rb_door_no_answer(struct rb_exchange *ex, enum rb_code rc, const struct rb_err *err);

/* ---- door_wait.c; the loop's thread but for rb_door_look_again ---- */
/* rb_door_enter - count one more that waits; false (with an answer) when there are too many. */
bool rb_door_enter(struct rb_exchange *ex);
/* rb_door_look_again - from the API thread or a front-door thread: run @look after a pause. */
void rb_door_look_again(struct rb_exchange *ex,
                        void (*look)(struct rb_exchange *ex, struct rb_store_session *ses));
/* rb_door_go_on - what next_step says. */
void rb_door_go_on(struct rb_exchange *ex);
/* rb_door_turn - looks that are due. */
void rb_door_turn(struct rb_httpd *h);
int64_t rb_door_timeout_ms(const struct rb_httpd *h); /* until the next look; -1 = none */
/* rb_door_threads - started when they are not yet running. */
enum rb_code rb_door_threads(struct rb_httpd *h, struct rb_err *err);
void rb_door_stop(struct rb_httpd *h); /* ends calls under way, joins */

#endif
