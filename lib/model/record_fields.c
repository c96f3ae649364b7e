/* record_fields.c - the tables of a record.
 *
 * Format: byte version, then fields: varint tag, varint length, bytes. Integers are zigzag varints,
 * groups (builds, history entries) are fields again. What a struct holds is one table, read by the
 * encoder and by the decoder, so that the two cannot disagree. Absent values are not written. A
 * field of the record that a newer release wrote is kept as it is and written back, one inside a
 * group is skipped; so what must outlive a write by the release before is a field of the record.
 * Tags are for ever: a field that goes leaves its tag unused.
 */
#include <retrybuild/cleanup.h>

#include "record_fields.h"

#define B(tag, type, absent, member)                         \
    {                                                        \
        tag, type, absent, offsetof(struct rb_build, member) \
    }
const struct record_field rb_record_build_fields[] = {
    B(1, TEXT, 0, partition),
    B(2, TEXT, 0, account),
    B(3, TEXT, 0, region),
    B(4, TEXT, 0, project),
    B(5, TEXT, 0, id),
    B(15, TEXT, 0, source_version),
    B(6, TEXT, 0, arn),
    B(7, INT64, 0, number),
    B(8, TEXT, 0, status),
    B(9, TEXT, 0, phase),
    B(10, TEXT, 0, phase_status),
    B(11, TEXT, 0, message),
    B(12, TEXT, 0, url),
    B(13, TEXT, 0, initiator),
    B(14, TEXT, 0, source_type),
    B(16, TEXT, 0, resolved_version),
    B(17, TEXT, 0, repository),
    B(18, TEXT, 0, branch),
    B(19, TEXT, 0, pull_request),
    B(20, TEXT, 0, batch_arn),
    B(21, INT, -1, exit_code),
    B(22, INT64, 0, started_ms),
    B(23, INT64, 0, ended_ms),
    B(24, INT64, -1, auto_retry_limit),
    B(25, INT64, -1, auto_retry_number),
    B(26, TEXT, 0, next_auto_retry),
    B(50, TEXT, 0, author),
    B(41, INT64, 0, run_ms),
    B(70, TEXT, 0, status_context),
    B(51, TEXT, 0, compute_type),
};

#define R(tag, type, absent, member)                         \
    {                                                        \
        tag, type, absent, offsetof(struct rb_retry, member) \
    }
const struct record_field rb_record_retry_fields[] = {
    R(1, ID, 0, id),
    R(2, ID, 0, chain),
    R(3, ID, 0, previous),
    R(4, STATE, 0, state),
    R(5, INT64, 0, attempt),
    R(6, INT64, 0, limit),
    R(7, BOOL, 0, has_child),
    R(8, TEXT, 0, source.source),
    R(9, TEXT, 0, source.type),
    R(10, TEXT, 0, source.key),
    R(11, INT64, 0, source.at_ms),
    R(12, ACTION, 0, decision.action),
    R(13, TEXT, 0, decision.rule),
    R(14, TEXT, 0, decision.reason),
    R(15, INT64, 0, decision.limit),
    R(16, DELAY_KIND, 0, decision.delay.kind),
    R(17, INT64, 0, decision.delay.base_ms),
    R(18, INT64, 0, decision.delay.cap_ms),
    R(19, STATE, 0, decision.state),
    R(20, TEXT, 0, requested_by),
    R(21, TEXT, 0, request_reason),
    R(22, TEXT, 0, callback_url),
    R(23, BOOL, 0, force),
    R(24, INT64, 0, created_ms),
    R(25, INT64, 0, due_ms),
    R(26, INT64, 0, submitted_ms),
    R(27, INT64, 0, finished_ms),
    R(28, INT64, 0, intent.issue),
    R(29, INT64, 0, intent.unknowns),
    R(30, INT64, 0, intent.date_ms),
    R(31, INT64, 0, intent.written_ms),
    R(32, INT64, 0, intent.low_water),
    R(33, BOOL, 0, intent.ambiguous),
    R(34, INT64, 0, intent.sends),
    R(35, TEXT, 0, intent.access_key),
    R(36, TEXT, 0, cancelled_by),
    R(37, BOOL, 0, decision.start),
    R(38, TEXT, 0, reply),
    R(63, TEXT, 0, channel),
    R(45, BOOL, 0, decision.pipeline),
    R(46, TEXT, 0, intent.execution),
    R(47, TEXT, 0, intent.stage),
    R(48, TEXT, 0, intent.action),
    R(49, BOOL, 0, intent.taken),
    R(65, TEXT, 0, intent.initiator),
    R(75, TEXT, 0, traceparent),
    R(76, TEXT, 0, tracestate),
};

const struct record_field rb_record_use_fields[] = {
    {1, TEXT, 0, offsetof(struct rb_rule_use, rule)},
    {2, INT64, 0, offsetof(struct rb_rule_use, count)},
};

const struct record_field rb_record_history_fields[] = {
    {1, INT64, 0, offsetof(struct rb_history_entry, at_ms)},
    {2, STATE, 0, offsetof(struct rb_history_entry, state)},
    {3, TEXT, 0, offsetof(struct rb_history_entry, note)},
};

const size_t rb_record_n_build_fields = RB_ARRAY_LEN(rb_record_build_fields);
const size_t rb_record_n_retry_fields = RB_ARRAY_LEN(rb_record_retry_fields);
const size_t rb_record_n_use_fields = RB_ARRAY_LEN(rb_record_use_fields);
const size_t rb_record_n_history_fields = RB_ARRAY_LEN(rb_record_history_fields);

struct pack_words rb_record_words(const struct rb_build *b)
{
    const char *colon = b->id == NULL ? NULL : strchr(b->id, ':');
    return (struct pack_words){
        .word = {[PACK_REGION] = b->region,
                 [PACK_PROJECT] = b->project,
                 [PACK_UUID] = colon == NULL ? NULL : colon + 1,
                 [PACK_VERSION] = b->source_version},
    };
}
