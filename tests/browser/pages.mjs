/* SPDX-License-Identifier: MIT */
// The pages of `report` and `show` in a real browser: drawn, operated, compared with the run file, photographed.
//
// usage: node pages.mjs STATEGRAD SOURCE_ROOT FOLDER_FOR_SCREENSHOTS [report|look|hostile|several|many|show]
// Prints one line a check; exit 1 when one failed, 77 when there is no browser or no playwright-core.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [, , program, root, artefacts, only] = process.argv;
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

let failures = 0;
function check(ok, what, detail = '') {
  if (!ok) failures++;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}${ok || detail === '' ? '' : `: ${detail}`}`);
}

const folder = mkdtempSync(join(tmpdir(), 'stategrad-browser-'));
mkdirSync(artefacts, { recursive: true });
const python = (...args) => execFileSync('/usr/bin/python3', args, { encoding: 'utf8' });
const make = (name, ...args) => {
  const path = join(folder, name);
  python(join(root, 'tests', 'helpers', 'make_run.py'), path, ...args);
  return path;
};
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
const CHARTS = ['curves', 'classes', 'spectrum', 'coherence', 'effective_rank', 'properties', 'words'];

const browser = await chromium.launch({ executablePath: browserPath, args: ['--headless', '--no-sandbox', '--disable-gpu',
  '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });

// A page whose every complaint is kept: console, exceptions, dialogs, requests that leave the disk.
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (m) => { if (m.type() !== 'log' && m.type() !== 'info') page.complaints.push(`${m.type()}: ${m.text()}`); });
  page.on('pageerror', (e) => page.complaints.push(`exception: ${e.message}`));
  page.on('dialog', (d) => { page.complaints.push(`dialog: ${d.message()}`); d.dismiss(); });
  page.on('request', (r) => { if (!/^(file|data|blob):/.test(r.url())) page.complaints.push(`request: ${r.url()}`); });
  const start = Date.now();
  await page.goto(`file://${path}`);
  await page.waitForSelector('html[data-open], html[data-ready]');
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

async function tooltip(page, chart, series, delay) {
  const place = await page.evaluate(([id, s, d]) => {
    for (const path of document.querySelectorAll(`#chart-${id} svg .mark-symbol path`)) {
      const item = path.__data__, datum = item && item.datum;
      if (datum && datum.series === s && datum.delay === d && item.tooltip) {
        path.scrollIntoView({ block: 'center' });
        const box = path.getBoundingClientRect();
        return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
      }
    }
    return null;
  }, [chart, series, delay]);
  if (!place) return null;
  await page.mouse.move(place.x - 3, place.y);
  await page.mouse.move(place.x, place.y);
  return page.evaluate(() => Object.fromEntries(Array.from(document.querySelectorAll('#tip dt')).map((t) => [t.textContent, t.nextSibling.textContent])));
}

async function download(page, chart, kind) {
  const [event] = await Promise.all([page.waitForEvent('download', { timeout: 20000 }), page.click(`#chart-${chart} [data-download="${kind}"]`)]);
  return readFileSync(await event.path());
}

