/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/log_journal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/num.h"

enum { MESSAGE_BYTES = 3072, LENGTH_BYTES = 8 };

static int journal = -1;
static struct sockaddr_un address;

bool
log_journal_open(const char *path, struct err *err)
{
    const struct timeval patience = {.tv_sec = 1};
    CHECK(strlen(path) < sizeof address.sun_path);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (access(path, W_OK) != 0)
        return err_set(err, ERR_UNAVAILABLE,
                       "there is no journal at %s: use another --log.format", path);
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal < 0)
        return err_set(err, ERR_UNAVAILABLE, "no socket for the journal");
    setsockopt(journal, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return true;
}

struct message {
    uint8_t at[MESSAGE_BYTES];
    size_t len;
};

static void
put_bytes(struct message *m, const void *bytes, size_t len)
{
    memcpy(m->at + m->len, bytes, len);
    m->len += len;
}

static uint8_t
key_byte(char c)
{
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 'A');
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? (uint8_t)c : '_';
}

/* "KEY\n", the length in 8 bytes, little endian, the value, "\n". */
static void
put(struct message *m, const char *prefix, const char *key, struct bytes value)
{
    size_t frame = strlen(prefix) + strlen(key) + LENGTH_BYTES + 2;
    size_t room = sizeof m->at - m->len;
    if (frame >= room)
        return;
    size_t len = NUM_MIN(value.len, room - frame);
    put_bytes(m, prefix, strlen(prefix));
    for (; *key != 0; key++)
        m->at[m->len++] = key_byte(*key);
    m->at[m->len++] = '\n';
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        m->at[m->len++] = (uint8_t)((uint64_t)len >> (8 * i));
    put_bytes(m, value.at, len);
    m->at[m->len++] = '\n';
}

static void
put_field(struct message *m, const struct log_field *field)
{
    char digits[24];
    switch (field->kind) {
    case LOG_KIND_INT:
        snprintf(digits, sizeof digits, "%lld", (long long)field->number);
        put(m, "THANOS_", field->key, bytes_of_str(digits));
        break;
    case LOG_KIND_TEXT:
        put(m, "THANOS_", field->key, bytes_of_str(field->text ? field->text : ""));
        break;
    case LOG_KIND_BYTES:
        put(m, "THANOS_", field->key, field->bytes);
        break;
    }
}

void
log_journal_send(enum log_level level, const char *msg, const struct log_field *fields)
{
    static const char *const priorities[] = {"3", "4", "6", "7"}; /* as in syslog */
    struct message m = {.len = 0};
    put(&m, "", "PRIORITY", bytes_of_str(priorities[level]));
    put(&m, "", "MESSAGE", bytes_of_str(msg));
    for (; fields->key != NULL; fields++)
        put_field(&m, fields);
    /* An event that cannot be sent has nowhere to be reported. */
    ssize_t ignored =
        sendto(journal, m.at, m.len, MSG_NOSIGNAL,
               (const struct sockaddr *)(const void *)&address, sizeof address);
    (void)ignored;
}
