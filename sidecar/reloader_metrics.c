/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/reloader_metrics.h"

void
sidecar_reloader_metrics_init(struct sidecar_reloader_metrics *m,
                              struct metrics_registry *r, const char *method)
{
    static const char *const names[] = {"method", NULL};
    *m = (struct sidecar_reloader_metrics){
        .reloads = metrics_counter(r, "thanos_sidecar_reloader_reloads_total",
                                   "Times that Prometheus was asked to reload."),
        .failed_reloads =
            metrics_counter(r, "thanos_sidecar_reloader_reloads_failed_total",
                            "Times that Prometheus did not reload."),
        .last_good = metrics_gauge(r, "thanos_sidecar_reloader_last_reload_successful",
                                   "1 while Prometheus has taken what it was last "
                                   "asked to reload."),
        .last_good_at = metrics_gauge(
            r, "thanos_sidecar_reloader_last_reload_success_timestamp_seconds",
            "When Prometheus last reloaded."),
        .passes =
            metrics_counter(r, "thanos_sidecar_reloader_config_apply_operations_total",
                            "Looks at the configuration and the rules."),
        .failed_passes = metrics_counter(
            r, "thanos_sidecar_reloader_config_apply_operations_failed_total",
            "Looks at the configuration and the rules that failed."),
        .expansion_errors = metrics_gauge(
            r, "thanos_sidecar_reloader_config_environment_variable_expansion_errors",
            "1 while the configuration names a variable that is not set."),
        .watches = metrics_gauge(r, "thanos_sidecar_reloader_watches",
                                 "Directories that are watched."),
        .events = metrics_counter(r, "thanos_sidecar_reloader_watch_events_total",
                                  "Changes that the kernel told of."),
        .watch_errors = metrics_counter(r, "thanos_sidecar_reloader_watch_errors_total",
                                        "Directories that could not be watched."),
    };
    struct metrics_family *info =
        metrics_family_new(r, METRICS_GAUGE, "thanos_sidecar_reloader_info",
                           "Constant 1; how Prometheus is asked to reload.", names);
    metrics_set(metrics_child(info, (const char *const[]){method, NULL}), 1);
}
