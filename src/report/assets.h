/* SPDX-License-Identifier: MIT */
/* assets.h - the files of report/ (template, style, scripts, chart specifications, Vega), embedded in the
 * program. Their table is generated at build time by tools/embed.py. */
#ifndef SG_REPORT_ASSETS_H
#define SG_REPORT_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of asset `name` ("report.html", "vega.min.js", "curves.vl.json"); *data is static, a NUL is
 * after its *size bytes. false: no such asset. */
bool report_asset(const char *name, const char **data, size_t *size);

#endif
