/* SPDX-License-Identifier: Apache-2.0 */
typedef int objstore_retry_is_not_there_yet;
