/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/xml.h"

#include <expat.h>

#include "common/base/check.h"
#include "common/codec/digest.h"

enum {
    MAX_DEPTH = 8,
    MAX_TEXT = 8192,     /* a key of 1024 bytes, each as %XX, and then some */
    MAX_BODY = 32 << 20, /* of a page; 1000 objects make up to 4 MB */
};

void
objstore_xml_stop(struct objstore_xml *xml, const char *fault)
{
    if (xml->fault == NULL)
        xml->fault = fault;
    XML_StopParser(xml->expat, XML_FALSE);
}

static void XMLCALL
expat_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct objstore_xml *xml = user;
    if (xml->fault != NULL)
        return;
    if (xml->depth == MAX_DEPTH) {
        objstore_xml_stop(xml, "elements are nested too deeply");
        return;
    }
    xml->depth++;
    buf_clear(&xml->text);
    xml->on_start(xml, name);
}

static void XMLCALL
expat_end(void *user, const XML_Char *name)
{
    struct objstore_xml *xml = user;
    if (xml->fault != NULL)
        return;
    const char *text = buf_text(&xml->text);
    xml->on_end(xml, name, bytes_of(text, xml->text.len));
    buf_clear(&xml->text);
    xml->depth--;
}

static void XMLCALL
expat_text(void *user, const XML_Char *text, int len)
{
    struct objstore_xml *xml = user;
    if (xml->fault != NULL)
        return;
    if ((size_t)len > MAX_TEXT - xml->text.len)
        objstore_xml_stop(xml, "a text is too long");
    else
        buf_put(&xml->text, bytes_of(text, (size_t)len));
}

static void XMLCALL
expat_doctype(void *user, const XML_Char *name, const XML_Char *system_id,
              const XML_Char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    objstore_xml_stop(user, "it has a document type");
}

void
objstore_xml_init(struct objstore_xml *xml,
                  void (*on_start)(struct objstore_xml *, const char *),
                  void (*on_end)(struct objstore_xml *, const char *, struct bytes))
{
    *xml = (struct objstore_xml){.on_start = on_start, .on_end = on_end};
    /* All at once: a text that grew would leave copies behind. */
    buf_reserve(&xml->text, MAX_TEXT + 1);
    xml->expat = XML_ParserCreate(NULL);
    CHECK(xml->expat != NULL);
    XML_SetUserData(xml->expat, xml);
    XML_SetElementHandler(xml->expat, expat_start, expat_end);
    XML_SetCharacterDataHandler(xml->expat, expat_text);
    XML_SetStartDoctypeDeclHandler(xml->expat, expat_doctype);
}

void
objstore_xml_fini(struct objstore_xml *xml)
{
    XML_ParserFree(xml->expat);
    digest_cleanse(xml->text.at, MAX_TEXT);
    buf_fini(&xml->text);
}

bool
objstore_xml_feed(struct objstore_xml *xml, struct bytes piece, bool is_last,
                  struct err *err)
{
    if (piece.len > MAX_BODY - xml->fed)
        return err_set(err, ERR_CORRUPT, "bad XML: more than %d bytes", MAX_BODY);
    xml->fed += piece.len;
    if (XML_Parse(xml->expat, (const char *)piece.at, (int)piece.len, is_last) ==
        XML_STATUS_OK)
        return true;
    const char *reason =
        xml->fault != NULL ? xml->fault : XML_ErrorString(XML_GetErrorCode(xml->expat));
    return err_set(err, ERR_CORRUPT, "bad XML: line %lu: %s",
                   XML_GetCurrentLineNumber(xml->expat), reason);
}
