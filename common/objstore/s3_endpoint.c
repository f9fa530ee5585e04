/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A host of AWS, taken apart. */
struct aws_host {
    struct bytes region; /* empty for "s3.amazonaws.com" */
    struct bytes domain; /* ".amazonaws.com" */
};

static bool
has_suffix(struct bytes text, const char *suffix)
{
    size_t len = strlen(suffix);
    return text.len >= len &&
           strncasecmp((const char *)text.at + text.len - len, suffix, len) == 0;
}

static bool
take_prefix(struct bytes *text, const char *prefix)
{
    if (!bytes_starts_with(*text, bytes_of_str(prefix)))
        return false;
    bytes_skip(text, strlen(prefix));
    return true;
}

static struct bytes
without_port(struct bytes host)
{
    const uint8_t *colon = host.len > 0 ? memrchr(host.at, ':', host.len) : NULL;
    const uint8_t *bracket = host.len > 0 ? memrchr(host.at, ']', host.len) : NULL;
    if (colon != NULL && (bracket == NULL || colon > bracket))
        host.len = (size_t)(colon - host.at);
    return host;
}

/* No port at all is one, too: the one that the scheme implies. */
static bool
is_port_right(const char *address)
{
    const char *port = address + without_port(bytes_of_str(address)).len;
    size_t digits = *port == ':' ? strspn(port + 1, "0123456789") : 0;
    if (*port == 0)
        return true;
    return digits > 0 && digits <= 5 && port[1 + digits] == 0 && atoi(port + 1) > 0 &&
           atoi(port + 1) <= UINT16_MAX;
}

bool
objstore_s3_is_region(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return text.len > 0 && text.len < OBJSTORE_S3_REGION_SIZE;
}

/* "s3.amazonaws.com", "s3.REGION...", "s3-REGION...", "s3.dualstack.REGION...", each
 * with a bucket in front or without, the older form of the first region included. Hosts
 * of FIPS and of private links are not: they are used as they are written. */
static bool
parse_aws(struct bytes host, struct aws_host *aws)
{
    static const char *const DOMAINS[] = {".amazonaws.com", ".amazonaws.com.cn"};
    struct bytes rest = without_port(host);
    aws->domain = (struct bytes){0};
    for (size_t i = 0; i < ARRAY_LEN(DOMAINS) && aws->domain.len == 0; i++)
        if (has_suffix(rest, DOMAINS[i]))
            aws->domain = bytes_of_str(DOMAINS[i]);
    if (aws->domain.len == 0)
        return false;
    rest.len -= aws->domain.len;
    if (bytes_eq(rest, BYTES("s3")) || bytes_eq(rest, BYTES("s3-external-1"))) {
        aws->region = (struct bytes){0};
        return true;
    }
    if (!take_prefix(&rest, "s3.dualstack.") && !take_prefix(&rest, "s3.") &&
        !take_prefix(&rest, "s3-"))
        return false;
    aws->region = rest;
    return objstore_s3_is_region(rest) && !bytes_starts_with(rest, BYTES("fips")) &&
           !bytes_starts_with(rest, BYTES("accelerate"));
}

/* Without the bucket that a virtual-hosted name has in front: "b.s3.REGION...". */
static struct bytes
without_bucket(struct bytes host)
{
    const uint8_t *at = memmem(host.at, host.len, ".s3", 3);
    if (at != NULL)
        bytes_skip(&host, (size_t)(at - host.at) + 1);
    return host;
}

struct bytes
objstore_s3_region_of_host(struct bytes host)
{
    struct aws_host aws;
    bool found = parse_aws(host, &aws) || parse_aws(without_bucket(host), &aws);
    return found ? aws.region : (struct bytes){0};
}

/* Automatically for services that want it, if their certificates (*.host) can cover it.
 */
