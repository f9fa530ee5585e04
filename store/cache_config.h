/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of Thanos's two caches, of which there is one here: how large it is
 * to be. */
#ifndef STORE_CACHE_CONFIG_H
#define STORE_CACHE_CONFIG_H

#include "store/options.h"

/* Read the documents of --index-cache.config and --store.caching-bucket.config and set
 * o->index_cache_size_bytes to what they ask for: a max_size of the first wins over the
 * flag of that name, one of the second is added. A cache of other machines changes
 * nothing; one warning says that there is none in this version.
 * Errors those of app_flags_yaml; ERR_INVALID, or ERR_UNSUPPORTED for a type that
 * Thanos does not have: flag, line and key. Format thanos pkg/store/cache/factory.go
 * NewIndexCache, caching_bucket_factory.go NewCachingBucketFromYaml at e103a81. */
NODISCARD bool store_cache_config_read(struct store_options *o, struct err *err);

#endif
