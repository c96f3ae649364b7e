/* traced.h - the trace in which a request came. */
#ifndef RB_HTTPD_TRACED_H
#define RB_HTTPD_TRACED_H

#include "private.h"

/* rb_exchange_trace - traceparent and tracestate as they were sent, in ex's arena; NULL = none, or
 * more than one traceparent. While ex has its connection. */
void rb_exchange_trace(struct rb_exchange *ex, const char **ret_parent, const char **ret_state);

#endif
