/* version.c - retrybuild version: ours, and those of the libraries in use. */
#include <stdio.h>

#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <sqlite3.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/mem.h>

#include "client.h"
#include "version.h"

static void print_text(const char *hiredis)
{
    (void)printf("retrybuild %s (%s)\n", RB_VERSION, RB_REVISION);
    (void)printf("libmicrohttpd %s, libcurl %s, jansson %s, %s, SQLite %s, hiredis %s\n",
                 MHD_get_version(), curl_version_info(CURLVERSION_NOW)->version,
                 jansson_version_str(), OpenSSL_version(OPENSSL_VERSION), sqlite3_libversion(),
                 hiredis);
}

static int print_json(const char *hiredis)
{
    RB_CLEANUP(rb_json_decrefp)
    json_t *j = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "version", RB_VERSION,
                          "revision", RB_REVISION, "libraries", "libmicrohttpd", MHD_get_version(),
                          "libcurl", curl_version_info(CURLVERSION_NOW)->version, "jansson",
                          jansson_version_str(), "openssl", OpenSSL_version(OPENSSL_VERSION_STRING),
                          "sqlite", sqlite3_libversion(), "hiredis", hiredis);
    if (j == NULL) {
        return RB_EXIT_FAILED;
    }
    rb_client_print_json(j);
    return RB_EXIT_OK;
}

static int run(int argc, char **argv)
{
    bool json = false;
    const struct rb_option options[] = {
        {"--json", RB_OPTION_FLAG, "print them as JSON", .flag = &json}};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_version, argc, argv, options, RB_ARRAY_LEN(options), 0, 0, &words,
                      &status)) {
        return status;
    }
    char hiredis[32];
    (void)snprintf(hiredis, sizeof hiredis, "%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR,
                   HIREDIS_PATCH);
    if (json) {
        return print_json(hiredis);
    }
    print_text(hiredis);
    return RB_EXIT_OK;
}

const struct rb_command rb_command_version = {
    .name = "version",
    .usage = "[--json]",
    .summary = "print the version and those of the libraries",
    .run = run,
};
