/* SPDX-License-Identifier: MIT */
/* The progress line on stderr, and signals turned into a polite request to stop. */
#include "cli.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
/* Whether the work under way has something to save, and soon asks whether to stop. */
static volatile sig_atomic_t saves;
/* An end by a signal is not reported. */
static volatile sig_atomic_t silent;

/* Work that saves its state is asked to stop, and does so after the step that it is in. All else is ended
 * here, wherever it waits or computes; so is all work at a second signal. */
static void on_signal(int number)
{
    bool again = caught != 0;
    caught = number;
    if (saves && !again)
        return;
    sg_remove_temporary_files();
    if (silent)
        _exit(128 + number);
    static const char text[] = "stategrad: stopped by a signal\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(128 + number);
    _exit(128 + number);
}

void stop_on_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] != SIGHUP || sigaction(SIGHUP, NULL, &before) != 0 || before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL); /* nohup stays nohup */
}

void stop_silently(void)
{
    silent = 1;
}

int interrupted(void)
{
    return caught;
}

static void print_duration(FILE *f, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        fprintf(f, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(f, "%ld:%02ld", s / 60, s % 60);
}

/* What the phases count that do not count tokens. */
static const char *counted(const char *what)
{
    static const struct {
        const char *what, *unit;
    } units[] = {{"decomposing", "matrices"},
                 {"tracking", "matrices"},
                 {"comparing sums", "matrices"},
                 {"following pairs", "parts of blocks"},
                 {"copying", "bytes"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(what, units[i].what))
            return units[i].unit;
    return "tokens";
}

static bool draw(void *ctx, const sg_progress *p)
{
    progress_line *line = ctx;
    if (caught)
        return false;
    saves = line->saves && strcmp(p->what, "reading") != 0 && strcmp(p->what, "counting words") != 0;
    if (line->quiet)
        return true;
    double interval = line->terminal ? 0.1 : 10.0;
    if (p->seconds < line->last)
        line->last = 0;
    if (p->seconds - line->last < interval)
        return true;
    line->last = p->seconds;
    double rate = p->seconds > 0 ? p->done / p->seconds : 0;
    if (line->terminal)
        fputs("\r\033[K", stderr);
    if (p->epochs)
        fprintf(stderr, "epoch %u/%u ", p->epoch, p->epochs);
    fprintf(stderr, "%s ", p->what);
    if (p->total > 0 && line->terminal) {
        enum { WIDTH = 24 };
        int full = (int)(WIDTH * p->done / p->total);
        fputc('[', stderr);
        for (int i = 0; i < WIDTH; i++)
            fputc(i < full ? '#' : '.', stderr);
        fputs("] ", stderr);
    }
    if (p->total > 0)
        fprintf(stderr, "%3.0f %% ", 100 * p->done / p->total);
    else
        fprintf(stderr, "%.0f tokens ", p->done);
    fprintf(stderr, rate < 10 ? "%.1f %s/s" : "%.0f %s/s", rate, counted(p->what));
    if (p->total > 0 && rate > 0) {
        fputs("  ETA ", stderr);
        print_duration(stderr, (p->total - p->done) / rate);
    }
    if (isfinite(p->loss))
        fprintf(stderr, "  loss %.3f  perplexity %.1f", p->loss, exp(p->loss));
    if (line->terminal) {
        fflush(stderr);
        line->drawn = true;
    } else
        fputc('\n', stderr);
    return true;
}

static void warn(void *ctx, const char *text)
{
    progress_line *line = ctx;
    if (line->drawn)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "stategrad: warning: %s\n", with_options(text));
}

double unknown_percent(const sg_stream *s, bool eos)
{
    const sg_stream_counts *n = sg_stream_info(s);
    double words = (double)n->tokens - (eos ? (double)n->sentences : 0);
    return words > 0 ? 100 * (double)n->unknown / words : 0;
}

sg_monitor progress_monitor(progress_line *p, bool quiet)
{
    *p = (progress_line){.quiet = quiet, .terminal = isatty(STDERR_FILENO) != 0};
    return (sg_monitor){draw, warn, p};
}

void progress_done(progress_line *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
