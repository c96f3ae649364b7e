/* callback.h - may results be posted to the URL that a caller names? Threads: any. Blocks: name
 * resolution. */
#ifndef RB_HTTPD_CALLBACK_H
#define RB_HTTPD_CALLBACK_H

#include <retrybuild/err.h>
#include <retrybuild/settings.h>

/* rb_callback_check - RB_E_INVALID for what is no usable URL, RB_E_BLOCKED when it points inside:
 * some address of its host is refused by the guard. */
enum rb_code rb_callback_check(const char *url, const struct rb_settings *s, struct rb_err *err);

#endif
