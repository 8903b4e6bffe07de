/* codec.h -- the encoder of the hidden-state codec (data/codec.h), which stores a whole distribution in a few bytes per row, and its fit. */
#ifndef DI_CODEC_H
#define DI_CODEC_H
#include "data/codec.h"
#include "model/model.h"

/* Fits an encoder and a decoder to n hidden states h[n, C] (modified).  An encoded state has `bytes` bytes; bits are assigned
 * so that they reduce the expected divergence most.  The caller owns *out.  RT_ENOENT: LAPACK is not available; RT_ECHECK:
 * the states do not vary or are not finite. */
rt_status di_codec_fit(ds_codec **out, const md_model *m, real *h, int64_t n, int64_t bytes);

typedef struct di_encoder di_encoder; /* encoder of a codec that has a map; the codec must outlive it */
rt_status                 di_encoder_create(di_encoder **out, const ds_codec *s);
void                      di_encoder_destroy(di_encoder **o);
/* Encodes hidden state h[C] into row [bytes]; `thread` is the calling thread, 0 .. rt_threads()-1. */
void di_encoder_row(const di_encoder *o, const real *h, uint8_t *row, int thread);
/* Computes the mean of KL(teacher || decoded state) over hidden states h[n, C] of m, in nats. */
rt_status di_encoder_loss(double *nats, const di_encoder *o, const md_model *m, const real *h, int64_t n);

#endif
