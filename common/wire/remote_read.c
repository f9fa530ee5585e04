/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/remote_read.h"
