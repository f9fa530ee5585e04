/* SPDX-License-Identifier: Apache-2.0 */
/* Events for the journal of systemd, in its native protocol: a datagram of fields. */
#ifndef COMMON_BASE_LOG_JOURNAL_H
#define COMMON_BASE_LOG_JOURNAL_H

#include "common/base/log.h"

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Events of LOG_FORMAT_JOURNALD go to the socket at path, a literal, from now on. Once,
 * before other threads start. Errors ERR_UNAVAILABLE: there is none. */
NODISCARD bool log_journal_open(const char *path, struct err *err);

/* Send one event: PRIORITY, MESSAGE, and every field as THANOS_<KEY>, as Thanos names
 * them; what does not fit is cut, then left out. An event that cannot be sent within a
 * second is lost. Any thread.
 * Format systemd.io/JOURNAL_NATIVE_PROTOCOL, with each value's length in front of it.
 */
void log_journal_send(enum log_level level, const char *msg,
                      const struct log_field *fields);

#endif
