/* version.c - retrybuild version: ours, and those of the libraries in use. */
#include <stdio.h>

#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <sqlite3.h>

#include "cli.h"
#include "version.h"

static int run(int argc, char **argv)
{
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_version, argc, argv, NULL, 0, 0, 0, &words, &status)) {
        return status;
    }
    (void)printf("retrybuild %s (%s)\n", RB_VERSION, RB_REVISION);
    (void)printf("libmicrohttpd %s, libcurl %s, jansson %s, %s, SQLite %s, hiredis %d.%d.%d\n",
                 MHD_get_version(), curl_version_info(CURLVERSION_NOW)->version,
                 jansson_version_str(), OpenSSL_version(OPENSSL_VERSION), sqlite3_libversion(),
                 HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    return RB_EXIT_OK;
}

const struct rb_command rb_command_version = {
    .name = "version",
    .usage = "",
    .summary = "print the version and those of the libraries",
    .run = run,
};
