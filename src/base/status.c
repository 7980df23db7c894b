/* SPDX-License-Identifier: MIT */
#include "base/base_internal.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#ifndef SG_VERSION
#define SG_VERSION "0.0.0"
#endif

const char *sg_version(void)
{
    return SG_VERSION;
}

void sg_fail_message(sg_error *err, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->msg, sizeof err->msg, format, args);
        va_end(args);
        sg_printable(err->msg);
    }
}

void sg_warn(const sg_monitor *m, const char *format, ...)
{
    if (!m || !m->warn)
        return;
    sg_error line;
    va_list args;
    va_start(args, format);
    vsnprintf(line.msg, sizeof line.msg, format, args);
    va_end(args);
    sg_printable(line.msg);
    m->warn(m->ctx, line.msg);
}

double sg_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

ticker ticker_begin(const sg_monitor *monitor, const char *what, double total)
{
    const double now = sg_clock();
    return (ticker){monitor, what, total, now, now};
}

sg_status ticker_tell(ticker *t, double done, sg_error *err)
{
    if (!t->monitor || !t->monitor->tick)
        return SG_OK;
    const double now = sg_clock();
    if (done < t->total && now < t->told + 0.1)
        return SG_OK;
    t->told = now;
    const sg_progress p = {t->what, done, t->total, now - t->began, (double)NAN, 0, 0};
    return t->monitor->tick(t->monitor->ctx, &p) ? SG_OK : sg_fail(err, SG_ECANCELLED, "stopped");
}

/* The first field of every configuration. */
static size_t struct_size_of(const void *cfg)
{
    size_t size;
    memcpy(&size, cfg, sizeof size);
    return size;
}

void *config_take(void *own, size_t own_size, const void *cfg)
{
    const size_t size = struct_size_of(cfg);
    memcpy(own, cfg, size && size < own_size ? size : own_size);
    return own;
}

void config_give(void *cfg, size_t size, const void *own, size_t own_size)
{
    memcpy(cfg, own, size < own_size ? size : own_size);
    memcpy(cfg, &size, sizeof size);
}