async function testReport(nc) {
  const page = await open(report('report.html', nc));
  console.log(`       report.html opened in ${page.opened} ms, all charts drawn in ${page.drawn} ms`);
  for (const chart of CHARTS) check(await marks(page, chart) > 5, `${chart} is drawn`, `${await marks(page, chart)} marks`);
  check(await overflow(page) <= 0, '1600 px: nothing sticks out', await overflow(page));
  const summary = await page.textContent('#summary');
  check(/Half of what a word does/.test(summary) && /power law/.test(summary) && /Best remembered/.test(summary), 'the summary has its sentences', summary);
  await shot(page, 'report-1600-light');

  const before = await lines(page, 'curves');
  await page.click('#chart-curves [data-series="verb"]');
  check(await lines(page, 'curves') === before - 1, 'the legend hides a class', `${before} -> ${await lines(page, 'curves')}`);
  check(await page.getAttribute('#chart-curves [data-series="verb"]', 'aria-pressed') === 'false', 'its button says so');
  await page.click('#chart-curves [data-series="verb"]');
  check(await lines(page, 'curves') === before, 'and shows it again');

  const dashed = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves svg .mark-line path')).filter((p) => p.getAttribute('stroke-dasharray') === '7,4'
    && p.getBoundingClientRect().height > 3).length);
  check(dashed === 1, 'the untrained model is one dashed line', dashed);
  const reference = await page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves svg .mark-symbol path'))
    .map((p) => p.__data__.datum).find((d) => d.reference && d.delay === 2 && d.series === 'all'));
  const untrained = value(nc, 'singular_value', 0, 2, 0, 'untrained.layer1.cell'), first = value(nc, 'singular_value', 0, 0, 0);
  check(reference && near(reference.exact, untrained) && near(reference.value, untrained * first / value(nc, 'singular_value', 0, 0, 0, 'untrained.layer1.cell')),
    'drawn from where the trained one begins', JSON.stringify(reference));

  await page.click('#chart-curves button:has-text("only all")');
  const tip = await tooltip(page, 'curves', 'all', 3), sigma = value(nc, 'singular_value', 0, 3, 0);
  check(tip && near(Number(tip.value), sigma), 'the tooltip shows the value of the run file', JSON.stringify(tip) + sigma);
  check(tip && tip.pairs.replace(/,/g, '') === String(value(nc, 'pairs', 0, 3)), 'and its pairs', JSON.stringify(tip));
  await page.click('#chart-curves button:has-text("show all")');

  await page.focus('#chart-curves .plot');
  for (let i = 0; i < 5; i++) await page.keyboard.press(i ? 'ArrowRight' : 'Home');
  const readout = await page.textContent('#chart-curves .readout'), shown = Number(/all\D*([\d.]+)/.exec(readout)[1]);
  check(/d = 4/.test(readout) && near(shown, value(nc, 'singular_value', 0, 4, 0)), 'arrow keys read the values', readout);

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
  check(!(await page.isVisible('.downloads')) && await page.isVisible('#chart-curves svg'), 'printed: charts without buttons');
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
    await shot(page, `report-${width}-${colorScheme}`);
    const axis = () => page.evaluate(() => document.querySelector('#chart-curves svg .role-axis-title text').getAttribute('fill'));
    const was = await axis();
    await page.click('#theme');
    check((await ground() < 200) === (colorScheme !== 'dark') && await axis() !== was, `${width} px: the button switches page and charts`);
    check(page.complaints.length === 0, `${width} px ${colorScheme}: no console error`, page.complaints.join(' | '));
    await page.context().close();
  }
}

async function testHostile() {
  const names = join(folder, 'names.json');
  const hostile = ['<script>alert(1)</script>', '"quoted" & \'single\'', 'مرحبا بالعالم', '🙂 emoji', 'x'.repeat(10000), '</style><img src=x onerror=alert(2)>', 'a\u2028b', '__proto__'];
  writeFileSync(names, JSON.stringify({ classes: hostile, properties: hostile.slice(0, 4), words: hostile }));
  const page = await open(report('hostile.html', make('<b>&\'.nc', '--classes', String(hostile.length + 1), '--names', names, '--baseline')), { viewport: { width: 390, height: 844 } });
  const text = await page.textContent('#settings');
  for (const name of hostile) check(text.includes(name), `shown as text: ${name.slice(0, 30)}`);
  check((await page.textContent('h1')).includes("<b>&'.nc"), 'a file name with markup is text');
  check(await page.evaluate(() => document.querySelectorAll('main script, main img').length) === 0, 'no element came from a name');
  check(await overflow(page) <= 0, 'a name of 10 kB does not widen the page', await overflow(page));
  for (const chart of CHARTS) check(await marks(page, chart) > 5, `${chart} is drawn`);
  await page.click('#chart-curves [data-series="__proto__"]');
  await shot(page, 'hostile-390');
  check(page.complaints.length === 0, 'hostile names: no complaint', page.complaints.join(' | '));
  await page.context().close();
}

