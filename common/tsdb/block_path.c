/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/block_path.h"
