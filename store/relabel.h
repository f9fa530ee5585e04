/* SPDX-License-Identifier: Apache-2.0 */
/* Relabel rules that select blocks by their external labels and their names: how the
 * blocks of one bucket are shared out among several stores. */
#ifndef STORE_RELABEL_H
#define STORE_RELABEL_H

#include "common/codec/yaml.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/ulid.h"

/* Rules in their order. Immutable: may be shared by threads. */
struct store_relabel;

/* Understand a list of rules as Prometheus writes them, of which keep, drop and hashmod
 * select. No rules at all keep everything. Takes over *tree, which becomes NULL.
 * Errors ERR_INVALID: "line 3: ..." with the key and what would do.
 * Format prometheus model/relabel/relabel.go Config, Validate; thanos
 *        pkg/block/fetcher.go ParseRelabelConfig at e103a81. Unlike there a key that is
 *        not known is an error: a rule that is spelt wrong would keep every block. */
NODISCARD bool store_relabel_new(struct store_relabel **out, struct yaml **tree,
                                 struct err *err);

/* *r becomes NULL; accepts NULL. */
void store_relabel_free(struct store_relabel **r);

/* Whether the rules keep a block. To them it has its external labels, and __block_id
 * unless it has an external label of that name. r may be NULL: no rules. */
NODISCARD bool store_relabel_keeps(const struct store_relabel *r,
                                   struct tsdb_labels external,
                                   const struct tsdb_ulid *id);

#endif
