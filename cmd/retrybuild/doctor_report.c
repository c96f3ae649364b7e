/* doctor_report.c - the findings: collected as JSON, shown as that or as a table. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "client.h"
#include "doctor.h"

#define TEXT_MAX_BYTES 4096

static const struct {
    const char *word, *shown, *colour;
} STATUS[] = {
    [RB_FINE] = {"ok", "ok", "\033[32m"},
    [RB_NOTICE] = {"notice", "note", "\033[33m"},
    [RB_ATTENTION] = {"attention", "WRONG", "\033[31m"},
};

static json_t *text_of(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/* Whatever a message holds becomes JSON: what is no UTF-8 is replaced. */
static json_t *text_of(const char *fmt, va_list ap)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf quoted = RB_BUF_INIT(7 * TEXT_MAX_BYTES);

    rb_buf_addvf(&text, fmt, ap);
    rb_buf_add_json_string(&quoted, rb_buf_str(&text), text.len);
    return json_loads(rb_buf_str(&quoted), JSON_DECODE_ANY, NULL);
}

json_t *rb_doctor_add(struct rb_doctor *d, enum rb_finding f, const char *area, const char *name,
                      const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_t *detail = text_of(fmt, ap);
    va_end(ap);
    json_t *row = json_pack("{s:s, s:s, s:s, s:o}", "area", area, "name", name, "status",
                            STATUS[f].word, "detail", detail == NULL ? json_null() : detail);
    d->attention = d->attention || f == RB_ATTENTION;
    d->no_memory = d->no_memory || row == NULL || json_array_append_new(d->checks, row) != 0;
    return d->no_memory ? NULL : row;
}

void rb_doctor_advise(json_t *row, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)json_object_set_new(row, "do", text_of(fmt, ap));
    va_end(ap);
}

void rb_doctor_fact(json_t *row, const char *name, const char *text)
{
    (void)json_object_set_new(row, name, text == NULL ? json_null() : json_string(text));
}

void rb_doctor_time(json_t *row, const char *name, int64_t unix_ms)
{
    char text[RB_TIME_ISO_BYTES];

    rb_time_iso(unix_ms, text);
    rb_doctor_fact(row, name, unix_ms == 0 ? NULL : text);
}

static void print_row(const json_t *row, bool colour)
{
    RB_CLEANUP(rb_freep) char *name = rb_cli_printable(rb_member(row, "name"));
    RB_CLEANUP(rb_freep) char *detail = rb_cli_printable(rb_member(row, "detail"));
    RB_CLEANUP(rb_freep) char *advice = rb_cli_printable(rb_member(row, "do"));
    const char *status = rb_member(row, "status");
    size_t at = 0;

    while (at + 1 < RB_ARRAY_LEN(STATUS) && !rb_str_eq(status, STATUS[at].word)) {
        at++;
    }
    (void)printf("  %s%-5s%s  %-30s  %s\n", colour ? STATUS[at].colour : "", STATUS[at].shown,
                 colour ? "\033[0m" : "", name, detail);
    if (advice[0] != '\0') {
        (void)printf("  %5s  %-30s  -> %s\n", "", "", advice);
    }
}

void rb_doctor_print(const struct rb_doctor *d, bool as_json)
{
    bool colour = rb_cli_colour(STDOUT_FILENO);
    const char *area = "";
    size_t i = 0;
    json_t *row = NULL;

    if (as_json) {
        json_t *out = json_pack("{s:b, s:O}", "ok", !d->attention, "checks", d->checks);
        rb_client_print_json(out);
        json_decref(out);
        return;
    }
    json_array_foreach(d->checks, i, row)
    {
        const char *here = rb_member(row, "area");
        if (!rb_str_eq(area, here)) {
            (void)printf("%s%s\n", i == 0 ? "" : "\n", here);
            area = here;
        }
        print_row(row, colour);
    }
    (void)printf("\n%s\n",
                 d->attention ? "something needs attention: see WRONG above" : "all is well");
}
