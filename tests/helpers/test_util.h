/* SPDX-License-Identifier: MIT */
/* test_util.h - cmocka with its prerequisites, and the comparison every numeric test uses. */
#ifndef TEST_UTIL_H
#define TEST_UTIL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Fails unless |a-b| <= tol (|a|+|b|+floor); a NaN fails. Prints what, where and both values. */
#define assert_close(a, b, tol, floor, what, index)                                                          \
    do {                                                                                                     \
        double a_ = (double)(a), b_ = (double)(b);                                                           \
        if (!(fabs(a_ - b_) <= (tol) * (fabs(a_) + fabs(b_) + (floor))))                                     \
            fail_msg("%s[%zu]: %.9g against %.9g (tolerance %g)", what, (size_t)(index), a_, b_,             \
                     (double)(tol));                                                                         \
    } while (0)

#define assert_ok(call, err)                                                                                 \
    do {                                                                                                     \
        sg_status st_ = (call);                                                                              \
        if (st_ != SG_OK)                                                                                    \
            fail_msg("%s: status %d: %s", #call, (int)st_, (err).msg);                                       \
    } while (0)

#endif
