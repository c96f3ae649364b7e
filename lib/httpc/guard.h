/* guard.h - parts of the address guard that stay inside the area. */
#ifndef RB_HTTPC_GUARD_H
#define RB_HTTPC_GUARD_H

#include <retrybuild/httpc.h>

/* rb_address_listed - @sa is in the operator's list (a mapped IPv4 address counts as IPv4). */
bool rb_address_listed(const struct sockaddr *sa, const struct rb_netlist *allow);
/* rb_address_parse - a numeric address, a zone ("%eth0") is ignored; false when it is none. */
bool rb_address_parse(const char *s, struct sockaddr_storage *ret_sa);
/* rb_guard_allows - may a guarded request go to @sa? Without TLS only to listed addresses. */
bool rb_guard_allows(const struct sockaddr *sa, bool tls, const struct rb_netlist *allow);
/* rb_guard_host_allowed - for calls through a proxy, which hides the address: every address that
 * @host has as seen from here must be allowed; a name that does not resolve here is left to the
 * proxy. Blocks: name resolution. */
bool rb_guard_host_allowed(const char *host, bool tls, const struct rb_netlist *allow);

#endif
