/* SPDX-License-Identifier: MIT */
/* softmax.h - the output layer with its loss: logits = X W^T + b, loss = log sum exp(logits) -
 * logits[target].
 *
 *   X (n,H) inputs    W (V,H), b (V)    P = softmax(logits)
 *   dL/dX = (P - onehot) W      dL/dW = (P - onehot)^T X      dL/db = sum over rows of P - onehot
 *
 * The (n,V) logits are in memory once, for at most softmax_rows() rows at a time; P overwrites them.
 * Columns go in slices that are worked on in parallel by OpenMP threads; slices and the order of every sum
 * are fixed by V and H alone, so results do not depend on the number of threads. */
#ifndef SG_SOFTMAX_H
#define SG_SOFTMAX_H

#include "stategrad/base.h"

typedef struct sg_softmax sg_softmax;
/* Room for n rows at once (fewer when V is so large that they would need more than 64 MiB). gradients: room
 * for softmax_back too. */
sg_status softmax_new(sg_softmax **out, size_t V, size_t H, size_t n, bool gradients, int threads,
                      sg_error *err);
size_t softmax_rows(const sg_softmax *s);
/* loss[i], in nats, of row i < n <= softmax_rows; rows of X are H apart. Keeps what back needs. */
void softmax_loss(sg_softmax *s, size_t n, const float *X, const float *W, const float *b,
                  const int32_t *targets, double *loss);
/* After loss, with the same arguments: dX (n,H) = scale * dL/dX; gW and gb get scale * dL/dW, dL/db, added
 * when add, overwritten otherwise; NULL both: they are not wanted. */
void softmax_back(sg_softmax *s, size_t n, const float *X, const float *W, const int32_t *targets,
                  float scale, float *dX, float *gW, float *gb, bool add);
void softmax_free(sg_softmax *s);

#endif
