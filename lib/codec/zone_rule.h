/* zone_rule.h - the rule of a zone for the years to come: "CET-1CEST,M3.5.0,M10.5.0/3". */
#ifndef RB_CODEC_ZONE_RULE_H
#define RB_CODEC_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/str.h>

struct zone_change {
    char kind; /* M: month, week, day; J: day of the year without 29 February; 0: with it */
    int month, week, day;
    int64_t time_s; /* of the wall clock before the change */
};
struct zone_rule {
    int64_t standard_s, summer_s;
    bool has_summer;
    struct zone_change begin, end;
};

bool rb_zone_rule_parse(struct rb_slice s, struct zone_rule *ret_r);
int64_t rb_zone_rule_offset_s(const struct zone_rule *r, int64_t unix_s);

#endif
