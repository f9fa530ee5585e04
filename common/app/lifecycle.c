/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/lifecycle.h"
