/* source.h - inbound adapters: a row {type, verify, parse} each.
 *
 * verify proves the sender over the raw bytes (constant time, all configured secrets always tried);
 * parse turns the verified body into events. Neither does I/O nor keeps state. Adding one: a file
 * lib/source/<type>.c, a row in lib/source/table.c, a folder of cases. Threads: any. Blocks: never.
 */
#ifndef RETRYBUILD_SOURCE_H
#define RETRYBUILD_SOURCE_H

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/model.h>
#include <retrybuild/settings.h>
#include <retrybuild/str.h>

#define RB_MAX_EVENTS 1000 /* of one delivery */

/* An HTTP request as adapters see it. */
struct rb_request {
    const char *query; /* as sent, without '?'; NULL = none */
    const char *method;
    const char *path;
    struct rb_slice body;
    /* header - the value, or NULL when absent; *ret_n (may be NULL) counts occurrences. @name is
     * lower case. */
    const char *(*header)(const void *arg, const char *name, unsigned *ret_n);
    const void *arg;
    int64_t now_ms;
    const struct rb_certificate *certificate; /* of certificate_url, or pinned; NULL = none */
};

struct rb_command;

struct rb_events {
    struct rb_event *items; /* in the arena handed to parse */
    unsigned n;
    const char *delivery_id; /* what the sender repeats; NULL = use the body's SHA-256 */
    bool id_unproved; /* it stands where no signature covers it: shown, but the body's SHA-256 is
                         what a repetition is known by */
    const char *const *delivery_ids; /* of a batch: one an event, each may be NULL; NULL = none */

    /* what a person asked for (command.h); at most RB_MAX_COMMANDS of one delivery */
    struct rb_command *commands;
    unsigned n_commands;

    /* an answer that is due whatever else happens (ping, challenge, unknown event): with it n and
     * n_commands are 0 */
    const char *answer; /* NULL = none; "" = an empty body */
    unsigned answer_status;
    const char *answer_type; /* media type; NULL = application/json */
    const char *ignored;     /* why there is nothing in it, when n and n_commands are 0 */

    const char *notice; /* a sentence that the operator should read in the log; NULL = none */
    /* a topic's subscription that is to be confirmed by a call to its region; n is 0 then */
    const char *confirm_region, *confirm_query;
};
#define RB_MAX_COMMANDS 16

/* What became of a delivery, for a sender that wants its own form. */
struct rb_outcome {
    unsigned status;     /* HTTP, as it would be sent */
    const char *word;    /* accepted, duplicate, ignored, refused; NULL = a problem */
    const char *retry;   /* id or NULL */
    const char *reason;  /* one sentence or NULL */
    const char *message; /* what a person who gave a command is told; NULL = there was none */
    bool in_public;      /* the message is for everybody in that place */
};

/* What is posted beside the answer, through the address guard. */
struct rb_push {
    const char *method;     /* NULL = POST */
    const char *url, *body; /* in the arena; the URL is a secret; the body is JSON */
};
struct rb_httpc;
struct rb_certificate;

enum {                    /* rb_source_type.media: bodies beside JSON */
       RB_MEDIA_FORM = 1, /* application/x-www-form-urlencoded */
       RB_MEDIA_ANY = 2,
};

struct rb_source_type {
    const char *type;
    const char *const *keys; /* of the configuration beside name, type, secrets, who; NULL = none */
    unsigned media;
    /* check - of the configuration, for check-config: RB_E_INVALID with the sentence, *ret_key the
     * key it is about. NULL = nothing to check. */
    enum rb_code (*check)(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err);
    /* certificate_url - where the certificate is that verify needs and that is not at hand, in @a.
     * NULL = none is needed, or the delivery is refused whatever it says. NULL row = never. */
    const char *(*certificate_url)(const struct rb_source_setting *s, const struct rb_request *req,
                                   struct rb_arena *a);
    /* certificate_pem - the certificate that @url is about, of the document @text that stands
     * there; NULL = it is not in it. NULL row = the document is the certificate. */
    const char *(*certificate_pem)(const char *text, size_t len, const char *url,
                                   struct rb_arena *a);
    /* certificate_fits - whether what stands at @url may sign for it. */
    bool (*certificate_fits)(const struct rb_certificate *c, const char *url, int64_t now_ms);
    /* RB_E_DENIED with one text for every cause. */
    enum rb_code (*verify)(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err);
    /* RB_E_INVALID: not what this sender sends (400). A valid body without a usable build is RB_OK
     * with RB_EVENT_NONE events. */
    enum rb_code (*parse)(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err);
    /* answer - this sender's own form of an outcome; RB_OK with *ret_status set. NULL = ours. */
    enum rb_code (*answer)(const struct rb_source_setting *s, const struct rb_request *req,
                           const struct rb_outcome *o, struct rb_buf *out, unsigned *ret_status,
                           const char **ret_type);
    /* push - for senders that show nothing of an answer: what is posted elsewhere before it. False:
     * nothing. NULL = never. */
    bool (*push)(const struct rb_command *c, const struct rb_outcome *o, struct rb_arena *a,
                 struct rb_push *ret_p);
    /* defer - for senders that do not wait long: the answer (200, JSON, perhaps empty) to @c, which
     * is still being carried out. False: what became of it could not be told later, so it waits.
     * NULL = the answer always waits. */
    bool (*defer)(const struct rb_command *c, struct rb_buf *out);
    /* late - what tells the outcome of a command that was answered by defer. False: nothing. */
    bool (*late)(const struct rb_command *c, const struct rb_outcome *o, struct rb_arena *a,
                 struct rb_push *ret_p);
    /* greet - the answer to OPTIONS (a handshake); headers "name: value" in @a. NULL = 405. */
    enum rb_code (*greet)(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, const char *ret_headers[4], struct rb_err *err);
    /* content_type - the media type with which this sender posts @body. NULL = application/json. */
    const char *(*content_type)(struct rb_slice body);
    /* sign - for `retrybuild send`: the headers ("name: value", at most 4, in @a) that this sender
     * would add to @body. @header: what --secret-header said, or --audience; NULL = neither. */
    enum rb_code (*sign)(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err);
};

const struct rb_source_type *rb_source_type_find(const char *type); /* NULL = unknown */
/* rb_source_type_names - for messages ("did you mean"); ends with NULL. */
const char *const *rb_source_type_names(void);
/* rb_source_content_type - the media type with which the sender would post @body. */
const char *rb_source_content_type(const struct rb_source_type *t, struct rb_slice body);

/* A body that comes without its request: the headers of @req, and where it lacks one, what the
 * sender would have said of such a body (its media type, its event's name). For explanations; it
 * proves nothing. */
struct rb_as_sent {
    const struct rb_request *req;
    const char *media;
    const char *lines[4];
};
/* rb_as_sent_init - @ret_req has the body of @req and these headers; valid with @ret_s and @a. */
void rb_as_sent_init(const struct rb_source_type *t, const struct rb_request *req,
                     struct rb_arena *a, struct rb_as_sent *ret_s, struct rb_request *ret_req);
/* rb_secrets_match - some unexpired secret equals @presented; time depends on lengths only. */
bool rb_secrets_match(const struct rb_secrets *s, const char *presented, size_t len,
                      int64_t now_ms);

#endif