bool
objstore_s3_is_virtual_hosted(const struct objstore_s3_endpoint *e)
{
    static const char *const SERVICES[] = {".amazonaws.com", ".amazonaws.com.cn",
                                           "storage.googleapis.com", ".aliyuncs.com"};
    if (e->lookup != OBJSTORE_S3_LOOKUP_AUTO)
        return e->lookup == OBJSTORE_S3_LOOKUP_VIRTUAL_HOSTED;
    if (!e->insecure && strchr(e->bucket, '.') != NULL)
        return false;
    struct bytes host = without_port(bytes_of_str(e->address));
    for (size_t i = 0; i < ARRAY_LEN(SERVICES); i++)
        if (has_suffix(host, SERVICES[i]))
            return true;
    return false;
}

/* The configured host, or the one that AWS has for the region. */
static bool
put_host(const struct objstore_s3_endpoint *e, const char *region,
         char host[OBJSTORE_S3_HOST_SIZE])
{
    struct aws_host aws;
    struct bytes address = bytes_of_str(e->address);
    const char *implied = e->insecure ? ":80" : ":443";
    bool is_virtual = objstore_s3_is_virtual_hosted(e);
    int len;
    if (has_suffix(address, implied))
        address.len -= strlen(implied);
    if (without_port(address).len == address.len && parse_aws(address, &aws))
        len = snprintf(host, OBJSTORE_S3_HOST_SIZE, "%s%ss3%s.%s%.*s",
                       is_virtual ? e->bucket : "", is_virtual ? "." : "",
                       e->dualstack ? ".dualstack" : "", region, BYTES_FMT(aws.domain));
    else
        len = snprintf(host, OBJSTORE_S3_HOST_SIZE, "%s%s%.*s",
                       is_virtual ? e->bucket : "", is_virtual ? "." : "",
                       BYTES_FMT(address));
    return len < OBJSTORE_S3_HOST_SIZE;
}

bool
objstore_s3_place(const struct objstore_s3_endpoint *e, const char *region,
                  struct objstore_s3_place *place)
{
    int region_len = snprintf(place->region, sizeof place->region, "%s", region);
    int path_len = objstore_s3_is_virtual_hosted(e)
                       ? snprintf(place->path, sizeof place->path, "%s", "")
                       : snprintf(place->path, sizeof place->path, "/%s", e->bucket);
    return region_len < OBJSTORE_S3_REGION_SIZE && path_len < OBJSTORE_S3_BUCKET_SIZE &&
           put_host(e, region, place->host);
}

#define LETTERS_AND_DIGITS       \
    "abcdefghijklmnopqrstuvwxyz" \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
    "0123456789"

static bool
check_text(const char *name, const char *value, const char *allowed, struct err *err)
{
    if (*value == 0)
        return err_set(err, ERR_INVALID, "%s is empty", name);
    if (value[strspn(value, allowed)] != 0)
        return err_set(err, ERR_INVALID, "%s \"%s\" has a character that it must not",
                       name, value);
    return true;
}

bool
objstore_s3_endpoint_check(const struct objstore_s3_endpoint *e, struct err *err)
{
    if (strstr(e->address, "://") != NULL)
        return err_set(err, ERR_INVALID,
                       "endpoint \"%s\" has a scheme: write host[:port], and "
                       "insecure: true for plain HTTP",
                       e->address);
    if (strcmp(e->bucket, ".") == 0 || strcmp(e->bucket, "..") == 0)
        return err_set(err, ERR_INVALID, "bucket \"%s\" is no name", e->bucket);
    if (!check_text("bucket", e->bucket, LETTERS_AND_DIGITS "._-", err) ||
        !check_text("endpoint", e->address, LETTERS_AND_DIGITS "._-:[]", err))
        return false;
    if (!is_port_right(e->address))
        return err_set(err, ERR_INVALID,
                       "endpoint \"%s\" has a wrong port: write 1 to %d", e->address,
                       UINT16_MAX);
    return true;
}
