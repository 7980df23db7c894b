/* SPDX-License-Identifier: MIT */
/* stategrad.h - all public headers. Version numbers and SG_API are in base.h.
 *
 *   corpus.h       files to tokens, vocabularies, classes of words, streams
 *   lm.h           language models: shape, tensors, files, perplexity
 *   train.h        training
 *   import.h       models trained elsewhere
 *   gradient.h     state gradients, one step at a time
 *   analysis.h     state gradients averaged over a corpus, written to a run file
 *   accumulator.h  the same for gradients that the caller computes, of any recurrent model
 *   team.h         one analysis by several processes
 *   run.h          reading run files
 *   stats.h        intervals, tests, decay laws
 *   check.h        gradients against finite differences
 *   compare.h      A against B: classes, properties, states, models
 *   pairs.h        minimal pairs: accuracy by condition, attribution to words
 *   report.h       pages, words along directions
 *   synth.h        synthetic corpora */
#ifndef STATEGRAD_H
#define STATEGRAD_H

#include "stategrad/accumulator.h"
#include "stategrad/analysis.h"
#include "stategrad/base.h"
#include "stategrad/check.h"
#include "stategrad/compare.h"
#include "stategrad/corpus.h"
#include "stategrad/gradient.h"
#include "stategrad/import.h"
#include "stategrad/lm.h"
#include "stategrad/pairs.h"
#include "stategrad/report.h"
#include "stategrad/run.h"
#include "stategrad/stats.h"
#include "stategrad/synth.h"
#include "stategrad/settings.h"
#include "stategrad/team.h"
#include "stategrad/train.h"

#endif
