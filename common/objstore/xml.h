/* SPDX-License-Identifier: Apache-2.0 */
/* XML answers as a stream of elements, with the text of those that have no children.
 *
 * Nothing in them is trusted: document types and entities are refused, depth, text and
 * size are bounded. Answers hold keys at times: the text is overwritten before its
 * memory is given back. */
#ifndef COMMON_OBJSTORE_XML_H
#define COMMON_OBJSTORE_XML_H

#include "common/base/buf.h"

/* One thread at a time. Embedded as the first member, so that handlers find the rest of
 * what they fill. */
struct objstore_xml {
    unsigned depth; /* of the current element; 1 is the root */
    /* private */
    struct XML_ParserStruct *expat;
    void (*on_start)(struct objstore_xml *xml, const char *name);
    void (*on_end)(struct objstore_xml *xml, const char *name, struct bytes text);
    size_t fed;
    struct buf text;
    const char *fault; /* why the parser was stopped */
};

/* on_end gets the text since the last tag; it is NUL-terminated behind its end. */
void objstore_xml_init(struct objstore_xml *xml,
                       void (*on_start)(struct objstore_xml *xml, const char *name),
                       void (*on_end)(struct objstore_xml *xml, const char *name,
                                      struct bytes text));
void objstore_xml_fini(struct objstore_xml *xml);

/* Parse the next piece; with is_last the document has to be complete.
 * Errors ERR_CORRUPT: not XML, beyond a bound, stopped. The text names line and reason
 * and nothing of the content. */
NODISCARD bool objstore_xml_feed(struct objstore_xml *xml, struct bytes piece,
                                 bool is_last, struct err *err);

/* From a handler: no more is called, and feed fails with this fault, a literal. */
void objstore_xml_stop(struct objstore_xml *xml, const char *fault);

#endif
