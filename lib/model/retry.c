/* retry.c - one retry in memory: its life, its history, its token. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <retrybuild/digest.h>
#include <retrybuild/model.h>

#define NOTE_MAX_BYTES 300
#define HISTORY_KEPT_FIRST 8 /* the beginning of a story is never dropped */

struct rb_retry *rb_retry_new(void)
{
    struct rb_retry *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }
    rb_arena_init(&r->arena, RB_RETRY_MAX_BYTES);
    r->build = (struct rb_build)RB_BUILD_INIT;
    r->child = (struct rb_build)RB_BUILD_INIT;
    return r;
}

void rb_retry_free(struct rb_retry *r)
{
    if (r == NULL) {
        return;
    }
    rb_arena_release(&r->arena);
    free(r);
}

void rb_retry_freep(struct rb_retry **r)
{
    rb_retry_free(*r);
}

/* copy_note - at most NOTE_MAX_BYTES, cut at a code point. */
static const char *copy_note(struct rb_retry *r, const char *note)
{
    if (note == NULL) {
        return NULL;
    }
    size_t n = strlen(note);
    if (n > NOTE_MAX_BYTES) {
        n = NOTE_MAX_BYTES;
        while (n > 0 && ((unsigned char)note[n] & 0xC0U) == 0x80U) {
            n--;
        }
    }
    return rb_arena_strndup(&r->arena, note, n);
}

void rb_retry_note(struct rb_retry *r, int64_t now_ms, const char *note)
{
    if (r->n_history == RB_HISTORY_MAX) {
        memmove(&r->history[HISTORY_KEPT_FIRST], &r->history[HISTORY_KEPT_FIRST + 1],
                (RB_HISTORY_MAX - HISTORY_KEPT_FIRST - 1) * sizeof(r->history[0]));
        r->n_history--;
    }
    r->history[r->n_history++] = (struct rb_history_entry){
        .at_ms = now_ms,
        .state = r->state,
        .note = copy_note(r, note),
    };
}

void rb_retry_enter(struct rb_retry *r, enum rb_state s, int64_t now_ms, const char *note)
{
    assert(rb_state_may(r->state, s));
    r->state = s;
    r->finished_ms = rb_state_terminal(s) ? now_ms : 0;
    rb_retry_note(r, now_ms, note);
}

bool rb_retry_set_decision(struct rb_retry *r, const struct rb_decision *d)
{
    struct rb_decision copy = *d;
    copy.rule = rb_arena_strdup(&r->arena, d->rule);
    copy.reason = rb_arena_strdup(&r->arena, d->reason);
    if ((d->rule != NULL && copy.rule == NULL) || (d->reason != NULL && copy.reason == NULL)) {
        return false;
    }
    r->decision = copy;
    return true;
}

void rb_retry_token(const struct rb_retry *r, char ret_token[65])
{
    char attempt[24];
    char issue[24];
    (void)snprintf(attempt, sizeof(attempt), "%" PRId64, r->attempt);
    (void)snprintf(issue, sizeof(issue), "%" PRId64, r->intent.issue);
    const struct rb_slice parts[] = {rb_slice_str(r->id), rb_slice_str(attempt),
                                     rb_slice_str(issue)};
    uint8_t digest[RB_SHA256_BYTES];
    rb_sha256_parts(parts, 3, digest);
    rb_hex(digest, RB_SHA256_BYTES, ret_token);
}
