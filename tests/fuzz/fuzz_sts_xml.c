/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of STS: all keys or none of them. */
#include "common/base/check.h"
#include "common/objstore/sts_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    char code[OBJSTORE_STS_CODE_SIZE];
    CLEANUP(objstore_sts_answer_fini) struct objstore_sts_answer answer = {0};
    bool ok = objstore_sts_parse(bytes_of(data, size), &answer, &err);
    CHECK(ok || err.code == ERR_CORRUPT);
    CHECK(ok == (answer.access_key != NULL) && ok == (answer.secret_key != NULL));
    CHECK(ok == (answer.session_token != NULL) && ok == (answer.expiration != NULL));
    objstore_sts_error_parse(bytes_of(data, size), code);
    CHECK(strlen(code) < sizeof code);
    return 0;
}
