/* SPDX-License-Identifier: Apache-2.0 */
/* The validated command line of one command of the tool. */
#ifndef COMMON_TOOLS_OPTIONS_H
#define COMMON_TOOLS_OPTIONS_H

#include "common/app/flags.h"
#include "common/tools/table.h"

enum tools_command { TOOLS_LS, TOOLS_INSPECT, TOOLS_VERIFY, TOOLS_COMMAND_COUNT };

/* What a command has no flag for is zero. Texts borrow as app_flags_parse says. */
struct tools_options {
    enum tools_command command;
    const char *objstore_config;
    const char *objstore_config_file;
    const char *log_level;
    const char *log_format;
    const char *output;
    struct app_flag_list selectors;
    struct app_flag_list sort_by;
    struct app_flag_list ids;
    bool exclude_delete;
    int64_t timeout_ns;
    int64_t concurrency;
    uint64_t memory_limit_bytes;
    /* derived from texts above */
    enum log_level level;
    enum log_format format;
    enum tools_output output_format;
};

/* Name of a command on the command line: "ls". */
const char *tools_command_name(enum tools_command command);

/* Parse argv, of which argv[0] is the name of the command, and check what the flag
 * table cannot. Results as app_flags_parse. */
enum app_flags_result tools_options_parse(struct tools_options *options,
                                          enum tools_command command, int argc,
                                          char **argv, struct err *err);

#endif
