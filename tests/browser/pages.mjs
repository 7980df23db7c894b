/* SPDX-License-Identifier: MIT */
// The pages of `report`, `show` and `pairs` in a real browser: drawn, operated, compared with the run file, photographed.
//
// usage: node pages.mjs STATEGRAD SOURCE_ROOT FOLDER_FOR_SCREENSHOTS numbers|report|look|hostile|several|keys|many|show|suite...
// With STATEGRAD_FIRST in the environment the first failure is the last.
// Prints one line a check; exit 1 when one failed, 77 when there is no browser or no playwright-core.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [, , program, root, artefacts, ...wanted] = process.argv;
const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
let chromium;
try {
  ({ chromium } = createRequire(join(resolve(root), 'report', 'package.json'))('playwright-core'));
} catch (error) {
  console.log('skipped: playwright-core is not installed (npm ci in report/)');
  process.exit(77);
}
if (!browserPath) {
  console.log('skipped: no chromium');
  process.exit(77);
}

const failed = [];
function check(ok, what, detail = '') {
  if (!ok) failed.push(what);
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}${ok || detail === '' ? '' : `: ${detail}`}`);
  if (failed.length === 1 && !ok && process.env.STATEGRAD_FIRST) throw new Error('stopped at the first failure');
}

const folder = mkdtempSync(join(tmpdir(), 'stategrad-browser-'));
mkdirSync(artefacts, { recursive: true });
const python = (...args) => execFileSync('/usr/bin/python3', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
// A run that the program has made: see tests/helpers/real_run.py; a second name is another file with the same run.
const made = new Map();
const make = (recipe, name = `${recipe}.nc`) => {
  const path = join(folder, name);
  if (made.get(recipe) === path) return path;
  if (made.has(recipe)) cpSync(made.get(recipe), path);
  else python(join(root, 'tests', 'helpers', 'real_run.py'), program, recipe, path), made.set(recipe, path);
  return path;
};
// Everything a run file holds, as nested arrays: {"": {...root}, "layer1.cell": {...}}; NaN is null.
const contents = (nc) => JSON.parse(python('-c', `
import json, netCDF4, numpy as np, sys
f = netCDF4.Dataset(sys.argv[1])
f.set_auto_mask(False)
def plain(v):
    x = v[...]
    return x.tolist() if v.dtype == str else np.where(np.isfinite(x.astype(float)), x.astype(float), None).tolist()
big = ("mean_gradient", "second_moment", "block_gram", "embedding_matrix", "untrained_embedding_matrix")
group = lambda g: {k: plain(v) for k, v in g.variables.items() if k not in big}
print(json.dumps({"": group(f), "attributes": {k: str(f.getncattr(k)) for k in f.ncattrs()}, **{name: group(g) for name, g in f.groups.items()}}))`, nc));
const report = (name, ...runs) => {
  const path = join(folder, name);
  execFileSync(program, ['report', ...runs, '-o', path]);
  return path;
};
// An entry of a variable of the run file; the last argument may name the group.
const value = (nc, variable, ...at) => Number(python('-c', `
import netCDF4, sys
at = sys.argv[4:]
print(repr(float(netCDF4.Dataset(sys.argv[1])[sys.argv[3]][sys.argv[2]][tuple(map(int, at))])))`, nc, variable,
  ...(typeof at.at(-1) === 'string' ? [at.at(-1), ...at.slice(0, -1)] : ['layer1.cell', ...at]).map(String)));
const near = (a, b, tolerance = 1e-5) => Math.abs(a - b) <= tolerance * Math.abs(b);
const CHARTS = ['curves', 'replacement', 'partners', 'classes', 'spectrum', 'coherence', 'effective_rank', 'properties', 'words'];

const browser = await chromium.launch({ executablePath: browserPath, args: ['--headless', '--no-sandbox', '--disable-gpu',
  '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });

// A page whose every complaint is kept: console, exceptions, dialogs, requests that leave the disk.
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, acceptDownloads: true, ...options });
  await context.addInitScript(() => addEventListener('load', () => {
    window.drawnAtLoad = document.querySelectorAll('.chart svg [class*="role-mark"] path').length && document.querySelectorAll('.chart .plot > svg').length;
  }));
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (m) => { if (m.type() !== 'log' && m.type() !== 'info') page.complaints.push(`${m.type()}: ${m.text()}`); });
  page.on('pageerror', (e) => page.complaints.push(`exception: ${e.message}`));
  page.on('dialog', (d) => { page.complaints.push(`dialog: ${d.message()}`); d.dismiss(); });
  page.on('request', (r) => { if (!/^(file|data|blob):/.test(r.url())) page.complaints.push(`request: ${r.url()}`); });
  const start = Date.now();
  await page.goto(`file://${path}`);
  page.opened = Date.now() - start;
  await page.waitForSelector('html[data-ready]');
  page.drawn = Date.now() - start;
  return page;
}

const marks = (page, chart) => page.evaluate((id) =>
  document.querySelectorAll(`#chart-${id} svg [class*="role-mark"] path`).length, chart);
const lines = (page, chart) => page.evaluate((id) => Array.from(document.querySelectorAll(`#chart-${id} svg .mark-line path`))
  .filter((p) => (p.getAttribute('d') || '').length > 4).length, chart);
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const shot = (page, name) => page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true });

// The tooltip of a point, whatever lies over it.
async function tooltip(page, chart, series, delay) {
  const found = await page.evaluate(([id, s, d]) => {
    for (const path of document.querySelectorAll(`#chart-${id} svg .mark-symbol path`)) {
      const item = path.__data__, datum = item && item.datum;
      if (!datum || datum.series !== s || datum.delay !== d || datum.reference || !item.tooltip) continue;
      path.scrollIntoView({ block: 'center' });
      const box = path.getBoundingClientRect(), at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
      for (const type of ['pointermove', 'mousemove']) path.dispatchEvent(new (type[0] === 'p' ? PointerEvent : MouseEvent)(type, at));
      return true;
    }
    return false;
  }, [chart, series, delay]);
  return found && page.evaluate(() => Object.fromEntries(Array.from(document.querySelectorAll('#tip dt')).map((t) => [t.textContent, t.nextSibling.textContent])));
}

async function download(page, chart, kind) {
  const [event] = await Promise.all([page.waitForEvent('download', { timeout: 20000 }), page.click(`#chart-${chart} [data-download="${kind}"]`)]);
  return readFileSync(await event.path());
}

// ---- every number that is drawn or written on the page is the run file's ----

// What a chart draws: each mark's row of data, where it stands, how it is filled; labels of the axes with their places.
const drawn = (page, chart) => page.evaluate((id) => {
  const marks = [], labels = { x: [], y: [] };
  for (const path of document.querySelectorAll(`#chart-${id} svg [class*="role-mark"] :is(path, line)`)) {
    const item = path.__data__;
    if (!item || !item.datum) continue;
    const { datum, mark } = item, box = path.getBoundingClientRect();
    marks.push({ ...datum, layer: mark.name || '', type: mark.marktype, x: box.x + box.width / 2, y: box.y + box.height / 2, left: box.x, right: box.x + box.width,
      fill: path.getAttribute('fill'), opacity: item.opacity, shape: item.shape });
  }
  for (const axis of document.querySelectorAll(`#chart-${id} svg .role-axis`)) {
    const of = axis.querySelector('[aria-roledescription="axis"]') || axis, which = /^X|X-axis/.test(of.getAttribute('aria-label') || axis.textContent) ? 'x' : 'y';
    for (const text of axis.querySelectorAll('.role-axis-label text')) {
      const box = text.getBoundingClientRect();
      labels[which].push({ text: text.textContent, x: box.x + box.width / 2, y: box.y + box.height / 2 });
    }
  }
  const titles = Array.from(document.querySelectorAll(`#chart-${id} svg .role-axis-title text`)).map((t) => t.textContent);
  return { marks, labels, titles };
}, chart);

const digits = (x, n) => Number(Number(x).toPrecision(n));
const printed = (text) => Number(String(text).replace('−', '-').replace(/·10(.+)$/, (_, e) => `e${Array.from(e).map((c) => '⁰¹²³⁴⁵⁶⁷⁸⁹⁻'.indexOf(c)).map((i) => (i === 10 ? '-' : i)).join('')}`));
// A number of the page: the run file's, rounded once, to n significant digits or more.
const shows = (text, x, n = 3) => Math.abs(printed(text) - x) <= (x && 0.501 * 10 ** (Math.floor(Math.log10(Math.abs(x))) - n + 1));

async function testNumbers(full) {
  for (const [recipe, steps] of [['full', 'words'], ['chars', 'characters'], ['plain', 'words'], ['keys', 'words']]) {
    const nc = recipe === 'full' ? full : make(recipe), all = contents(nc), names = all[''].class_name;
    const page = await open(report(`${recipe}-numbers.html`, nc));
    for (const group of Object.keys(all).filter((g) => /^layer/.test(g))) {
      if (await page.$('#tools select')) await page.selectOption('#tools select', group);
      await numbersOf(page, `${recipe}, ${group}`, all, all[group], all[`untrained.${group}`], names, steps);
    }
    check(page.complaints.length === 0, `${recipe}: no complaint`, page.complaints.join(' | '));
    await page.context().close();
  }
}

