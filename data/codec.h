/* codec.h -- the hidden-state codec: a teacher's whole distribution in a few bytes per row. */
#ifndef DS_CODEC_H
#define DS_CODEC_H
#include "core/memory.h"

/* The hidden-state codec: a few codec bytes per row from which the teacher's whole distribution is approximated.  The logits of a
 * row are head . [y, 1] up to a constant, where y[r] is decoded from the row's bytes.  One decoder serves all rows of a shard. */
typedef struct ds_codec {
    int64_t   r, V, bytes; /* coordinates, vocabulary, bytes per row */
    uint8_t  *bits;        /* [r] bits of each coordinate: 1..8, their sum at most 8 * bytes */
    float    *scale;       /* [r] standard deviation of each coordinate */
    uint16_t *head;        /* [V, r + 1] bfloat16; the last column is the bias */
    int64_t   C;           /* size of the teacher's hidden states h; 0: no encoder is known */
    float    *map;         /* [r, C + 1] encoder: coordinate i is map[i] . [h, 1]; NULL if C is 0 */
    double    loss;        /* mean KL(teacher || decoded) in nats per row, measured when it was fitted; NaN: not measured */
} ds_codec;

/* Allocates zeroed tables for the caller to fill.  RT_EINVAL if r coordinates do not fit into `bytes` bytes. */
rt_status ds_codec_create(ds_codec **out, int64_t r, int64_t V, int64_t bytes);
rt_status ds_codec_add_map(ds_codec *s, int64_t C); /* allocates a zeroed map */
void      ds_codec_destroy(ds_codec **s);
void      ds_codec_encode(const ds_codec *s, const float *y, uint8_t *row); /* y[r] to `bytes` bytes */
void      ds_codec_decode(const ds_codec *s, const uint8_t *row, float *y); /* to r + 1 numbers, the last is 1 */
#endif
