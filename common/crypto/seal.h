/* Streaming encryption of content at rest (STREAM construction, as age and Tink).
 *
 * File: header (40 bytes: magic "PSEAL1\0\0" 8, algorithm 1, log2 chunk size 1, reserved 2, data key
 * epoch u32 LE, salt 24) then chunks of 64 KiB plaintext, each AES-256-GCM: ciphertext followed by a
 * 16-byte tag. File key = HKDF-SHA-256(data key, salt, context); nonce of chunk i = 0^3 ‖ i u64 BE ‖
 * last-chunk flag; AAD = header. The last chunk may be short, and is empty only in an empty file, so
 * a plaintext of n bytes has exactly seal_file_bytes(n); truncation, reordering, splicing and
 * swapping of chunks or headers all fail authentication.
 * Seekable: a byte range needs only the chunks it touches. */
#ifndef PORTOLAN_CRYPTO_SEAL_H
#define PORTOLAN_CRYPTO_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct error;

#define SEAL_CHUNK_BYTES 65536u
#define SEAL_TAG_BYTES 16u
#define SEAL_HEADER_BYTES 40u
#define SEAL_KEY_BYTES 32u

/* File size for a plaintext size. */
uint64_t seal_file_bytes(uint64_t plain_bytes);

/* Writing. out must hold SEAL_HEADER_BYTES. context binds the file to its registry. */
struct sealer;
struct sealer *sealer_new(const uint8_t key[SEAL_KEY_BYTES], uint32_t epoch, const char *context,
                          uint8_t ret_header[SEAL_HEADER_BYTES]);
void sealer_free(struct sealer *s);
/* Encrypts one chunk of exactly SEAL_CHUNK_BYTES (is_last: 1…SEAL_CHUNK_BYTES, 0 only for an empty
 * file; so writers hold a full chunk back until they know whether more follows) into out, which has
 * room for len + SEAL_TAG_BYTES; in place is allowed. Other lengths are bugs and abort. */
void sealer_chunk(struct sealer *s, const void *plain, size_t len, int is_last, void *out);

/* Reading. */
struct opener;
/* E_INTERNAL for an unknown header. ret_epoch may be NULL. Threads may share an opener. */
MUST_CHECK int seal_header_epoch(const uint8_t header[SEAL_HEADER_BYTES], uint32_t *ret_epoch,
                                 struct error *err);
MUST_CHECK int opener_new(const uint8_t key[SEAL_KEY_BYTES], const char *context,
                          const uint8_t header[SEAL_HEADER_BYTES], struct opener **ret,
                          struct error *err);
void opener_free(struct opener *o);
/* Decrypts chunk `index` (len bytes with tag) into out (len - SEAL_TAG_BYTES). E_INTERNAL when it is
 * not authentic. */
MUST_CHECK int opener_chunk(const struct opener *o, uint64_t index, const void *sealed, size_t len,
                            int is_last, void *out, struct error *err);
/* The same for len bytes whose tag stands elsewhere, so that out may have room for the plain bytes
 * only. sealed may be out. */
MUST_CHECK int opener_chunk_apart(const struct opener *o, uint64_t index, const void *sealed,
                                  size_t len, const uint8_t tag[SEAL_TAG_BYTES], int is_last,
                                  void *out, struct error *err);

#endif