// The rows behind a chart, as its CSV has them: header and cells.
async function table(page, chart) {
  const cell = (text) => (text.startsWith('"') ? text.slice(1, -1).replace(/""/g, '"') : text);
  const lines = (await download(page, chart, 'csv')).toString().split('\r\n').filter(Boolean)
    .map((l) => Array.from(l.matchAll(/(?:^|,)("(?:[^"]|"")*"|[^,]*)/g), (m) => cell(m[1])));
  return lines.slice(1).map((cells) => Object.fromEntries(cells.map((c, i) => [lines[0][i], c])));
}

const equal = (shown, exact, tolerance = 2e-6) => (exact === null || exact === undefined ? shown === '' || shown === null || shown === undefined : shown !== '' && shown !== null && near(Number(shown), exact, tolerance));

async function numbersOf(page, what, all, g, untrained, names, steps) {
  const bad = [], expect = (ok, ...detail) => { if (!ok && bad.length < 5) bad.push(detail.join(' ')); };
  const D = all[''].delay.length;
  let numbers = 0;
  const button = page.locator('#chart-curves button:has-text("show all")');
  if (await button.count()) await button.click();

  for (const [quantity, variable] of [['sum', 'singular_sum'], ['rms', 'rms_gain'], ['sigma1', 'singular_value']]) {
    await page.click(`#curves [data-value="${quantity}"]`);
    const pick = (x) => (x === null || x === undefined ? null : Array.isArray(x) ? x[0] : x), rows = await table(page, 'curves');
    expect(rows.length === names.length * D + (untrained ? D : 0), 'rows of', quantity, rows.length);
    for (const r of rows) {
      const from = r.line.startsWith('untrained') ? untrained : g, c = names.indexOf(r.class), d = Number(r.delay);
      expect(equal(r.value, pick(from[variable][c][d])), quantity, JSON.stringify(r));
      if (from === g) {
        expect(equal(r.low, pick(g[`${variable}_low`][c][d])), quantity, 'low', JSON.stringify(r));
        expect(equal(r.high, pick(g[`${variable}_high`][c][d])), quantity, 'high', JSON.stringify(r));
      }
      numbers += 3;
    }
    // what is drawn: log of the value is the height, for every class by the same rule, and delays go to the right
    const { marks: points, titles } = await drawn(page, 'curves');
    expect(titles.includes(`delay d (${steps})`), 'title of the delays', titles.join('|'));
    const dots = points.filter((m) => m.type === 'symbol' && m.series && m.opacity > 0 && m.value > 0 && !m.reference && Math.abs(m.value - pick(g[variable][names.indexOf(m.series)][m.delay])) <= 1e-5 * m.value);
    expect(dots.length >= Math.min(5, D), quantity, 'points drawn:', dots.length);
    const a = dots.reduce((x, y) => (y.value > x.value ? y : x)), b = dots.reduce((x, y) => (y.value < x.value ? y : x));
    const place = (v) => a.y + (b.y - a.y) * Math.log(v / a.value) / Math.log(b.value / a.value);
    for (const m of dots) expect(!(b.value < a.value) || Math.abs(m.y - place(m.value)) < 1.5, quantity, 'drawn at', m.y, place(m.value));
    expect(!(b.value < a.value) || a.y < b.y, quantity, 'larger is higher');
  }

  numbers += await replacementNumbers(page, expect, all, g, untrained, names, D);

  // classes beside all words: the ratio, its interval, both nulls; dots by the kind of word
  if (names.length > 1 && g.gain_ratio && await page.$('#classes [data-value="gain"]')) {
    await page.click('#classes [data-value="gain"]');
    const { marks: cells } = await drawn(page, 'classes');
    const of = (kind) => cells.filter((m) => m.type === 'symbol' && (m.shape === 'circle') === (kind === 'dot')), [dots, crosses] = [of('dot'), of('cross')];
    for (const m of cells.filter((x) => x.type === 'rect')) {
      const c = names.indexOf(m.series), of = (key) => g[key][c][m.delay], q = of('p_types_adjusted'), over = (o) => Math.abs(o.x - m.x) < 3 && Math.abs(o.y - m.y) < 3;
      expect(equal(m.value, of('gain_ratio')) && equal(m.gain_low, of('gain_ratio_low')) && equal(m.gain_high, of('gain_ratio_high')), 'gain of', m.series, m.delay);
      expect(equal(m.p_types, of('p_types')) && equal(m.q_types, of('p_types_adjusted')) && equal(m.p_tokens, of('p_tokens')), 'nulls of', m.series, m.delay);
      expect(dots.some(over) === (q !== null && q < 0.05), 'dot of the kind at', m.series, m.delay);
      expect(crosses.some(over) === (q !== null && q >= 0.05), 'cross of the kind at', m.series, m.delay);
      numbers += 6;
    }
  }

  // classes: order of the rows, dots by the adjusted p, ratio to chance by both ends of its range
  const chance = (await page.$('#classes [data-value="chance"]')) !== null;
  if (chance) await page.click('#classes [data-value="chance"]');
  if (names.length > 1) {
    const { marks: cells, labels, titles } = await drawn(page, 'classes');
    expect(titles.includes(`delay d (${steps})`), 'title of the delays, classes', titles.join('|'));
    const squares = cells.filter((m) => m.type === 'rect'), of = (kind) => cells.filter((m) => m.type === 'symbol' && (m.shape === 'circle') === (kind === 'dot')), [dots, crosses] = [of('dot'), of('cross')];
    expect(squares.length === (names.length - 1) * D, 'cells', squares.length);
    const order = labels.y.filter((l) => names.includes(l.text)).sort((x, y) => x.y - y.y).map((l) => l.text);
    const specs = all[''].class_spec || [], several = (spec) => spec && specs.filter((s) => s === spec).length > 1;
    const sections = [...new Set(specs.filter(several))].map((spec) => [spec, names.filter((_, i) => specs[i] === spec)]);
    const wanted = [...names.slice(1).filter((n) => !sections.some(([, own]) => own.includes(n))), ...sections.flatMap(([, own]) => own)];
    expect(order.join() === wanted.join(), 'order of classes: alone in their spec, then by spec', order.join());
    const headings = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves .key.section'), (k) => [k.textContent, k.nextSibling.dataset.series]));
    expect(String(headings) === String(sections.length > 1 ? sections.map(([spec, own]) => [`${spec}:`, own[0]]) : []), 'headings of the legend', headings.join(' | '));
    for (const m of squares) {
      const c = names.indexOf(m.series), label = labels.y.find((l) => l.text === m.series), sigma = g.singular_value[c][m.delay][0];
      const low = g.class_null_low && g.class_null_low[c][m.delay], high = g.class_null_high && g.class_null_high[c][m.delay];
      expect(label && Math.abs(label.y - m.y) < 6, 'row of', m.series);
      expect(equal(m.sigma, sigma) && equal(m.ratio, sigma / g.singular_value[0][m.delay][0]), 'cell', m.series, m.delay);
      expect(!chance || equal(m.value, sigma / Math.sqrt(low * high)), 'beside chance', m.series, m.delay, m.value);
      expect(equal(m.q, g.class_difference_p_adjusted[c][m.delay]) && equal(m.p, g.class_difference_p[c][m.delay]), 'p of', m.series, m.delay);
      const over = (o) => Math.abs(o.x - m.x) < 3 && Math.abs(o.y - m.y) < 3, q = g.class_difference_p_adjusted[c][m.delay];
      expect(dots.some(over) === (q !== null && q < 0.05) && crosses.some(over) === (q !== null && q >= 0.05), 'dot or cross at', m.series, m.delay, q);
      numbers += 6;
    }
  }

  for (const c of names.keys()) {
    const select = page.locator('#spectrum select');
    await select.selectOption({ value: String(c) });
    for (const m of (await drawn(page, 'spectrum')).marks) {
      expect(equal(m.value, g.singular_value[c][m.delay][m.direction - 1]), 'spectrum', c, m.delay, m.direction);
      numbers++;
    }
    const told = /, the first (\d+) of (\d+)/.exec(await page.textContent('#chart-spectrum .caption')), rank = g.singular_value[c][0].length;
    const last = Math.max(...(await drawn(page, 'spectrum')).marks.map((m) => m.direction || 0));
    expect(told ? Number(told[1]) >= last && Number(told[1]) < rank && Number(told[2]) === rank : true, 'how many of the values', told && told[0], last, rank);
  }

  for (const key of ['coherence', 'effective_rank']) {
    for (const r of await table(page, key)) {
      const c = names.indexOf(r.class), d = Number(r.delay), from = r.line.startsWith('untrained') ? untrained : g;
      expect(equal(r.value, from[key][c][d]), key, JSON.stringify(r));
      if (from === g) expect(equal(r.low, g[`${key}_low`][c][d]) && equal(r.high, g[`${key}_high`][c][d]), key, 'bounds', JSON.stringify(r));
      numbers += 3;
    }
  }

  for (const c of (all[''].property_name || []).length ? [0, 2] : []) {
    for (const [key, variable] of [['property_gain', 'property_gain'], ['relative_memory', 'relative_memory'], ['cosine', 'subspace_cosine']]) {
      await page.click(`#properties [data-value="${key}"]`);
      await page.locator('#properties .choice select').first().selectOption({ value: String(c) });
      const ks = key === 'cosine' ? await page.locator('#properties .choice select').nth(1).evaluate((s) => Array.from(s.options).map((o) => [o.value, Number(o.textContent)])) : [[null, null]];
      for (const [option, k] of ks) {
        if (option !== null) await page.locator('#properties .choice select').nth(1).selectOption({ value: option });
        const rows = await table(page, 'properties');
        expect(rows.length === all[''].property_name.length * D, 'rows of', key, rows.length);
        for (const r of rows) {
          const p = all[''].property_name.indexOf(r.property), d = Number(r.delay);
          const at = (suffix, q) => { const x = g[variable + suffix][q][c][d]; return key === 'cosine' ? x[k - 1] : x; };
          for (const [column, suffix, q] of [['value', '', p], ['low', '_low', p], ['high', '_high', p], ['random', '_random', 0], ['random_low', '_random_low', 0], ['random_high', '_random_high', 0]]) {
            expect(equal(r[column], at(suffix, q)), key, column, k, JSON.stringify(r), at(suffix, q));
            numbers++;
          }
        }
      }
    }
  }
  await sentences(page, expect, all, g, untrained, names, steps, D);
  numbers += await settingsNumbers(page, expect, all, g, names, D);
  await decayTable(page, expect, all, g, names);
  await wordBars(page, expect);
  check(bad.length === 0, `${what}: ${numbers} numbers of charts, and sentences and tables, are the run file's`, bad.join('\n       '));
}

// Settings: the share of unknown words; tokens, words and pairs of each class.
async function settingsNumbers(page, expect, all, g, names, D) {
  const { facts, rows, head } = await page.evaluate(() => ({
    facts: Object.fromEntries(Array.from(document.querySelectorAll('#settings dt'), (t) => [t.textContent, t.nextSibling.textContent])),
    head: Array.from(document.querySelectorAll('#settings thead th'), (h) => h.textContent),
    rows: Array.from(document.querySelectorAll('#settings tbody tr'), (tr) => Array.from(tr.cells, (c) => c.textContent)),
  }));
  const whole = (text) => Number(text.replace(/,/g, '')), { unknown_tokens: n, tokens } = all.attributes, unknown = /^(\S+) \((\S+) %\)$/.exec(facts['unknown tokens'] || '');
  expect(unknown && whole(unknown[1]) === Number(n) && (Number(n) ? shows(unknown[2], 100 * n / tokens, 2) : unknown[2] === '0'), 'unknown tokens', facts['unknown tokens'], n, tokens);
  expect(rows.map((r) => r[0]).join() === names.join(), 'classes of the settings', rows.map((r) => r[0]).join());
  const want = { tokens: (c) => all[''].class_tokens[c], words: (c) => all[''].class_types[c], 'effective words': (c) => all[''].class_effective_types[c],
    'pairs at delay 0': (c) => g.pairs[c][0], [`pairs at delay ${D - 1}`]: (c) => g.pairs[c][D - 1] };
  rows.forEach((row, c) => head.forEach((title, i) => expect(!(title in want) || (title.startsWith('effective') ? shows(row[i], want[title](c)) : whole(row[i]) === want[title](c)), title, row.join('|'))));
  const share = all.attributes.pairs_other_share;
  expect((share === undefined) === !('share of other words drawn, for comparison' in facts) && (share === undefined || shows(facts['share of other words drawn, for comparison'], Number(share), 4)), 'a share among the settings', share);
  expect(!Object.values(facts).some((text) => /\d\.\d{9}/.test(text)), 'settings are numbers to read', Object.values(facts).join(' | '));
  return 5 * rows.length + 4;
}

// "2.9 (2.7 to 3.1)", "2.9", or a dash where the file has none.
function spanOf(expect, cell, x, low, high, ...what) {
  const m = /^(\S+?)(?: \((\S+) to (\S+)\))?$/.exec(cell);
  if (x === null || x === undefined) return expect(cell === '–', ...what, cell);
  expect(m && shows(m[1], x) && Boolean(m[2]) === (low !== null), ...what, cell, x, low);
  if (m && m[2]) expect(shows(m[2], low) && shows(m[3], high), ...what, cell, low, high);
}

const CHANGES = { change: 'state_change', change_relative: 'state_change_relative', linear: 'linear_prediction', linear_cosine: 'linear_cosine', infidelity: 'infidelity', kl: 'output_kl' };
const known = (x) => (x || []).flat().some((v) => v !== null);

// The rows of a chart of replacements under one law, class or property by name.
async function changeNumbers(page, expect, chart, law, key, g, untrained, names) {
  const variable = law + CHANGES[key], pairs = law + (key === 'kl' ? 'output_kl_pairs' : 'replaced_pairs'), rows = await table(page, chart);
  const there = (x) => x.filter((v) => key !== 'kl' || v !== null).length;
  expect(rows.length === there(g[variable].flat()) + (untrained ? there(untrained[variable][0]) : 0), 'rows of', variable, rows.length);
  for (const r of rows) {
    const from = r.line.startsWith('untrained') ? untrained : g, c = names.indexOf(law === 'partner_' ? r.property : r.class), d = Number(r.delay);
    expect(equal(r.value, from[variable][c][d]) && Number(r.pairs) === from[pairs][c][d], variable, JSON.stringify(r));
    if (from === g) expect(equal(r.low, g[`${variable}_low`][c][d]) && equal(r.high, g[`${variable}_high`][c][d]), variable, 'bounds', JSON.stringify(r));
  }
  return 4 * rows.length;
}

// The summary's sentence on each property: values, intervals, bands of random directions and verdicts, half-life.
function propertySentences(text, expect, all, g, steps, D) {
  const names = all[''].property_name || [], at = Math.min(10, D - 1), value = '(\\S+)(?: \\(95 %: (\\S+) to (\\S+)\\))? at delay (\\d+)(?: \\(random directions: (\\S+) to (\\S+): (above|within|below) chance\\))?';
  names.forEach((name, p) => {
    const known = g.property_gain[p][0][0] !== null && g.property_gain[p][0][at] !== null, start = text.indexOf(`Along ${name} the gain is `);
    expect((start >= 0) === (known && names.filter((_, q) => q < p).length < 4), 'the sentence on', name, text);
    if (start < 0) return;
    const m = new RegExp(`^Along .*? the gain is ${value} and ${value}(?:; half of it is lost (\\S+)(?: \\(95 %: (\\S+) to (\\S+)\\))? ${steps} after its peak)?\\. Relative to σ₁ it is ${value} and ${value}\\.`).exec(text.slice(start));
    expect(m, 'the form of the sentence on', name, text.slice(start, start + 300));
    if (!m) return;
    const said = m.slice(1), [half, halfLow, halfHigh] = said.splice(14, 3);
    const own = g.property_gain[p][0], peak = own.reduce((best, x, d) => (x > own[best] ? d : best), 0), there = own[peak] > g.property_gain_random_high[0][0][peak];
    for (const [shown, v] of [[half, g.property_half_life[p][0]], [halfLow, g.property_half_life_low[p][0]], [halfHigh, g.property_half_life_high[p][0]]].map(([s, x]) => [s, there ? x : null]))
      expect(v === null ? shown === undefined : shows(shown, v), 'half-life of', name, shown, v);
    [['property_gain', 0], ['property_gain', at], ['relative_memory', 0], ['relative_memory', at]].forEach(([key, d], i) => {
      const [x, low, high, delay, least, most, verdict] = said.slice(7 * i, 7 * i + 7), of = (suffix, q) => g[key + suffix][q][0][d];
      expect(Number(delay) === d, 'delay of', key, delay, d);
      for (const [shown, v] of [[x, of('', p)], [low, of('_low', p)], [high, of('_high', p)], [least, of('_random_low', 0)], [most, of('_random_high', 0)]])
        expect(v === null ? shown === undefined : shows(shown, v), 'property sentence', key, d, shown, v);
      const [b, t, v] = [of('_random_low', 0), of('_random_high', 0), of('', p)];
      expect(verdict === (b === null ? undefined : v > t ? 'above' : v < b ? 'below' : 'within'), 'verdict', key, d, verdict, v, b, t);
    });
  });
}

// What replacing words does: each curve, the table at one delay, the sentence of the summary; or why there is none.
async function replacementNumbers(page, expect, all, g, untrained, names, D) {
  const said = await page.textContent('#summary'), note = await page.$('[data-missing="replacement"]');
  expect(Boolean(note) === !g.state_change && Boolean(note) === !/ moves the state by /.test(said), 'a run without replacement says so', said);
  if (!g.state_change) return 0;
  const laws = names.length > 1 && known(g.within_state_change) ? ['', 'within_'] : [''], properties = all[''].property_name || [];
  const series = ['change of state', 'largest rms gain'].map((name) => all[''].decay_quantity.indexOf(name));
  expect((await page.locator('#replacement [data-value="within_"]').count()) === laws.length - 1, 'the choice of the law');
  let numbers = 0;
  for (const law of laws) {
    if (laws.length > 1) await page.click(`#replacement [data-value="${law}"]`);
    for (const key of Object.keys(CHANGES)) {
      await page.click(`#replacement [data-value="${key}"]`);
      numbers += await changeNumbers(page, expect, 'replacement', law, key, g, untrained, names);
      const paired = properties.length > 0 && known(g[`partner_${CHANGES[key]}`]);
      expect((await page.locator('#chart-partners').count()) === Number(paired), 'exchange within pairs', key);
      if (paired && !law) numbers += await changeNumbers(page, expect, 'partners', 'partner_', key, g, untrained, properties);
    }
    for (const d of [0, D - 1]) {
      await page.selectOption('#replacement select', String(d));
      const rowsOf = (label) => page.evaluate((start) => Array.from(document.querySelectorAll(`#replacement table[aria-label^="${start}"] tbody tr`)).map((tr) => Array.from(tr.cells).map((c) => c.textContent)), label);
      const rows = await rowsOf('replacement by class'), exchanged = await rowsOf('replacement within pairs');
      const inPairs = properties.map((_, p) => p).filter((p) => g.partner_state_change && g.partner_state_change[p][d] !== null);
      expect(exchanged.map((r) => r[0]).join() === inPairs.map((p) => properties[p]).join(), 'properties exchanged', exchanged.map((r) => r[0]).join());
      exchanged.forEach((row, i) => {
        const p = inPairs[i], count = (cell) => Number(cell.replace(/,/g, ''));
        expect(count(row[1]) === g.partner_replaced_pairs[p][d] && count(row[5]) === g.partner_path_pairs[p][d], 'words exchanged', row.join('|'));
        [[2, 'state_change'], [3, 'linear_prediction'], [4, 'infidelity'], [6, 'path_average'], [7, 'path_gap']].forEach(([at, v]) =>
          spanOf(expect, row[at], ...['', '_low', '_high'].map((suffix) => g[`partner_${v}${suffix}`][p][d]), v, row.join('|')));
        numbers += 7;
      });
      expect(rows.map((r) => r[0]).join() === names.join(), 'classes of the replacements', rows.map((r) => r[0]).join());
      rows.forEach((row, c) => {
        expect(Number(row[1].replace(/,/g, '')) === g[`${law}replaced_pairs`][c][d], 'words replaced', row.join('|'));
        Object.values(CHANGES).filter((v) => v !== 'state_change_relative').map((v) => law + v)
          .forEach((v, k) => spanOf(expect, row[2 + k], g[v][c][d], g[`${v}_low`][c][d], g[`${v}_high`][c][d], v, row.join('|')));
        series.forEach((q, k) => spanOf(expect, row[7 + k], g.half_life[c][q], g.half_life_low[c][q], g.half_life_high[c][q], 'half-life', q, row.join('|')));
        numbers += 9;
      });
    }
  }
  const [q] = series, last = D - 1, at = Math.min(8, last), span = '(\\S+?)(?: \\(95 %: (\\S+) to (\\S+)\\))?';
  const moved = new RegExp(`moves the state by ${span} at once and by ${span} at delay (\\d+)(?:\\.|; half of the change at delay (\\d+) is left after (\\S+)(?: \\((\\S+) to (\\S+)\\))? \\w+\\.) This.*At delay (\\d+) the gradient predicts it with cosine ${span} and infidelity ${span} \\(0: exactly`).exec(said);
  expect(moved, 'the sentence on replacement', said);
  if (moved) {
    const of = (v, d) => [g[v][0][d], g[`${v}_low`][0][d], g[`${v}_high`][0][d]], half = g.half_life[0][q];
    const want = [...of('state_change', 0), ...of('state_change', last), last, half === null ? null : g.peak_delay[0][q], half, half && g.half_life_low[0][q], half && g.half_life_high[0][q], at, ...of('linear_cosine', at), ...of('infidelity', at)];
    want.forEach((x, i) => expect(x === null ? moved[i + 1] === undefined : x === 0 ? printed(moved[i + 1]) === 0 : shows(moved[i + 1], x), 'sentence on replacement', i, moved[i + 1], x));
  }
  return numbers;
}

// The headline and its list.
async function sentences(page, expect, all, g, untrained, names, steps, D) {
  const text = await page.textContent('#summary'), own = g.rms_gain[0].map((d) => d[0]), last = D - 1, step = steps.slice(0, -1);
  const other = step === 'word' ? 'character' : 'word', q = (all[''].decay_quantity || []).indexOf('largest rms gain');
  expect(!new RegExp(`\\b${other}s?\\b`).test(text), 'the summary speaks of', other);
  const fall = (k, before) => { // "is lost 3.6 (3.5 to 3.7) words later", counted from the peak
    const share = q < 0 ? null : g.share_delay[0][q][k], said = new RegExp(`${before} (\\S+)(?: \\((\\S+) to (\\S+)\\))? ${steps} later`).exec(text);
    expect((share === null || share === undefined) === !said, before, share, text.slice(0, 200));
    if (said) [share, g.share_delay_low[0][q][k], g.share_delay_high[0][q][k]].forEach((x, i) => expect(x === null ? said[i + 1] === undefined : shows(said[i + 1], x), before, i, said[i + 1], x));
  };
  fall(0, 'is lost');
  if (/is lost/.test(text.slice(0, 200))) fall(2, 'nine tenths,');
  const every = Number(all.attributes.second_moment_every);
  const gain = new RegExp(`The rms gain, in state units per ${all.attributes.normalization === 'none' ? 'unit' : 'standard deviation'} of the embedding, is (\\S+)(?: \\(95 %: (\\S+) to (\\S+)\\))? for the ${step} just read and (\\S+)(?: \\(95 %: (\\S+) to (\\S+)\\))? for the ${step} (\\d+) steps before, averaged over ${every > 1 ? `one in ${every} of ` : ''}(\\S+) tokens`).exec(text);
  const low = g.rms_gain_low, high = g.rms_gain_high;
  const want = gain && [own[0], low[0][0][0], high[0][0][0], own[last], low[0][last][0], high[0][last][0], last, all[''].class_tokens[0]];
  expect(gain, 'the sentence on the rms gain', text);
  if (gain) want.forEach((x, i) => expect(x === null ? gain[i + 1] === undefined : shows(gain[i + 1].replace(/,/g, ''), x), 'rms gain sentence', i, gain[i + 1], x));
  propertySentences(text, expect, all, g, steps, D);
  if (g.decay_weight && g.decay_weight[0][2].some((w) => w !== null)) {
    const d = decayOf(all, g, 0, 2);
    const said = d.verdict === 'none of the laws' ? 'No decay law fits the rms gain within the error bars over blocks'
      : d.verdict === 'undecided' || !d.determined ? 'The decay law of the rms gain is undecided' : `The rms gain falls as ${/^[aeiou]/.test(d.verdict) ? 'an' : 'a'} ${d.verdict}, `;
    expect(text.includes(said), 'the verdict on the law', said, text);
    const left = /Of its value at delay (\d+), (.*?) (words|characters) is left\./.exec(text), known = d.share.filter((x) => x !== null);
    expect(Boolean(left) === known.length > 0, 'the shares that are left', text);
    if (left) {
      expect(Number(left[1]) === d.peak && left[3] === steps, 'peak and unit', left[0]);
      const values = [...left[2].matchAll(/after (\S+?)(?: \((\S+) to (\S+)\))?(?:,|$)/g)];
      expect(values.length === known.length && values.every((m, k) => shows(m[1], known[k])), 'delays of the shares', left[0], known);
      values.forEach((m, k) => m[2] && expect(shows(m[2], d.low[k]) && shows(m[3], d.high[k]), 'their intervals', left[0]));
    }
  }
  if (names.length > 2 && g.gain_ratio) {
    const soon = Math.min(1, last), rank = names.map((name, c) => {
      const q = g.p_types_adjusted[c].filter((p) => p !== null);
      return { name, factor: g.gain_ratio[c][soon], low: g.gain_ratio_low[c][soon], high: g.gain_ratio_high[c][soon], significant: q.filter((p) => p < 0.05).length, tested: q.length };
    }).slice(1).filter((x) => x.factor > 0).sort((a, b) => b.factor - a.factor);
    expect(text.includes(' the gain over all directions is largest for ') === rank.length > 1, 'the sentence on classes', rank.length);
    for (const [word, x] of rank.length > 1 ? [[`At delay ${soon} the gain over all directions is largest for `, rank[0]], ['; smallest for ', rank.at(-1)]] : []) {
      const m = new RegExp(`${word}(.+?), (\\S+)(?: \\((\\S+) to (\\S+)\\))? times all ${steps} \\((?:as a kind of word it differs from words of similar frequency at (\\d+) of (\\d+) delays|no statement about its kind)\\)`).exec(text);
      expect(m && m[1] === x.name && shows(m[2], x.factor) && (x.low === null ? m[3] === undefined : shows(m[3], x.low) && shows(m[4], x.high))
        && (x.tested ? Number(m[5]) === x.significant && Number(m[6]) === x.tested : m[5] === undefined), word, m && m[0], JSON.stringify(x));
    }
  }
  const exponent = ['lyapunov_exponent', 'lyapunov_exponent_low', 'lyapunov_exponent_high'].map((v) => (g[v] ? g[v][0] : null));
  const rate = new RegExp(`The largest Lyapunov exponent, .*?, is (\\S+)(?: \\((\\S+) to (\\S+)\\))? per ${step}: (?:they halve in (\\S+) ${steps}|they (grow)|they (may shrink or grow)|it has no interval)`).exec(text);
  expect(Boolean(rate) === (exponent[0] !== null), 'the sentence on the Lyapunov exponent', text);
  if (rate) {
    exponent.forEach((x, i) => expect(x === null ? rate[i + 1] === undefined : shows(rate[i + 1], x), 'Lyapunov exponent', rate[0], x));
    const [, low, high] = exponent;
    expect(low !== null && high < 0 ? shows(rate[4], Math.LN2 / -exponent[0]) : !rate[4], 'its half-life', rate[0]);
    expect(Boolean(rate[5]) === (low > 0) && Boolean(rate[6]) === (low !== null && low <= 0 && high >= 0), 'its verdict', rate[0]);
  }
  expect(/Intervals hold for (this text alone|texts made of such documents)/.test(text), 'what the intervals hold for', text);
  const at = Math.min(10, last), m = /At delay (\d+) the gain of the trained model is (\S+) % of that at delay 0; before training it is (\S+) %/.exec(text);
  expect(Boolean(m) === Boolean(untrained), 'the sentence on the untrained model', text);
  if (m && untrained) expect(Number(m[1]) === at && shows(m[2], 100 * own[at] / own[0], 2) && shows(m[3], 100 * untrained.rms_gain[0][at][0] / untrained.rms_gain[0][0][0], 2), m[0]);
  const co = /σ₁ is (\S+)(?: \(95 %: \S+ to \S+\))? at delay 0 and (\S+)(?: \(95 %: \S+ to \S+\))? at delay (\d+), coherence (\S+) and (\S+) \(/.exec(text);
  expect(co && shows(co[1], g.singular_value[0][0][0]) && shows(co[2], g.singular_value[0][at][0]) && Number(co[3]) === at
    && shows(co[4], g.coherence[0][0], 2) && shows(co[5], g.coherence[0][at], 2), 'sigma_1 and coherence', co && co[0]);
}

// What the run file says of the decay of class c, series q.
function decayOf(all, g, c, q) {
  const laws = all[''].decay_law, w = g.decay_weight[c][q], nearest = w.reduce((b, x, k) => (x !== null && (b < 0 || x > w[b]) ? k : b), -1);
  const v = g.decay_verdict[c][q], law = v >= 0 ? v : nearest;
  const pairs = [['decay_scale', 'decay_scale_error'], ['decay_rate', 'decay_rate_error'], ['decay_shape', 'decay_shape_error']];
  const at = (key) => (law < 0 ? null : g[key][c][q][law]);
  return {
    verdict: nearest < 0 ? 'no fit' : v >= 0 ? laws[v] : v === -1 ? 'none of the laws' : 'undecided', law, at, peak: g.peak_delay[c][q],
    determined: law >= 0 && pairs.every(([x, e]) => at(x) === null || (at(e) !== null && at(e) < 0.5 * Math.abs(at(x)))),
    share: g.share_delay[c][q], low: g.share_delay_low[c][q], high: g.share_delay_high[c][q],
  };
}

async function decayTable(page, expect, all, g, names) {
  if (!g.decay_weight || await page.$('[data-missing="decay_weight"]')) return;
  const select = page.locator('#decay select'), stretched = all[''].decay_law.indexOf('stretched exponential');
  const interval = (...cell) => spanOf(expect, ...cell);
  for (let q = 0; q < all[''].decay_quantity.length; q++) {
    if (await select.count()) await select.selectOption({ value: String(q) });
    const rows = await page.evaluate(() => Array.from(document.querySelectorAll('#decay tbody tr')).map((tr) => Array.from(tr.cells).map((c) => c.textContent)));
    expect(rows.map((r) => r[0]).join() === names.join(), 'classes of the laws', rows.map((r) => r[0]).join());
    rows.forEach((row, c) => {
      const d = decayOf(all, g, c, q);
      expect(d.peak === null ? row[1] === '–' : Number(row[1]) === d.peak, 'peak', row.join('|'));
      d.share.forEach((x, k) => interval(row[2 + k], x, d.low[k], d.high[k], 'share', k, row.join('|')));
      expect(row[5] === d.verdict, 'verdict', row.join('|'), d.verdict);
      expect((row[6] === '–') === !d.determined, 'a formula only where its parameters are determined', row.join('|'));
      if (d.determined) expect(shows(row[6].split(' ')[0], d.at('decay_scale'), 2), 'amplitude', row.join('|'));
      interval(row[7], g.decay_shape[c][q][stretched], g.decay_shape_low[c][q][stretched], g.decay_shape_high[c][q][stretched], 'beta', row.join('|'));
    });
  }
}

// The bars of the words view: those of the page's data (compared with the run file in shown.py), each at its own end.
async function wordBars(page, expect) {
  if (await page.$('[data-missing="words"]')) return;
  const chosen = await page.evaluate(() => Array.from(document.querySelectorAll('#words .choice')).map((c) => [c.querySelector('span').textContent, c.querySelector('select').selectedIndex]));
  const at = Object.fromEntries(chosen), group = (await page.$('#tools select')) ? await page.inputValue('#tools select') : null;
  const { words, name } = await page.evaluate((g) => ({ words: data.runs[0].words, name: g || Object.keys(data.runs[0].words.groups)[0] }), group);
  const [up, upBy, down, downBy, cosines] = words.groups[name][at.Class][at.Delay][at.Direction];
  const along = cosines.map((c, i) => [words.targets[i], c]).filter(([, c]) => c !== null).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 6);
  const lines = along.length ? `Lines up with ${along.map(([n, c]) => `${n} ${c > 0 ? '+' : '−'}${Math.abs(c).toFixed(2)}`).join(', ')} (` : '';
  const said = await page.evaluate(() => Array.from(document.querySelectorAll('#words p.mute'), (p) => p.textContent).join(''));
  expect(lines ? said.startsWith(lines) : said === '', 'what the direction lines up with', said, lines);
  const bars = (await drawn(page, 'words')).marks.filter((m) => m.type === 'rect').sort((a, b) => a.y - b.y);
  const want = [...up.map((id, i) => [words.words[id], upBy[i], words.counts[id]]), ...down.map((id, i) => [words.words[id], downBy[i], words.counts[id]]).reverse()];
  expect(bars.length === want.length, 'bars', bars.length, want.length);
  bars.forEach((b, i) => expect(b.word === want[i][0] && near(b.value, want[i][1], 1e-9) && b.count === want[i][2] && (b.value > 0) === (b.end === '+'), 'bar', i, b.word, b.value, JSON.stringify(want[i])));
  const scale = bars.length && (bars[0].right - bars[0].left) / Math.abs(bars[0].value);
  bars.forEach((b, i) => expect(Math.abs((b.right - b.left) - scale * Math.abs(b.value)) < 2, 'length of bar', i));
}

async function testReport(nc) {
  const page = await open(report('report.html', nc));
  console.log(`       report.html opened in ${page.opened} ms, all charts drawn in ${page.drawn} ms`);
  for (const chart of CHARTS) check(await marks(page, chart) > 5, `${chart} is drawn`, `${await marks(page, chart)} marks`);
  check(await overflow(page) <= 0, '1600 px: nothing sticks out', await overflow(page));
  const summary = await page.textContent('#summary');
  check(/Half of the gain from a word/.test(summary) && / law/.test(summary) && /is largest for/.test(summary), 'the summary has its sentences', summary);
  await shot(page, 'report-1600-light');
  check(await page.evaluate(() => window.drawnAtLoad) === CHARTS.length, 'all charts are drawn when the page says it is loaded', await page.evaluate(() => window.drawnAtLoad));
  const dump = execFileSync(browserPath, ['--headless', '--no-sandbox', '--disable-gpu', '--dump-dom', `file://${join(folder, 'report.html')}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 });
  check(CHARTS.every((c) => new RegExp(`id="chart-${c}"><div class="plot"[^>]*><svg`).test(dump)), 'a plain headless browser sees every chart');
  const settings = await page.textContent('#settings');
  const { '': { word }, attributes: { eos_word: eos, unk_word: unk } } = contents(nc);
  check(['usedall origins', 'stepsnever', 'variancenone', '(burn-in)none', `ends a line${word[eos]}`, `unknown words${word[unk]}`].every((x) => settings.includes(x)),
    'settings say what 0 and the numbers of words mean', settings.slice(0, 1200));
  for (const name of ['words', 'classes', 'curves', 'property', 'spectrum']) // "~g" alone writes 10 as 1e+1
    check(!/"format": *"~g"/.test(readFileSync(join(root, 'report', 'specs', `${name}.vl.json`), 'utf8')), `${name}: numbers have their digits`);
  const labels = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-words svg .role-axis-label text')).map((t) => [t.textContent, t.getAttribute('opacity') !== '0']));
  check(labels.length > 15 && labels.every(([, shown]) => shown), 'every word of a direction has its label', JSON.stringify(labels));
  check(await page.evaluate(() => [legible(','), legible("'s"), legible('word')].join(' ')) === "“,” 's word", 'punctuation is quoted');

  const before = await lines(page, 'curves');
  await page.click('#chart-curves [data-series="noun"]');
  check(await lines(page, 'curves') === before - 1, 'the legend hides a class', `${before} -> ${await lines(page, 'curves')}`);
  check(await page.getAttribute('#chart-curves [data-series="noun"]', 'aria-pressed') === 'false', 'its button says so');
  const saved = new Set((await table(page, 'curves')).map((r) => r.class));
  const pressed = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves [data-series][aria-pressed="true"]'), (k) => k.dataset.series));
  check(!saved.has('noun') && pressed.length > 3 && saved.size === pressed.length && pressed.every((n) => saved.has(n)), 'and the CSV has what is shown', Array.from(saved).join());
  await page.click('#chart-curves [data-series="noun"]');
  check(await lines(page, 'curves') === before, 'and shows it again');

  const dashed = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves svg .mark-line path')).filter((p) => p.getAttribute('stroke-dasharray') === '7,4'
    && p.getBoundingClientRect().height > 3).length);
  check(dashed === 1, 'the untrained model is one dashed line', dashed);
  const reference = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves svg .mark-symbol path'))
    .map((p) => p.__data__.datum).find((d) => d.reference && d.delay === 2 && d.series === 'all'));
  const untrained = value(nc, 'rms_gain', 0, 2, 0, 'untrained.layer1.cell'), first = value(nc, 'rms_gain', 0, 0, 0);
  const factor = first / value(nc, 'rms_gain', 0, 0, 0, 'untrained.layer1.cell');
  check(reference && near(reference.exact, untrained) && near(reference.value, untrained * (factor > 10 ? factor : 1)),
    'drawn from where the trained one begins when it is far below', JSON.stringify(reference));

  await page.click('#chart-curves button:has-text("only all")');
  const tip = await tooltip(page, 'curves', 'all', 15), gain = value(nc, 'rms_gain', 0, 15, 0);
  check(tip && near(Number(tip.value), gain), 'the tooltip shows the value of the run file', JSON.stringify(tip) + gain);
  check(tip && tip.pairs.replace(/,/g, '') === String(value(nc, 'pairs', 0, 15)), 'and its pairs', JSON.stringify(tip));
  await page.click('#chart-curves button:has-text("show all")');

  await page.focus('#chart-curves .plot');
  for (let i = 0; i < 5; i++) await page.keyboard.press(i ? 'ArrowRight' : 'Home');
  const readout = await page.textContent('#chart-curves .readout'), shown = Number(/all\D*([\d.]+)/.exec(readout)[1]);
  check(/d = 4/.test(readout) && near(shown, value(nc, 'rms_gain', 0, 4, 0)), 'arrow keys read the values', readout);

  for (const quantity of ['sum', 'rms', 'sigma1']) {
    await page.click(`#curves [data-value="${quantity}"]`);
    check(await lines(page, 'curves') >= before, `curves of ${quantity}`);
  }
  for (const scale of ['linear', 'loglog', 'log']) {
    await page.click(`#curves [data-value="${scale}"]`);
    check(await lines(page, 'curves') >= before / 2, `${scale} scale`);
  }
  await page.selectOption('#tools select', 'layer1.hidden');
  check((await page.textContent('#summary')).includes('hidden'), 'the other state is chosen');
  await page.selectOption('#tools select', 'layer1.cell');
  await page.click('#properties [data-value="cosine"]');
  check(await marks(page, 'properties') > 5, 'subspace cosine is drawn');

  for (const chart of CHARTS) {
    const csv = (await download(page, chart, 'csv')).toString(), picture = (await download(page, chart, 'svg')).toString(), png = await download(page, chart, 'png');
    check(csv.split('\r\n').length > 5 && /^[a-z_0-9,]+\r\n/.test(csv), `${chart}: CSV`, csv.slice(0, 80));
    check(/^<svg/.test(picture) && picture.includes('<path') && !picture.includes('NaN'), `${chart}: SVG`, picture.slice(0, 80));
    check(png.subarray(1, 4).toString() === 'PNG' && png.length > 3000, `${chart}: PNG`, png.length);
    if (chart === 'curves') {
      const row = csv.split('\r\n').find((l) => l.startsWith('run.nc,trained,noun,2,'));
      check(row && near(Number(row.split(',')[4]), value(nc, 'singular_value', 1, 2, 0)), 'the CSV has the value of the run file', row);
      writeFileSync(join(artefacts, 'curves.svg'), picture);
    }
  }
  await page.emulateMedia({ media: 'print' });
  check(await page.evaluate(() => Array.from(document.querySelectorAll('section')).filter((s) => s.querySelector('.chart'))
    .every((s) => getComputedStyle(s).breakInside === 'avoid')), 'printed: a chart stays with its heading');
  check(!(await page.isVisible('.downloads')) && await page.isVisible('#chart-curves svg'), 'printed: charts without buttons');
  await page.setViewportSize({ width: 640, height: 900 }); // about A4
  const [names, values] = await page.evaluate(() => ['dt', 'dd'].map((e) => document.querySelector(`#settings ${e}`).getBoundingClientRect().width));
  check(values > names, 'printed: settings have more room for values than for names', `${values} ${names}`);
  check(page.complaints.length === 0, 'no console error, no request', page.complaints.join(' | '));
  await page.context().close();
}

async function testDarkAndNarrow(nc) {
  const path = report('report.html', nc);
  for (const [width, colorScheme] of [[1600, 'dark'], [390, 'light'], [390, 'dark']]) {
    const page = await open(path, { viewport: { width, height: 844 }, colorScheme });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0));
    check((await ground() < 200) === (colorScheme === 'dark'), `${width} px: ${colorScheme} as the system asks`);
    check(await overflow(page) <= 0, `${width} px ${colorScheme}: no horizontal scrolling`, await overflow(page));
    for (const chart of CHARTS) check(await marks(page, chart) > 5, `${width} px ${colorScheme}: ${chart} is drawn`);
    const texts = await page.evaluate(() => Array.from(document.querySelectorAll('.chart svg .role-axis-label text, .chart svg .role-legend-label text'), (t) => t.textContent));
    check(texts.length > 50 && !texts.some((t) => /^[\d.]+e[+\d]/.test(t)), `${width} px: axes and legends have plain numbers`, texts.filter((t) => /e[+\d]/.test(t)).join(' '));
    await shot(page, `report-${width}-${colorScheme}`);
    const tables = await page.evaluate(() => Array.from(document.querySelectorAll('.scroll')).map((s) => [s.scrollWidth > s.clientWidth + 1,
      getComputedStyle(s, '::before').content.includes('goes on'), getComputedStyle(s).backgroundImage.includes('gradient')]));
    check(tables.length > 1 && tables.every(([wide, said, shaded]) => wide === said && shaded), `${width} px: a table that scrolls says so`, JSON.stringify(tables));
    check(width !== 390 || tables.some(([wide]) => wide), '390 px: a table scrolls');
    const axis = () => page.evaluate(() => document.querySelector('#chart-curves svg .role-axis-title text').getAttribute('fill'));
    const was = await axis();
    await page.click('#theme');
    check((await ground() < 200) === (colorScheme !== 'dark') && await axis() !== was, `${width} px: the button switches page and charts`);
    check(page.complaints.length === 0, `${width} px ${colorScheme}: no console error`, page.complaints.join(' | '));
    await page.context().close();
  }
}

async function testHostile() {
  const nc = make('hostile', '<b>&\'.nc'), hostile = contents(nc)[''].class_name.slice(1);
  check(hostile.length > 8, 'the run has hostile names', hostile.length);
  const page = await open(report('hostile.html', nc), { viewport: { width: 390, height: 844 } });
  const text = await page.textContent('#settings');
  for (const name of hostile) check(text.includes(name), `shown as text: ${name.slice(0, 30)}`);
  check((await page.textContent('h1')).includes("<b>&'.nc"), 'a file name with markup is text');
  check(await page.evaluate(() => document.querySelectorAll('main script, main img').length) === 0, 'no element came from a name');
  check(await overflow(page) <= 0, 'a name of 10 kB does not widen the page', await overflow(page));
  for (const chart of CHARTS.filter((c) => c !== 'properties' && c !== 'partners')) check(await marks(page, chart) > 5, `${chart} is drawn`);
  await page.click('#chart-curves button:has-text("show all")');
  const cells = new Set((await table(page, 'curves')).map((r) => r.class));
  check(hostile.every((name) => cells.has(/^[=+@-]/.test(name) ? `'${name}` : name)), 'the CSV has every name, none as a formula', Array.from(cells, (c) => c.slice(0, 30)).join(' '));
  check(await page.evaluate(() => ['=1', '+1', '-1', '@a', '\t1'].every((t) => csvCell(t) === `'${t}`) && csvCell(-1) === '-1'), 'nor a name that begins with another sign');
  await page.click('#chart-curves [data-series="__proto__"]');
  await shot(page, 'hostile-390');
  check(page.complaints.length === 0, 'hostile names: no complaint', page.complaints.join(' | '));
  await page.context().close();
}

// Runs of one file name, and one whose name another would get: each has a name of its own wherever runs are named.
async function testNames() {
  const files = [['x', 'run.nc', 'small'], ['y', 'run.nc', 'small2'], ['y', 'run.nc (1)', 'small']].map(([inner, name, recipe]) => {
    mkdirSync(join(folder, inner), { recursive: true });
    cpSync(make(recipe), join(folder, inner, name));
    return join(folder, inner, name);
  });
  const page = await open(report('names.html', ...files)), runs = files.map(contents), kept = (x) => x.length === 3 && new Set(x).size === 3;
  await page.click('#chart-curves button:has-text("show all")');
  const rows = await table(page, 'curves'), names = Array.from(new Set(rows.map((r) => r.run))), classes = runs[0][''].class_name;
  check(kept(names) && names[2] === 'run.nc (1)' && names.every((n) => /^run\.nc \(\d\)$/.test(n)), 'runs of one name are numbered, apart from a run of such a name', names.join());
  check(rows.every((r) => equal(r.value, runs[names.indexOf(r.run)]['layer1.cell'].rms_gain[classes.indexOf(r.class)][r.delay][0])), 'and have each its own values');
  check(await lines(page, 'curves') === 3 * classes.length, 'a line for each', await lines(page, 'curves'));
  for (const [id, tag] of [['summary', 'h2'], ['settings', 'h3'], ['decay', 'h3']]) {
    const heads = await page.evaluate(([i, t]) => Array.from(document.querySelectorAll(`#${i} ${t}`), (h) => h.textContent), [id, tag]);
    check(kept(heads.filter((h) => names.includes(h))), `${id}: a heading for each`, heads.join());
  }
  const offered = await page.locator('#words .choice select').first().evaluate((s) => Array.from(s.options, (o) => o.textContent));
  check(kept(offered) && offered.every((n) => names.includes(n)), 'words: a choice for each', offered.join());
  await page.click('#tools [data-value="side"]');
  const panels = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-classes svg .role-column-header text, #chart-classes svg .role-scope text'), (t) => t.textContent));
  check(names.every((n) => panels.includes(n)), 'a panel for each', panels.join());
  check((await page.title()).includes(names.join(', ').slice(0, 60)) && page.complaints.length === 0, 'and the title names them', `${await page.title()} ${page.complaints.join(' | ')}`);
  await page.context().close();
}

// The section of `compare`: every cell is the number of its JSON.
async function testComparison(nc) {
  const path = join(folder, 'compared.html'), args = ['compare', nc, 'noun', 'verb'];
  execFileSync(program, [...args, '-o', path], { stdio: 'pipe' });
  const want = JSON.parse(execFileSync(program, [...args, '--json'], { encoding: 'utf8' })), page = await open(path);
  const got = await page.evaluate(() => Array.from(document.querySelector('#comparison table').tBodies[0].rows, (r) => Array.from(r.cells, (c) => c.textContent)));
  const ends = (text, x, low, high) => { const m = /^(\S+)(?: \((\S+) to (\S+)\))?$/.exec(text); return m && shows(m[1], x) && (low === null ? !m[2] : shows(m[2], low) && shows(m[3], high)); };
  const one = (text, x) => (x === null ? text === '–' : shows(text, x));
  const kinds = want.rows.some((r) => r.p_types_adjusted !== null), wrong = want.rows.filter((r, i) => {
    const [measure, delay, a, b, ratio, difference, p, q, kind, verdict] = kinds ? got[i] : got[i].toSpliced(8, 0, '–');
    return got[i].length === 9 + kinds &&  !(measure === r.measure && delay === (r.delay === null ? '' : String(r.delay)) && one(a, r.a) && one(b, r.b) && ends(ratio, r.ratio, r.ratio_low, r.ratio_high)
      && ends(difference, r.difference, r.difference_low, r.difference_high) && one(p, r.p) && one(q, r.p_adjusted) && one(kind, r.p_types_adjusted) && verdict === (r.verdict || '–'));
  });
  check(got.length === want.rows.length && want.rows.length > 9 && wrong.length === 0, 'A against B: the numbers of compare', JSON.stringify(wrong[0]));
  check(/^A: noun \(.*B: verb \(/.test(await page.textContent('#comparison h3')) && page.complaints.length === 0, 'and what they are of', page.complaints.join(' | '));
  await page.context().close();
}

async function testSeveralAndPlain(nc) {
  const page = await open(report('several.html', nc, make('other')));
  const expected = [nc, made.get('other')].map((run) => contents(run)[''].class_name).flatMap((names, r, [first]) => r ? names : names).length;
  const hiddenSeries = await page.evaluate(() => document.querySelectorAll('#chart-curves [data-series][aria-pressed="false"]').length);
  check(hiddenSeries > 0 || expected < 9, 'of many classes some are hidden at first');
  await page.click('#chart-curves button:has-text("show all")');
  check(await lines(page, 'curves') === expected, 'two runs overlaid: one line a class and run', `${await lines(page, 'curves')} ${expected}`);
  await page.click('#tools [data-value="side"]');
  check(await page.evaluate(() => document.querySelectorAll('#chart-curves svg .role-scope.cell > g').length) === 2, 'side by side: two panels');
  check(await marks(page, 'properties') > 5 && await marks(page, 'classes') > 5, 'the other charts too');
  await shot(page, 'several-1600');
  check(page.complaints.length === 0, 'two runs: no complaint', page.complaints.join(' | '));
  await page.context().close();
  await testNames();
  const groups = await open(report('groups.html', '--group', `constructor=${make('small')},${make('small2')}`, '-g', `a|b=${make('small')},${make('small2')}`));
  check(await lines(groups, 'models') === 2, 'groups of models: a line each', await lines(groups, 'models'));
  const cells = await groups.evaluate(() => Array.from(document.querySelectorAll('#models table'), (t) => t.textContent));
  check(cells.length === 2 && cells.every((t) => t.includes('constructor') && t.includes('a|b') && /\d \(models .* to .*; text .* to .*\)/.test(t)), 'their tables have both intervals', cells.join(' | '));
  const kinds = await groups.evaluate(() => data.models.map((g) => g.states[0].values.rms[0]));
  for (const [i, x] of kinds.entries()) {
    const row = await groups.evaluate((r) => Array.from(document.querySelector('#models table').tBodies[0].rows[r].cells, (c) => c.textContent), i);
    const ends = row.slice(2).map((t) => /^(\S+) \(models (\S+) to (\S+); text (\S+) to (\S+)\)$/.exec(t));
    check(ends.length > 1 && ends.every((m, k) => m && [x.mean, x.low, x.high, x.blocks_low, x.blocks_high].every((v, j) => shows(m[j + 1], v[[0, 1, 5][k]]))),
      'each of its kind', row.join(' | '));
  }
  check((await groups.textContent('#summary')).trim() === '', 'and no summary of a single training');
  await groups.click('#models [data-value="property_gain"]');
  check(await lines(groups, 'models') === 2 && groups.complaints.length === 0, 'properties of groups: no complaint', groups.complaints.join(' | '));
  await shot(groups, 'groups-1600');
  await groups.context().close();
  await testComparison(nc);
  const plain = await open(report('plain.html', make('plain')));
  const missing = await plain.evaluate(() => Array.from(document.querySelectorAll('[data-missing]')).map((e) => e.dataset.missing));
  for (const key of ['properties', 'replacement']) check(missing.includes(key), `what is absent is said: ${key}`, missing);
  check(await marks(plain, 'curves') > 5 && plain.complaints.length === 0, 'the rest is drawn', plain.complaints.join(' | '));
  await plain.context().close();
  const short = make('withheld'), part = await open(report('part.html', short)), exact = contents(short);
  const low = exact['layer1.cell'].rms_gain_low, without = low.flat().filter((ranks) => ranks[0] === null).length, all = low.flat().length;
  const caption = await part.textContent('#chart-curves .caption');
  check(without > 0 && caption.includes(`No interval is given at ${without} of ${all} values`) && /too few|distinguished|variance/.test(caption) && !/delay \d+:|more\)/.test(caption), 'withheld intervals are counted, with the reason', caption);
  await part.focus('#chart-curves .plot');
  for (let i = 0; i < 5; i++) await part.keyboard.press(i ? 'ArrowRight' : 'Home');
  const read = await part.textContent('#chart-curves .readout');
  const given = low.map((c) => c[4][0] !== null), want = exact[''].class_name.map((n, c) => `${n} [\\d.e-]+ \\[${given[c] ? '[\\d.e-]+, [\\d.e-]+' : 'not given'}\\]`);
  check(given.includes(true) && given.includes(false) && new RegExp(`^d = 4${want.join('')}$`).test(read), 'and named in the readout', read);
  await part.context().close();
  const one = await open(report('one.html', make('one')));
  check(one.complaints.length === 0, 'one delay, one class: no complaint', one.complaints.join(' | '));
  await one.context().close();
}

// Names that every object has (constructor), or that meet when joined by a bar ("a" of "b|c" with "a|b" of "c"): each keeps its line,
// panel, row and bar. (Their numbers: testNumbers.)
async function testKeys() {
  const path = make('keys', 'c.nc'), other = join(folder, 'b|c.nc'), names = contents(path)[''].class_name;
  cpSync(path, other);
  const page = await open(report('keys.html', path, other));
  await page.click('#chart-curves button:has-text("show all")');
  for (const chart of ['curves', 'coherence', 'effective_rank']) check(await lines(page, chart) === 2 * names.length, `${chart}: a line for each class and run`, await lines(page, chart));
  const dotted = (await drawn(page, 'curves')).marks.filter((m) => m.type === 'symbol' && m.opacity > 0);
  const looks = new Set(dotted.map((m) => `${m.series}\0${m.fill}`));
  check(new Set(dotted.map((m) => m.series)).size === names.length && looks.size === names.length, 'each class has one colour', looks.size);
  const panels = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-classes svg .role-column-header text, #chart-classes svg .role-scope text'), (t) => t.textContent));
  check(['c.nc', 'b|c.nc'].every((n) => panels.includes(n)), 'panels have the names of the files', panels.join());
  const rows = (await drawn(page, 'classes')).labels.y.map((l) => l.text);
  check(names.slice(1).every((n) => rows.includes(n)), 'rows have the names of the classes', rows.join());
  const svg = (await download(page, 'curves', 'svg')).toString();
  check(names.every((n) => svg.includes(`>${n.replace(/&/g, '&amp;').replace(/</g, '&lt;')}<`)), 'the legend of a saved chart has them');
  await page.context().close();
  const one = await open(report('keys-one.html', path)), seen = new Set();
  for (let delay = 0; delay < 2; delay++) {
    await one.locator('#words .choice select').nth(1).selectOption({ index: delay });
    const directions = await one.locator('#words .choice select').nth(2).evaluate((s) => s.options.length);
    for (let k = 0; k < directions; k++) {
      await one.locator('#words .choice select').nth(2).selectOption({ index: k });
      const { marks: bars, labels } = await drawn(one, 'words');
      for (const b of bars) {
        const label = labels.y.find((l) => Math.abs(l.y - b.y) < 4);
        if (label && label.text === b.label) seen.add(b.word); else seen.add(`wrong: ${b.word} at ${label && label.text}`);
      }
    }
  }
  check(['constructor', 'a|b'].every((w) => seen.has(w)) && ![...seen].some((w) => /^wrong/.test(w)), 'words as bars, each at its label', Array.from(seen).join(' '));
  check(page.complaints.length + one.complaints.length === 0, 'no complaint', page.complaints.concat(one.complaints).join(' | '));
  await one.context().close();
}

// Every shown class is told apart by colour and marker, those shown at first by colour alone.
async function testManyClasses() {
  const path = report('many.html', make('many'));
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(path, { colorScheme });
    const styles = () => page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves .key[aria-pressed="true"] svg')).map((s) =>
      [s.firstChild.getAttribute('stroke'), s.lastChild.getAttribute('d')]));
    const first = await styles();
    const shown = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves .key[aria-pressed="true"]'), (k) => k.dataset.series));
    const { class_name: names, class_tokens: sizes } = contents(made.get('many'))[''], of = (name) => sizes[names.indexOf(name)];
    check(shown.includes('all') && Math.min(...shown.map(of)) >= Math.max(...names.filter((n) => !shown.includes(n)).map(of)), 'those with the most tokens', shown.join());
    check(first.length === 8 && new Set(first.map(([colour]) => colour)).size === 8, `30 classes, ${colorScheme}: eight are shown at first, in eight colours`, JSON.stringify(first));
    check(new Set(first.map(([, marker]) => marker)).size === 8, 'and with eight markers', JSON.stringify(first));
    await page.click('#chart-curves button:has-text("show all")');
    const all = await styles();
    check(all.length === 30 && new Set(all.map(String)).size === 30, 'shown together, no two have one colour and marker', JSON.stringify(all));
    const drawn = await page.evaluate(() => new Set(Array.from(document.querySelectorAll('#chart-curves svg .mark-symbol path')).map((p) => p.__data__)
      .filter((i) => i.fill && i.opacity > 0).map((i) => `${i.fill} ${i.shape}`)).size);
    check(drawn === 30, 'and in the chart itself', drawn);
    await page.fill('#chart-curves .filter', names[3].toUpperCase());
    const left = () => page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves .key[data-series]')).filter((k) => k.offsetParent).map((k) => k.dataset.series).join());
    const wanted = names.filter((n) => n.toLowerCase().includes(names[3].toLowerCase())).join();
    check(await left() === wanted && wanted.split(',').length < 30, 'the filter leaves the names that have its text', `${await left()}; ${wanted}`);
    await page.click('#chart-curves button:has-text("only these")');
    check((await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves .key[aria-pressed="true"]'), (k) => k.dataset.series).join())) === wanted, 'only these are drawn', wanted);
    await page.click('#classes [data-value="effect"]');
    const g = contents(made.get('many'))['layer1.cell'], order = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-classes svg .role-axis-label text'), (t) => t.textContent).filter((t) => !/^\d+$/.test(t)));
    const effect = (name) => { const x = g.gain_ratio[names.indexOf(name)].filter((v) => v > 0); return x.reduce((sum, v) => sum + Math.abs(Math.log(v)), 0) / x.length; };
    check(order.length === 29 && order.every((n, i) => !i || effect(order[i - 1]) >= effect(n) - 1e-9), 'classes sorted by effect', order.map((n) => [n, effect(n)]).join(' '));
    if (colorScheme === 'light') await shot(page, 'many-1600-light');
    await page.emulateMedia({ media: 'print' });
    check(!(await page.isVisible('#chart-curves .filter')) && await page.isVisible('#chart-curves .key[aria-pressed="true"]'), 'printed: a legend without its filter');
    check(page.complaints.length === 0, 'no complaint', page.complaints.join(' | '));
    await page.context().close();
  }
}

// The triangle: its numbers, and orange for what raises a score, blue for what lowers it; the table of it.
async function showNumbers(page, shown, width, colorScheme) {
  const cells = () => page.evaluate(() => Array.from(document.querySelectorAll('.plot g[data-row]'), (g) => [Number(g.dataset.row),
    Array.from(g.querySelectorAll('text.value'), (t) => t.textContent), Array.from(g.querySelectorAll('rect.cell'), (r) => r.getAttribute('fill').match(/\d+/g).map(Number))]));
  const T = shown.words.length, most = Math.max(...shown.score_effect.flat().map(Math.abs)), wrong = [];
  for (const [s, , fills] of await cells()) fills.forEach(([r, , b], i) => {
    const x = shown.score_effect[s + i][s];
    if (Math.abs(x) > 0.3 * most && (x > 0) !== (r > b)) wrong.push(`${s} ${i}: ${x} ${r} ${b}`);
  });
  check(wrong.length === 0, `${width} px ${colorScheme}: a score that rises is orange, one that falls blue`, wrong.join('; '));
  await page.click('[data-value="left_frobenius"]');
  for (const [s, texts] of await cells()) texts.forEach((text, i) => {
    const x = shown.left_frobenius[s + i][s];
    if (!(Math.abs(Number(text) - x) < (x < 9.9 ? 0.0051 : 0.051) || x < 0.005)) wrong.push(`${s} ${i}: ${x} ${text}`);
  });
  check(wrong.length === 0, 'each cell has its number', wrong.join('; '));
  const [event] = await Promise.all([page.waitForEvent('download'), page.click('#csv')]);
  const [head, ...rows] = readFileSync(await event.path(), 'utf8').trim().split('\r\n').map((l) => l.split(','));
  const at = (row, name) => row[head.indexOf(name)];
  check(rows.length === T * (T + 1) / 2 && rows.every((r) => {
    const s = at(r, 'read_position') - 1, t = at(r, 'now_position') - 1;
    return at(r, 'read') === shown.words[s].text && at(r, 'now') === shown.words[t].text && ['left_frobenius', 'gain_spectral', 'score_effect'].every((key) => near(Number(at(r, key)), shown[key][t][s], 1e-4))
      && shown.units.every((u) => near(Number(at(r, `unit_${u.unit}`)), u.gain[t][s], 1e-4) && near(Number(at(r, `unit_${u.unit}_value`)), u.value[t], 1e-4));
  }), 'the CSV has each pair of words once', `${head} ${rows[0]}`);
  await page.click('[data-value="score_effect"]');
}

/* Single units: their values below the triangle, in colour by sign; their gains as views. */
async function showUnits(page, shown, width) {
  const wrong = [], traces = await page.evaluate(() => Array.from(document.querySelectorAll('.plot [data-unit]'), (g) => ({ unit: Number(g.dataset.unit), label: g.querySelector('text').textContent,
    titles: Array.from(g.querySelectorAll('title'), (t) => t.textContent), texts: Array.from(g.querySelectorAll('text.value'), (t) => t.textContent),
    signs: Array.from(g.querySelectorAll('rect'), (r) => r.getAttribute('fill').match(/\d+/g).map(Number)).map(([r, , b]) => r - b) })));
  const most = Math.max(...shown.units.flatMap((u) => u.value.map(Math.abs)));
  shown.units.forEach(({ unit, value }, i) => value.forEach((v, t) => {
    const of = traces[i];
    if (of.unit !== unit || of.label !== `unit ${unit}, value` || !shows(of.titles[t].split(': ').at(-1), v) || (Math.abs(v) > 0.3 * most && (v > 0) !== (of.signs[t] > 0))
      || (width > 1000 && Math.abs(v) > 0.005 && Math.abs(printed(of.texts[t]) - v) > 0.0051)) wrong.push(`${unit} ${t}: ${v} ${JSON.stringify(of)}`);
  }));
  check(traces.length === 2 && wrong.length === 0, `${width} px: the values of single units`, wrong[0]);
  await page.click('[data-value="unit_2"]');
  const [, { gain }] = shown.units, last = await page.textContent('.caption'), said = /At the last word, “.*”: (\S+)\.$/.exec(last), chosen = await page.evaluate(() => Number(document.querySelector('.word[aria-pressed="true"]').dataset.word));
  check(said && shows(said[1], gain[5][chosen]), 'the gain of a unit is a view', `${last} ${gain[5][chosen]}`);
  check(/how sensitive unit 2 is there/.test(await page.textContent('#meaning')), 'the introduction tells of the unit');
  await page.click('[data-value="score_effect"]');
}

async function testShow() {
  const corpus = join(folder, 'c.txt'), model = join(folder, 'm.safetensors'), html = join(folder, 'show.html');
  writeFileSync(corpus, 'the keys to the cabinet are on the table\nthe key to the cabinets is on the table\n'.repeat(40));
  execFileSync(program, ['train', corpus, '--valid', corpus, '--epochs', '3', '--embedding-size', '8', '--hidden-size', '16', '--batch', '4', '--steps', '10', '--init', '0.3', '--quiet', '-o', model]);
  execFileSync(program, ['show', model, '--text', 'the keys to the <img> cabinet', '--contrast', 'are/is', '--units', '9,2', '-o', html]);
  const shown = JSON.parse(execFileSync(program, ['show', model, '--text', 'the keys to the <img> cabinet', '--contrast', 'are/is', '--units', '9,2', '--json'], { encoding: 'utf8' })).sentences[0];
  for (const [width, colorScheme] of [[1600, 'light'], [390, 'dark']]) {
    const page = await open(html, { viewport: { width, height: 844 }, colorScheme });
    const left = (t) => page.textContent(`[data-word="${t}"] small`);
    await page.click('[data-word="1"]');
    const texts = await Promise.all([0, 1, 3, 5].map(left));
    check(texts[0] === '' && texts[1] === '1.00', `${width} px: a click on a word: itself 1, before it nothing`, texts);
    check(Math.abs(Number(texts[3]) - shown.left_frobenius[5][1]) < 0.006 || shown.left_frobenius[5][1] < 0.005, 'what is left at the last word is the JSON\'s', `${texts[3]} ${shown.left_frobenius[5][1]}`);
    await page.keyboard.press('ArrowRight');
    check(await left(1) === '' && await left(2) === '1.00', 'the arrow key goes to the next word');
    await page.click('[data-value="score_effect"]');
    check((await page.textContent('.caption')).includes('logit(are) - logit(is)'), 'the score\'s view');
    await showNumbers(page, shown, width, colorScheme);
    check(/contributes to logit\(are\) - logit\(is\)/.test(await page.textContent('#meaning')), 'the introduction tells of the score');
    check(await page.evaluate(() => document.querySelectorAll('.plot [data-row] rect.cell').length) === 21, 'the triangle is drawn');
    await showUnits(page, shown, width);
    check(await overflow(page) <= 0, `${width} px: no horizontal scrolling`, await overflow(page));
    await shot(page, `show-${width}-${colorScheme}`);
    check(page.complaints.length === 0, 'show: no complaint', page.complaints.join(' | '));
    await page.context().close();
  }
}

/* The table of single units: the run file's numbers, whatever it is sorted by. */
async function testUnits(page, g) {
  const H = g.unit_gain[0][0].length, D = g.unit_gain[0].length;
  const read = () => page.evaluate(() => Array.from(document.querySelectorAll('#units tbody tr')).map((tr) => Array.from(tr.cells).map((c) => c.textContent)));
  const sizes = [(u) => u, (u) => g.unit_gain[0][0][u], (u) => g.unit_gain[0][D - 1][u], (u) => g.unit_gain[0][D - 1][u] / g.unit_gain[0][0][u], (u) => g.unit_property_gain[0][0][1][u],
    (u) => g.unit_self_gain[D - 1][u], (u) => (g.unit_self_half_life[u] === null ? 1e9 + g.unit_self_gain[D - 1][u] : g.unit_self_half_life[u])];
  const wanted = (k, down) => Array.from({ length: H }, (_, u) => u).sort((a, b) => (down ? -1 : 1) * (Math.abs(sizes[k](a)) - Math.abs(sizes[k](b))));
  const order = async (k, down) => {
    const rows = await read();
    check(rows.map((r) => r[0]).join() === wanted(k, down).join(), `units by column ${k}`, rows.map((r) => r[0]).join());
    for (const row of rows) {
      const u = Number(row[0]);
      spanOf((ok, ...what) => check(ok, 'a gain of a unit', what.join(' ')), row[2], ...['', '_low', '_high'].map((suffix) => g[`unit_gain${suffix}`][0][D - 1][u]), 'unit_gain', row.join('|'));
      spanOf((ok, ...what) => check(ok, 'a gain of a unit along a property', what.join(' ')), row[4], ...['', '_low', '_high'].map((suffix) => g[`unit_property_gain${suffix}`][0][0][1][u]), 'unit_property_gain', row.join('|'));
      spanOf((ok, ...what) => check(ok, 'a self gain of a unit', what.join(' ')), row[5], ...['', '_low', '_high'].map((suffix) => g[`unit_self_gain${suffix}`][D - 1][u]), 'unit_self_gain', row.join('|'));
      if (g.unit_self_half_life[u] === null) check(row[6] === `above ${D - 1}`, 'a self gain that is never half', row.join('|'));
      else spanOf((ok, ...what) => check(ok, 'the half-life of a self gain', what.join(' ')), row[6], ...['', '_low', '_high'].map((suffix) => g[`unit_self_half_life${suffix}`][u]), 'unit_self_half_life', row.join('|'));
    }
  };
  const missing = ['unit_gain', 'unit_property_gain'].map((key) => { const low = (key === 'unit_gain' ? g.unit_gain_low[0][D - 1] : g.unit_property_gain_low.flatMap((p) => p[0][1])); return [low.filter((x) => x === null).length, low.length]; });
  const note = await page.textContent('#units p.mute');
  check(missing.every(([n, all]) => !n || (note.includes(`No interval is given at ${n} of ${all} values (`) && !note.includes('no reason stored'))) && (missing.some(([n]) => n) || !note.includes('No interval')), 'why units have no interval', `${note} ${missing}`);
  await order(2, true);
  for (const k of [4, 0, 5, 6, 3]) {
    await page.click(`#units thead th:nth-child(${k + 1}) button`);
    await order(k, true);
  }
  await page.click('#units thead th:nth-child(4) button');
  await order(3, false);
  check(await page.getAttribute('#units thead th:nth-child(4)', 'aria-sort') === 'ascending', 'the sorted column is said');
}

/* Chosen pairs of words: the curves and the table are the run file's; a run without pairs has no such section. */
async function testPairs(plain) {
  const corpus = join(folder, 'p.conllu'), model = join(folder, 'p.safetensors'), nc = join(folder, 'pairs.nc');
  const sentences = Array.from({ length: 120 }, (_, s) => Array.from({ length: 5 }, (_, i) => {
    const noun = i === 1 || (i === 2 && s % 3 === 0);
    return [i + 1, `w${(7 * s + 3 * i * i) % 23}`, '_', noun ? 'NOUN' : 'X', '_', noun ? `Number=${(s + i) % 2 ? 'Sing' : 'Plur'}` : '_', i === 1 ? 4 : 0, i === 1 ? 'nsubj' : 'x', '_', '_'].join('\t');
  }).join('\n'));
  writeFileSync(corpus, `${sentences.join('\n\n')}\n\n`);
  writeFileSync(join(folder, 'positions'), '0 2 <b>& mine\n12 10 <b>& mine\n');
  execFileSync(program, ['train', corpus, '--epochs', '1', '--embedding-size', '4', '--hidden-size', '6', '--batch', '4', '--steps', '10', '--quiet', '-o', model]);
  execFileSync(program, ['analyze', model, corpus, '-d', '6', '--pairs', 'subject-verb', '--pairs', join(folder, 'positions'), '--units', '--property', 'number=Number=Plur-Number=Sing',
    '-q', '-o', nc], { stdio: 'ignore' });
  const all = contents(nc), g = all['layer1.cell'], labels = all[''].pair_label;
  const page = await open(report('pairs.html', nc));
  check(labels.join() === 'subject-verb,subject-verb, attractor,subject-verb, no attractor,<b>& mine', 'labels', labels.join());
  for (const key of ['pair_gain_ratio', 'pair_gain', 'pair_other_gain', 'pair_change_ratio', 'pair_change']) {
    await page.click(`#pairs [data-value="${key}"]`);
    const marks = (await drawn(page, 'chosen-pairs')).marks.filter((m) => m.type === 'symbol' && m.exact !== null && m.exact !== undefined);
    const wrong = marks.filter((m) => !near(m.exact, g[key][labels.indexOf(m.series)][m.delay], 1e-4));
    check(marks.length > 0 && wrong.length === 0, `${key}: points are the run file's`, `${marks.length} ${JSON.stringify(wrong[0])}`);
  }
  const rows = await page.evaluate(() => Array.from(document.querySelectorAll('#pairs tbody tr')).map((tr) => Array.from(tr.cells).map((c) => c.textContent)));
  check(rows.length === labels.length, 'a row for each label', rows.length);
  rows.forEach((row, l) => {
    check(row[0] === labels[l] && Number(row[1].replace(/,/g, '')) === g.pair_count[l].reduce((a, b) => a + b, 0), 'label and pairs', row.join('|'));
    ['pair_gain', 'pair_other_gain', 'pair_gain_ratio', 'pair_change', 'pair_other_change', 'pair_change_ratio'].forEach((key, k) =>
      spanOf((ok, ...what) => check(ok, 'a value of the table', what.join(' ')), row[2 + k], ...['', '_low', '_high'].map((suffix) => g[`${key}_all${suffix}`][l]), key, row.join('|')));
  });
  const note = await page.textContent('#pairs p.mute');
  check(/Left out: 1 reversed\./.test(note), 'what is left out is said', note);
  await testUnits(page, g);
  const facts = await page.textContent('#facts');
  check(facts === `p.safetensors on p.conllu; lstm, 1 layer; ${all[''].class_tokens[0]} tokens; delays 0 to 5; state carried over sentences`, 'what the run is of', facts);
  check(page.complaints.length === 0, 'pairs: no complaint', page.complaints.join(' | '));
  await shot(page, 'pairs');
  await page.context().close();
  execFileSync(program, ['analyze', model, corpus, '-d', '1', '--units', '--property', 'number=Number=Plur-Number=Sing', '-q', '-o', nc.replace('pairs', 'one')], { stdio: 'ignore' });
  const one = await open(report('one-delay.html', nc.replace('pairs', 'one')));
  const heads = await one.evaluate(() => Array.from(document.querySelectorAll('#units thead th'), (t) => t.textContent));
  check(heads.filter((t) => /delay 0/.test(t)).length === 2 && /^gain at delay 0/.test(heads[1]) && /^along number/.test(heads[2]) && heads.length === 3, 'one delay: one column of its gain', heads.join('|'));
  await one.context().close();
  const without = await open(report('report.html', plain));
  check(!(await without.isVisible('#pairs')) && without.complaints.length === 0, 'a run without pairs has no such section', without.complaints.join(' | '));
  await without.context().close();
}

// ---- the page of minimal pairs ----

const HOSTILE = ['__proto__', 'constructor', '<img src=x onerror=alert(1)>', 'a|b'];

/* A model and a suite of its words: conditions and roles with names that are no names; what the program writes of it. */
function makeSuite() {
  const corpus = join(folder, 's.txt'), model = join(folder, 's.safetensors'), file = join(folder, 'suite.tsv'), html = join(folder, 'suite.html');
  writeFileSync(corpus, 'the keys to the cabinet are here\nthe key to the cabinets is here\n'.repeat(30));
  execFileSync(program, ['train', corpus, '--epochs', '2', '--embedding-size', '6', '--hidden-size', '8', '--batch', '4', '--steps', '10', '--init', '0.4', '--quiet', '-o', model]);
  const nouns = [['key', 'keys'], ['cabinet', 'cabinets'], ['<b>', 'keys']], lines = ['good\tbad\tcondition\trole:subject\trole:__proto__'];
  for (let i = 0; i < 130; i++) {
    const n = i % 2, [s, o] = [nouns[i % 3][n], nouns[(i >> 1) % 3][(i >> 2) % 2]], verb = ['is', 'are'], own = i % 9 === 4;
    const end = i % 5 ? 'here' : 'to the key', head = own ? `the ${s}` : `the ${s} to the ${o}`;
    lines.push(i % 41 === 7 ? `${head} zip here\t${head} zap here\t${HOSTILE[i % 4]}\t2\t` : `${head} ${verb[n]} here\t${head} ${verb[1 - n]} ${end}\t${HOSTILE[i % 4]}\t2\t${own ? '' : 5}`);
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
  const pairs = (...args) => execFileSync(program, ['pairs', model, file, '-q', '--path', '4', ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });
  pairs('-o', html);
  return { html, suite: JSON.parse(pairs('--json')), items: csvRows(pairs('--items', '-')), words: csvRows(pairs('--words', '-')) };
}

function csvRows(text) {
  const lines = text.split('\n').filter(Boolean).map((l) => Array.from(l.matchAll(/(?:^|,)("(?:[^"]|"")*"|[^,]*)/g), (m) => (m[1].startsWith('"') ? m[1].slice(1, -1).replace(/""/g, '"') : m[1])));
  return lines.slice(1).map((cells) => Object.fromEntries(cells.map((c, i) => [lines[0][i], c])));
}

const cellsOf = (page, label) => page.evaluate((l) => Array.from(document.querySelectorAll(`table[aria-label="${l}"] tbody tr`), (tr) => Array.from(tr.cells, (c) => c.textContent)), label);
const percentOf = ({ value: v, low, high }) => [v, low, high].map((x) => (x === null ? null : 100 * x));

/* Charts and tables of conditions and roles, and the sentences above them: the numbers of --json. */
async function suiteNumbers(page, suite) {
  const bad = [], expect = (ok, ...detail) => { if (!ok && bad.length < 5) bad.push(detail.join(' ')); };
  const whole = (text) => Number(text.replace(/,/g, '')), [all] = suite.conditions, roles = all.roles.map((r) => r.role);
  const percents = (cell, x, what) => (x.value === null ? expect(cell === '–', what, cell) : spanOf(expect, cell.replace(' %', ''), ...percentOf(x), what));
  const conditions = await cellsOf(page, 'accuracy and D by condition');
  expect(conditions.map((r) => r[0]).join('|') === suite.conditions.map((c) => c.condition).join('|'), 'conditions', conditions.map((r) => r[0]));
  conditions.forEach((row, i) => {
    const c = suite.conditions[i];
    [['pairs', 1], ['right', 3], ['ties', 4], ['left_out', 6], ['one_unknown', 7]].forEach(([key, at]) => expect(whole(row[at]) === c[key], key, row.join('|')));
    percents(row[2], c.accuracy, 'accuracy');
    spanOf(expect, row[5], c.difference.value, c.difference.low, c.difference.high, 'D', row.join('|'));
  });
  const table = await cellsOf(page, 'attribution of D by role');
  expect(table.length === suite.conditions.length * roles.length, 'rows of roles', table.length);
  suite.conditions.flatMap((c) => c.roles.map((r) => [c.condition, r])).forEach(([condition, r], i) => {
    const row = table[i];
    expect(row[0] === condition && row[1] === r.role && whole(row[2]) === r.pairs && whole(row[5]) === r.both, 'role', row.join('|'));
    for (const [at, x] of [[3, r.attribution], [4, r.first_minus]]) spanOf(expect, row[at], x.value, x.low, x.high, 'attribution', row.join('|'));
  });
  const wanted = { accuracy: suite.conditions.map((c) => [c.condition, undefined, ...percentOf(c.accuracy)]), difference: suite.conditions.map((c) => [c.condition, undefined, ...Object.values(c.difference)]),
    roles: suite.conditions.flatMap((c) => c.roles.filter((r) => r.attribution.value !== null).map((r) => [c.condition, r.role, ...Object.values(r.attribution)])) };
  for (const [chart, rows] of Object.entries(wanted)) {
    const { marks } = await drawn(page, chart), points = marks.filter((m) => m.type === 'symbol'), bars = marks.filter((m) => m.type === 'rule');
    expect(points.length === rows.length, chart, 'points', points.length, rows.length);
    const [low, high] = [points.reduce((a, b) => (b.value < a.value ? b : a)), points.reduce((a, b) => (b.value > a.value ? b : a))], scale = (high.x - low.x) / (high.value - low.value);
    rows.forEach(([condition, role, value, from, to], i) => {
      const m = points.find((x) => x.name === condition && x.series === role);
      expect(m && near(m.value, value) && near(m.low, from) && near(m.high, to), chart, condition, role, value, m && m.value);
      expect(m && Math.abs(m.x - low.x - scale * (value - low.value)) < 1.5, chart, 'drawn at', m && m.x);
      const bar = m && bars.find((b) => b.name === condition && b.series === role && Math.abs(b.y - m.y) < 1.5 && b.right - b.left > 0.5 && Math.abs(b.right - b.left - scale * (to - from)) < 3);
      expect(bar && Math.abs((bar.left - low.x) - scale * (from - low.value)) < 3, chart, 'interval of', condition, role, i);
    });
    const saved = csvRows((await download(page, chart, 'csv')).toString().replace(/\r/g, ''));
    expect(saved.filter((r) => r.value !== '').length === rows.length && rows.every(([condition, role, v]) => saved.some((r) => r.condition === condition && (role === undefined || r.role === role) && equal(r.value, v))), chart, 'CSV', JSON.stringify(saved[0]));
  }
  const text = await page.textContent('#summary'), lead = /in (\S+) of (\S+) pairs(?:, and the same to both in (\S+))?: accuracy (\S+) % \((\S+) to (\S+)\)\. (?:That is (above|below) chance|Chance, 50 %, is within)/.exec(text);
  expect(lead && whole(lead[1]) === all.right && whole(lead[2]) === all.pairs && Number(lead[3] || 0) === all.ties && percentOf(all.accuracy).every((x, i) => shows(lead[4 + i], x)), 'the first sentence', text.slice(0, 200));
  expect(lead && lead[7] === (all.accuracy.low > 0.5 ? 'above' : all.accuracy.high < 0.5 ? 'below' : undefined), 'above or below chance', lead && lead[0]);
  const d = /: (\S+) \((\S+) to (\S+)\) nats on average/.exec(text), gap = /up to (\S+) % of it; the largest gap is (\S+) nats/.exec(text), unknown = /([\d,]+) of ([\d,]+) words .*Left out: (\d+) pairs?/.exec(text);
  expect(d && Object.values(all.difference).every((x, i) => shows(d[1 + i], x)), 'the sentence on D', d && d[0]);
  expect(gap && shows(gap[1], 100 * suite.gap, 2) && shows(gap[2], suite.largest_gap, 2), 'completeness', gap && gap[0]);
  expect(unknown && whole(unknown[1]) === suite.unknown_words && whole(unknown[2]) === suite.words && Number(unknown[3]) === all.left_out, 'unknown words', unknown && unknown[0]);
  const ranked = suite.conditions.slice(1).sort((a, b) => b.accuracy.value - a.accuracy.value), ends = /Highest accuracy: (.*) (\S+) % \(.*\); lowest: (.*) (\S+) % \(/.exec(text);
  expect(ends && ends[1] === ranked[0].condition && shows(ends[2], 100 * ranked[0].accuracy.value) && ends[3] === ranked.at(-1).condition && shows(ends[4], 100 * ranked.at(-1).accuracy.value), 'highest and lowest', ends && ends[0]);
  for (const r of all.roles) expect(text.includes(`${r.role} ${(await cellsOf(page, 'attribution of D by role')).find((row) => row[0] === 'all' && row[1] === r.role)[3]}`), 'attribution in the summary', r.role);
  check(bad.length === 0, 'charts, tables and sentences are those of --json', bad.join('\n       '));
}

/* Single pairs as drawn: [line, condition, D, log p good, log p bad, unknown, [[good, bad, attribution, colour]]] */
const pairsOn = (page) => page.evaluate(() => Array.from(document.querySelectorAll('#items tbody'), (body) => {
  const [condition, ...rest] = Array.from(body.rows[0].cells, (c) => c.textContent);
  return { condition, numbers: rest, slots: Array.from(body.querySelectorAll('.slot'), (s) => {
    const forms = Array.from(s.querySelectorAll('span'), (x) => x.textContent), rgb = (s.style.background.match(/\d+/g) || []).map(Number);
    return { good: forms[0], bad: forms.at(-1), value: s.querySelector('small').textContent, title: s.title, roles: s.dataset.roles, sign: rgb.length ? rgb[0] - rgb[2] : 0 };
  }) };
}));

async function suitePairs(page, { suite, items, words }) {
  const bad = [], expect = (ok, ...detail) => { if (!ok && bad.length < 5) bad.push(detail.join(' ')); };
  const of = new Map(items.map((x) => [x.line, x])), more = page.locator('#items button:has-text("more")');
  const size = (x) => (x.left_out === '1' ? null : Number(x.difference)), byD = [...items].sort((a, b) => (size(a) === null) - (size(b) === null) || size(a) - size(b) || a.line - b.line);
  expect((await pairsOn(page)).length === 50, 'fifty at first');
  while (await more.count()) await more.click();
  const shown = await pairsOn(page);
  expect(shown.map((x) => x.numbers[0]).join() === byD.map((x) => x.line).join(), 'lowest D first', shown.slice(0, 4).map((x) => x.numbers[0]), byD.slice(0, 4).map((x) => x.line));
  for (const x of shown) {
    const row = of.get(x.numbers[0]), own = words.filter((w) => w.line === row.line), most = Math.max(...own.map((w) => Math.abs(w.attribution)));
    expect(x.condition === row.condition && x.numbers[4] === row.unknown_words, 'condition', JSON.stringify(row));
    row.left_out === '1' ? expect(x.numbers[1] === 'left out' && x.slots.every((s) => s.sign === 0), 'left out', x.numbers) : [['difference', 3], ['log_p_good', 4], ['log_p_bad', 4]].forEach(([key, n], i) => expect(shows(x.numbers[1 + i], Number(row[key]), n), key, x.numbers, row[key]));
    for (const which of ['good', 'bad']) expect(x.slots.map((s) => s[which]).filter((w) => w !== '–' && w !== '<eos>').join(' ') === row[which], which, x.slots.map((s) => s[which]).join(' '));
    if (row.left_out === '1') continue;
    expect(x.slots.length === own.length, 'words of line', row.line, x.slots.length, own.length);
    const rest = [...own];
    for (const s of x.slots) {
      const i = rest.findIndex((w) => (w.good || '–') === s.good && (w.bad || '–') === s.bad && (w.attribution === '' ? s.value === '' : shows(s.value.split(' ')[0], Number(w.attribution), 2)) && w.role.split(' ').join(', ') === (s.roles || ''));
      expect(i >= 0, 'word', JSON.stringify(s), row.line);
      const [w] = i < 0 ? [{}] : rest.splice(i, 1), a = Number(w.attribution);
      expect(Math.abs(a) < 0.2 * most || (a > 0) === (s.sign > 0), 'orange is in favour', JSON.stringify(s), a);
      expect(w.attribution === '' || shows(s.title.split(' ')[0], a), 'title', s.title, a);
    }
  }
  for (const [heading, key, down] of [[2, 'line', false], [2, 'line', true], [5, 'log_p_bad', false], [3, 'difference', false], [3, 'difference', true]]) {
    await page.click(`#items thead th:nth-child(${heading}) button`);
    const first = (await pairsOn(page)).map((x) => Number(of.get(x.numbers[0])[key] || NaN)).filter(Number.isFinite);
    expect(first.every((v, i) => !i || (down ? first[i - 1] >= v : first[i - 1] <= v)), 'sorted by', key, down, first.slice(0, 5));
  }
  const only = async (what, want) => {
    const lines = (await pairsOn(page)).map((x) => x.numbers[0]).sort();
    expect(lines.join() === items.filter(want).map((x) => x.line).sort().join(), what, lines.length, items.filter(want).length);
  };
  await page.locator('#items .choice select').nth(1).selectOption('wrong');
  while (await more.count()) await more.click();
  await only('wrong ones', (x) => x.difference !== '' && Number(x.difference) < 0);
  const own = items.find((x) => Number(x.difference) < 0).condition;
  await page.locator('#items .choice select').nth(0).selectOption({ label: own });
  await only('wrong ones of a condition', (x) => Number(x.difference) < 0 && x.condition === own);
  await page.locator('#items .choice select').nth(0).selectOption({ label: '__proto__' });
  await page.locator('#items .choice select').nth(1).selectOption('all');
  await page.fill('#items .filter', 'TO THE KEY');
  expect((await pairsOn(page)).length > 0, 'some have these words');
  await only('with words', (x) => x.condition === '__proto__' && /to the key/.test(`${x.good}\n${x.bad}`));
  check(bad.length === 0, 'single pairs, sorted and filtered, are those of --items and --words', bad.join('\n       '));
  check(suite.pairs === items.length, 'all pairs are tested', items.length);
}

async function testSuite() {
  const made = makeSuite();
  for (const [width, colorScheme] of [[1600, 'light'], [390, 'dark']]) {
    const page = await open(made.html, { viewport: { width, height: 900 }, colorScheme });
    check(await overflow(page) <= 0, `pairs, ${width} px: nothing sticks out`, await overflow(page));
    await shot(page, `suite-${width}-${colorScheme}`);
    if (width === 1600) {
      const facts = `${await page.textContent('#subject')}; ${await page.textContent('#facts')}`;
      check(facts === 'suite.tsv, s.safetensors; lstm, 1 layer; 130 pairs; scored: all words; integrated gradients, 4 points', 'what the page is of', facts);
      await suiteNumbers(page, made.suite);
      await suitePairs(page, made);
    }
    check(page.complaints.length === 0, `pairs, ${width} px: no complaint`, page.complaints.join(' | '));
    await page.context().close();
  }
  const page = await open(made.html, { colorScheme: 'dark' });
  await page.emulateMedia({ media: 'print' });
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  const printedPage = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, document.querySelector('#items .controls').offsetHeight, document.querySelector('#chart-accuracy svg').getBoundingClientRect().width]);
  check(printedPage[0] === 'rgb(255, 255, 255)' && printedPage[1] === 0 && printedPage[2] <= 670, 'printed: light, without controls, as wide as paper', printedPage.join(' '));
  await page.context().close();
}

try {
  const tests = { suite: testSuite, pairs: testPairs, numbers: testNumbers, report: testReport, look: testDarkAndNarrow, hostile: testHostile, several: testSeveralAndPlain, keys: testKeys, many: testManyClasses, show: testShow };
  for (const name of wanted) await tests[name](['many', 'hostile', 'keys', 'show', 'suite'].includes(name) ? null : make('full', 'run.nc'));
} catch (error) {
  check(false, 'the test itself', error.stack);
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
// The names again at the end: a log that is cut keeps its end.
console.log(failed.length ? `${failed.length} failed:\n  ${failed.join('\n  ')}` : 'all passed');
process.exit(failed.length ? 1 : 0);
