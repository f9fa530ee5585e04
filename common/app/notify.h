/* SPDX-License-Identifier: Apache-2.0 */
/* Tell systemd, or who else waits for it, what the process does. */
#ifndef COMMON_APP_NOTIFY_H
#define COMMON_APP_NOTIFY_H

/* Send state ("READY=1", "STOPPING=1") to the socket that NOTIFY_SOCKET names: a path,
 * or an abstract name behind "@". Nothing happens where it is not set; a failure is a
 * warning in the log. Any thread; does not block.
 *
 * Format   sd_notify(3): one datagram of assignments, a line each. */
void app_notify(const char *state);

#endif
