/* SPDX-License-Identifier: Apache-2.0 */
typedef int objstore_s3_exchange_is_not_there_yet;
