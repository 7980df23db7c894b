/* SPDX-License-Identifier: MIT */
/* page.c - a page from its template. Assets are ours and go in as they are; what comes from users goes
 * through json_out alone, and the scripts show it as text nodes only. */
#include "base/base_internal.h"
#include "base/text_file.h"
#include "report/assets.h"
#include "report/report_internal.h"

#include <string.h>

sg_status page_write(FILE *f, const char *template,
                     sg_status (*data)(json_out *j, const void *ctx, sg_error *err), const void *ctx,
                     sg_error *err)
{
    const char *text, *mark, *end, *asset;
    size_t size;
    char name[64];
    if (!report_asset(template, &text, &size))
        return sg_fail(err, SG_EFORMAT, "report: the program holds no template '%s'", template);
    for (; (mark = strstr(text, "@@")) && (end = strstr(mark + 2, "@@")); text = end + 2) {
        size_t n = (size_t)(end - mark - 2);
        fwrite(text, 1, (size_t)(mark - text), f);
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), mark + 2);
        if (!strcmp(name, "DATA")) {
            json_out j = {f, false};
            sg_status st = data(&j, ctx, err);
            if (st != SG_OK)
                return st;
        } else if (report_asset(name, &asset, &size)) {
            fwrite(asset, 1, size, f);
        } else {
            return sg_fail(err, SG_EFORMAT, "report: template %s asks for '%s', which is not an asset",
                           template, name);
        }
    }
    fputs(text, f);
    return SG_OK;
}

typedef struct {
    sg_run *const *runs;
    const char *const *paths, *const *groups;
    size_t n;
    const sg_comparison *comparison; /* or NULL */
    const sg_compare_pair *pairs;
    size_t n_pairs;
} report_input;

static sg_status report_data(json_out *j, const void *ctx, sg_error *err)
{
    const report_input *in = ctx;
    sg_status st;
    json_open(j, '{');
    json_key(j, "version"), json_text(j, sg_version());
    json_key(j, "runs"), json_open(j, '[');
    for (size_t i = 0; i < in->n; i++)
        if ((st = run_data_write(j, in->runs[i], in->paths[i], err)) != SG_OK)
            return st;
    json_close(j, ']');
    json_key(j, "models");
    if ((st = model_groups_write(j, in->runs, in->paths, in->groups, in->n, err)) != SG_OK)
        return st;
    json_key(j, "comparison"), comparison_write(j, in->comparison, in->pairs, in->n_pairs);
    json_close(j, '}');
    return SG_OK;
}

static sg_status write_page(const char *html_path, const report_input *in, sg_error *err)
{
    sg_status st = SG_OK;
    sg_outfile *out = NULL;
    if (in->n == 0)
        return sg_fail(err, SG_EINVAL, "report: no run given");
    TRY(outfile_open_text(&out, html_path, err));
    TRY(page_write(sg_outfile_stream(out), "report.html", report_data, in, err));
    st = sg_outfile_commit(out, err), out = NULL;
done:
    sg_outfile_abort(out);
    return st;
}

sg_status sg_report_write(const char *html_path, sg_run *const *runs, const char *const *paths,
                          const char *const *groups, size_t n, sg_error *err)
{
    return write_page(html_path, &(report_input){.runs = runs, .paths = paths, .groups = groups, .n = n},
                      err);
}

sg_status sg_report_write_comparison(const char *html_path, sg_run *const *runs, const char *const *paths,
                                     const char *const *groups, size_t n, const sg_comparison *c,
                                     const sg_compare_pair *pairs, size_t n_pairs, sg_error *err)
{
    return write_page(html_path, &(report_input){runs, paths, groups, n, c, pairs, n_pairs}, err);
}
