/* mod_apikey_manage_keys.h - what the files about keys share: show, mint, grant */
#ifndef MOD_APIKEY_MANAGE_KEYS_H
#define MOD_APIKEY_MANAGE_KEYS_H

#include "ak_token.h"
#include "mod_apikey_manage.h"

/* A key as an object; secret: the full key, in the one answer that tells it, or NULL. */
json_t *manage_key_json(manage_t *m, const ak_key_record_t *key, const char *secret);
/* Answer with a key, its admitted requests and its ETag. */
void manage_answer_record(manage_t *m, int status, const ak_key_record_t *key, const char *secret,
                          apr_int64_t today, apr_int64_t month);
/* 200 with a key and its usage as they stand in the store now. */
void manage_answer_key(manage_t *m, const char *id);

/* Give a new key its id and secret (AK_TOKEN_MAX + 1 bytes).  Non-zero: refused, with 500,
 * because there is no randomness or no hash. */
int manage_mint(manage_t *m, ak_key_new_t *key, char *secret);
/* 201 with the key, once, and its Location; then the secret is wiped.  Nothing is read for
 * it, because a secret that cannot be told any more is lost. */
void manage_answer_minted(manage_t *m, const ak_key_new_t *key, const char *rotated_from, char *secret);

/* Lay the members of a body over a key; 422 names those that are wrong.  The texts of
 * the record are the body's and live as long as the request. */
int manage_read_key(manage_t *m, json_t *body, int creating, ak_key_record_t *key);

/* Is a word in a space-separated list? */
int manage_has_word(const char *list, const char *word);
/* 403 unless the caller holds each of these permissions, or the key had it already (had: ""
 * for a new key).  A wildcard must be held as such: it also means what is registered later. */
int manage_refuse_grant(manage_t *m, const char *permissions, const char *had);

#endif
