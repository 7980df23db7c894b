/* SPDX-License-Identifier: MIT */
#include "report/json_out.h"

#include "base/base_internal.h"
#include "base/utf8.h"

#include <math.h>
#include <string.h>

static void separate(json_out *j)
{
    if (j->comma)
        putc(',', j->f);
    j->comma = true;
}

void json_open(json_out *j, char bracket)
{
    separate(j);
    putc(bracket, j->f);
    j->comma = false;
}

void json_close(json_out *j, char bracket)
{
    putc(bracket, j->f);
    j->comma = true;
}

static void put_string(FILE *f, const char *s)
{
    size_t left = strlen(s);
    putc('"', f);
    while (left) {
        size_t n = utf8_length((const unsigned char *)s, left);
        unsigned char c = (unsigned char)*s;
        if (n == 0)
            fputs("\\ufffd", f), n = 1;
        else if (n == 1 && (c < 0x20 || c == 0x7F || strchr("\"\\<>&", c)))
            fprintf(f, "\\u%04x", c);
        else if (n == 3 && (!memcmp(s, "\xE2\x80\xA8", 3) || !memcmp(s, "\xE2\x80\xA9", 3)))
            fprintf(f, "\\u202%c", s[2] == '\xA8' ? '8' : '9');
        else
            fwrite(s, 1, n, f);
        s += n, left -= n;
    }
    putc('"', f);
}

void json_key(json_out *j, const char *key)
{
    separate(j);
    put_string(j->f, key);
    putc(':', j->f);
    j->comma = false;
}

void json_text(json_out *j, const char *text)
{
    separate(j);
    if (text)
        put_string(j->f, text);
    else
        fputs("null", j->f);
}

/* "%.*g" keeps "1e-05"; shorter exponents are worth their bytes in a page of 10^5 numbers. */
void json_number(json_out *j, double x, int digits)
{
    char buffer[40], *e;
    separate(j);
    if (!isfinite(x)) {
        fputs("null", j->f);
        return;
    }
    snprintf(buffer, sizeof buffer, "%.*g", digits, x);
    if ((e = strchr(buffer, ','))) /* a program's locale may want a decimal comma */
        *e = '.';
    if ((e = strchr(buffer, 'e'))) {
        char *digit = e + 2;
        if (e[1] == '-')
            e++, *e = '-';
        while (*digit == '0' && digit[1])
            digit++;
        memmove(e + 1, digit, strlen(digit) + 1);
    }
    fputs(buffer, j->f);
}

void json_count(json_out *j, uint64_t n)
{
    separate(j);
    fprintf(j->f, "%llu", (unsigned long long)n);
}

void json_bool(json_out *j, bool b)
{
    separate(j);
    fputs(b ? "true" : "false", j->f);
}

void json_value(json_out *j, double x)
{
    json_number(j, x, x == floor(x) ? 15 : JSON_PAGE_DIGITS);
}

void json_values(json_out *j, const double *x, size_t rank, const size_t *shape)
{
    if (rank == 0) {
        json_value(j, *x);
        return;
    }
    size_t stride = 1;
    for (size_t i = 1; i < rank; i++)
        stride *= shape[i];
    json_open(j, '[');
    for (size_t i = 0; i < shape[0]; i++)
        json_values(j, x + i * stride, rank - 1, shape + 1);
    json_close(j, ']');
}
