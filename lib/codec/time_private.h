/* time_private.h - the names in times, shared by formatting and parsing. */
#ifndef RB_CODEC_TIME_PRIVATE_H
#define RB_CODEC_TIME_PRIVATE_H

extern const char *const time_months[12];
extern const char *const time_weekdays[7]; /* from Sunday */

#endif