async function testSeveralAndPlain(nc) {
  const page = await open(report('several.html', nc, make('other.nc', '--seed', '7', '--delays', '20', '--classes', '4')));
  check(await lines(page, 'curves') === 6 + 4, 'two runs overlaid: one line a class and run', await lines(page, 'curves'));
  await page.click('#tools [data-value="side"]');
  check(await page.evaluate(() => document.querySelectorAll('#chart-curves svg .role-scope.cell > g').length) === 2, 'side by side: two panels');
  check(await marks(page, 'properties') > 5 && await marks(page, 'classes') > 5, 'the other charts too');
  await shot(page, 'several-1600');
  check(page.complaints.length === 0, 'two runs: no complaint', page.complaints.join(' | '));
  await page.context().close();
  const plain = await open(report('plain.html', make('plain.nc', '--plain')));
  const missing = await plain.evaluate(() => Array.from(document.querySelectorAll('[data-missing]')).map((e) => e.dataset.missing));
  for (const key of ['rms', 'coherence', 'properties', 'words', 'decay_weight']) check(missing.includes(key), `what is absent is said: ${key}`, missing);
  check(await marks(plain, 'curves') > 5 && plain.complaints.length === 0, 'the rest is drawn', plain.complaints.join(' | '));
  await plain.context().close();
  const part = await open(report('part.html', make('part.nc', '--withheld', '--delays', '6', '--classes', '2')));
  const caption = await part.textContent('#chart-curves .caption');
  check(caption.includes('No interval is given at 3 of 12 values (class all, delay 3: too few pairs (and 1 more))'), 'withheld intervals are counted, with the reason', caption);
  await part.focus('#chart-curves .plot');
  for (let i = 0; i < 5; i++) await part.keyboard.press(i ? 'ArrowRight' : 'Home');
  const read = await part.textContent('#chart-curves .readout');
  check(/^d = 4all [\d.e-]+ \[not given\]\S+ [\d.e-]+ \[[\d.e-]+, [\d.e-]+\]$/.test(read), 'and named in the readout', read);
  await part.context().close();
  const one = await open(report('one.html', make('one.nc', '--plain', '--delays', '1', '--classes', '1')));
  check(one.complaints.length === 0, 'one delay, one class: no complaint', one.complaints.join(' | '));
  await one.context().close();
}

// Every shown class is told apart by colour and marker, those shown at first by colour alone.
async function testManyClasses() {
  const path = report('many.html', make('many.nc', '--classes', '30', '--delays', '24', '--embedding', '24', '--units', '24'));
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(path, { colorScheme });
    const styles = () => page.evaluate(() => Array.from(document.querySelectorAll('#chart-curves .key[aria-pressed="true"] svg')).map((s) =>
      [s.firstChild.getAttribute('stroke'), s.lastChild.getAttribute('d')]));
    const first = await styles();
    check(first.length === 8 && new Set(first.map(([colour]) => colour)).size === 8, `30 classes, ${colorScheme}: eight are shown at first, in eight colours`, JSON.stringify(first));
    await page.click('#chart-curves button:has-text("show all")');
    const all = await styles();
    check(all.length === 30 && new Set(all.map(String)).size === 30, 'shown together, no two have one colour and marker', JSON.stringify(all));
    const drawn = await page.evaluate(() => new Set(Array.from(document.querySelectorAll('#chart-curves svg .mark-symbol path')).map((p) => p.__data__)
      .filter((i) => i.fill && i.opacity > 0).map((i) => `${i.fill} ${i.shape}`)).size);
    check(drawn === 30, 'and in the chart itself', drawn);
    if (colorScheme === 'light') await shot(page, 'many-1600-light');
    check(page.complaints.length === 0, 'no complaint', page.complaints.join(' | '));
    await page.context().close();
  }
}

async function testShow() {
  const corpus = join(folder, 'c.txt'), model = join(folder, 'm.safetensors'), html = join(folder, 'show.html');
  writeFileSync(corpus, 'the keys to the cabinet are on the table\nthe key to the cabinets is on the table\n'.repeat(40));
  execFileSync(program, ['train', corpus, '--valid', corpus, '--epochs', '3', '--embedding-size', '8', '--hidden-size', '16', '--batch', '4', '--steps', '10', '--init', '0.3', '--quiet', '-o', model]);
  execFileSync(program, ['show', model, '--text', 'the keys to the <img> cabinet', '--contrast', 'are/is', '-o', html]);
  const shown = JSON.parse(execFileSync(program, ['show', model, '--text', 'the keys to the <img> cabinet', '--json'], { encoding: 'utf8' })).sentences[0];
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
    check(/part .* in logit\(are\) - logit\(is\)/.test(await page.textContent('#meaning')), 'the introduction tells of the score');
    check(await page.evaluate(() => document.querySelectorAll('.plot rect.cell').length) === 21, 'the triangle is drawn');
    check(await overflow(page) <= 0, `${width} px: no horizontal scrolling`, await overflow(page));
    await shot(page, `show-${width}-${colorScheme}`);
    check(page.complaints.length === 0, 'show: no complaint', page.complaints.join(' | '));
    await page.context().close();
  }
}

try {
  const nc = make('run.nc', '--baseline', '--states', '2', '--delays', '16', '--words', '200');
  const tests = { report: testReport, look: testDarkAndNarrow, hostile: testHostile, several: testSeveralAndPlain, many: testManyClasses, show: testShow };
  for (const [name, test] of Object.entries(tests)) if (!only || only === name) await test(nc);
} catch (error) {
  check(false, 'the test itself', error.stack);
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(failures ? `${failures} failed` : 'all passed');
process.exit(failures ? 1 : 0);
