/* ak_text.h - is a text fit to be stored and shown?
 *
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF.
 * Pure and thread-safe.
 */
#ifndef AK_TEXT_H
#define AK_TEXT_H

#include "ak_types.h"

/* Is s UTF-8 throughout? */
int ak_utf8_ok(const char *s);

/* The number of characters of s, or -1 when it is no UTF-8 or holds a control character
 * (U+0000 to U+001F, U+007F to U+009F).  line_breaks: may it hold \n? */
int ak_text_length(const char *s, int line_breaks);

#endif
