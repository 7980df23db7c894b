/* SPDX-License-Identifier: MIT */
/* charts.js - a Vega-Lite specification made a chart of the page: theme, legend of buttons, tooltip, keyboard cursor,
 * downloads. A chart is given {spec, rows, ...} afresh by its section whenever a choice changes. */
'use strict';

/* Okabe and Ito's colours, with wine and olive (Tol) for the seventh and eighth; "all" takes the text colour and the
 * circle. The first eight differ in colour and in marker; a colour comes back with another marker: 64 series differ. */
const COLOURS = {
  light: ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#882255', '#999933'],
  dark: ['#5BB0E8', '#F08A4B', '#34C79B', '#E3A1C6', '#F2BC4A', '#8FD0F5', '#D9709B', '#C5C566'],
};
const STAR = 'M0,-1L0.29,-0.4L0.95,-0.31L0.48,0.15L0.59,0.81L0,0.5L-0.59,0.81L-0.48,0.15L-0.95,-0.31L-0.29,-0.4Z';
const SHAPES = ['square', 'triangle-up', 'diamond', 'cross', 'triangle-down', 'triangle-right', STAR, 'triangle-left'];
const SHAPE_PATHS = {
  circle: 'M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0',
  square: 'M-3.6,-3.6h7.2v7.2h-7.2Z',
  'triangle-up': 'M0,-4.4L4.6,3.6H-4.6Z',
  diamond: 'M0,-5L4,0L0,5L-4,0Z',
  cross: 'M-1.5,-4.4h3v2.9h2.9v3h-2.9v2.9h-3v-2.9h-2.9v-3h2.9Z',
  'triangle-down': 'M0,4.4L4.6,-3.6H-4.6Z',
  'triangle-right': 'M4.4,0L-3.6,4.6V-4.6Z',
  'triangle-left': 'M-4.4,0L3.6,4.6V-4.6Z',
  [STAR]: 'M0,-5.4L1.5,-2.1L5.1,-1.7L2.6,0.8L3.2,4.4L0,2.7L-3.2,4.4L-2.6,0.8L-5.1,-1.7L-1.5,-2.1Z',
};
const DASHES = [[1, 0], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2], [1, 4]];

/* The styles of the series by name. Those that are shown at first take theirs before the `later` ones: their colours differ. */
function seriesStyle(names, later, dark) {
  const own = names.filter((n) => n !== 'all'), rest = new Set(later);
  const turn = [...own.filter((n) => !rest.has(n)), ...own.filter((n) => rest.has(n))];
  const palette = COLOURS[dark ? 'dark' : 'light'], style = new Map();
  for (const name of names) {
    const i = turn.indexOf(name), round = Math.floor(i / palette.length);
    style.set(name, name === 'all' ? { colour: dark ? '#f2f2f2' : '#111111', shape: 'circle' }
      : { colour: palette[i % palette.length], shape: SHAPES[(i + round) % SHAPES.length] });
  }
  return style;
}

function vegaConfig(dark, forExport) {
  const ink = dark ? '#d9dce1' : '#22262b', faint = dark ? '#363b43' : '#e3e6ea', mute = dark ? '#a0a7b1' : '#57606a';
  const font = 'Helvetica, Arial, "Liberation Sans", sans-serif';
  return {
    background: forExport ? '#ffffff' : 'transparent',
    font,
    view: { stroke: null },
    axis: { labelColor: mute, titleColor: ink, gridColor: faint, domainColor: mute, tickColor: mute, labelFontSize: 11,
      titleFontSize: 12, titleFontWeight: 'normal', titlePadding: 8, labelLimit: 150 },
    legend: { disable: false, labelColor: mute, titleColor: ink, titleFontWeight: 'normal', labelFontSize: 11,
      titleFontSize: 11, gradientLength: 160, gradientThickness: 10, labelLimit: 220, symbolLimit: 40 },
    header: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontWeight: 'normal', labelFontWeight: 'bold' },
    title: { color: ink, fontWeight: 'bold', fontSize: 13, anchor: 'start', offset: 10 },
    rule: { color: mute },
  };
}

const tip = document.getElementById('tip');

function showTip(event, value) {
  if (!value || typeof value !== 'object') { tip.hidden = true; return; }
  const list = el('dl');
  for (const [key, text] of Object.entries(value)) {
    if (text === undefined || text === null || text === 'null' || text === 'undefined' || text === '') continue;
    list.append(el('dt', {}, key), el('dd', {}, shorten(String(text), 120)));
  }
  tip.replaceChildren(list);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const x = event.clientX + 14 + width > window.innerWidth ? event.clientX - 14 - width : event.clientX + 14;
  const y = event.clientY + 14 + height > window.innerHeight ? event.clientY - 14 - height : event.clientY + 14;
  tip.style.left = `${Math.max(4, x)}px`;
  tip.style.top = `${Math.max(4, y)}px`;
}

document.addEventListener('keydown', (event) => { if (event.key === 'Escape') tip.hidden = true; });

/* Puts the styles of the series (and of the lines: solid, dashed) into every encoding of a specification. numbers: see
 * numberNames. */
function applyStyle(node, colours, lines, numbers) {
  if (Array.isArray(node)) { node.forEach((n) => applyStyle(n, colours, lines, numbers)); return; }
  if (!node || typeof node !== 'object') return;
  const encoding = node.encoding || {};
  const names = Array.from(colours.keys()), domain = names.map((n) => numbers.series.get(n));
  if (encoding.color && encoding.color.field === 'series')
    encoding.color.scale = { domain, range: names.map((n) => colours.get(n).colour) };
  if (encoding.shape) encoding.shape.scale = { domain, range: names.map((n) => colours.get(n).shape) };
  if (encoding.strokeDash) {
    encoding.strokeDash.scale = { domain: lines.map((n) => numbers.line.get(n)), range: lines.map((_, i) => DASHES[i % DASHES.length]) };
    if (lines.length < 2) encoding.strokeDash.legend = null;
  }
  for (const key of ['layer', 'spec', 'hconcat']) if (node[key]) applyStyle(node[key], colours, lines, numbers);
}

/* Names come from files, and Vega makes them keys of plain objects, joined by "|": "constructor" would find what every object
 * has, "a" and "b|c" what belongs to "a|b" and "c". So it groups by numbers, and has the names for labels alone. */
const NAMED = { series: 'seriesNumber', line: 'lineNumber', run: 'runNumber', label: 'labelNumber' };

/* {field: Map of name to number}; the names of `first` come before those that only rows have. */
function numberNames(rows, first) {
  return Object.fromEntries(Object.keys(NAMED).map((field) =>
    [field, new Map(Array.from(new Set([...(first[field] || []), ...rows.map((r) => r[field])]), (name, i) => [name, i]))]));
}

/* Labels of an axis: equal ones, after cutting, must stay apart. */
function distinct(labels) {
  const seen = new Map();
  return labels.map((label) => {
    const n = (seen.get(label) || 0) + 1;
    seen.set(label, n);
    return n > 1 ? `${label} (${n})` : label;
  });
}

/* What labels an axis, a legend or a panel. */
function nameOf(field) {
  return `names.${field}[datum.value]`;
}

/* Channels that group by a name do so by its number; tooltips show the name. */
function groupByNumbers(node) {
  if (Array.isArray(node)) { node.forEach(groupByNumbers); return; }
  for (const [channel, encoding] of Object.entries(node.encoding || {})) {
    if (channel === 'tooltip' || !Object.hasOwn(NAMED, encoding.field)) continue;
    const guide = channel === 'x' || channel === 'y' ? 'axis' : channel === 'detail' ? null : 'legend';
    if (guide && encoding[guide] !== null) encoding[guide] = { ...encoding[guide], labelExpr: nameOf(encoding.field) };
    encoding.field = NAMED[encoding.field];
  }
  for (const key of ['layer', 'spec']) if (node[key]) groupByNumbers(node[key]);
}

const SPECS = {};
for (const script of document.querySelectorAll('script[data-spec]')) SPECS[script.dataset.spec] = JSON.parse(script.textContent);

const MANY_SERIES = 12; // more: the legend has a filter

/* Charts that share a name hide and show the same series together. */
const SHARED = new Map();

class Chart {
  /* options: id (file name of downloads), label (for screen readers), hint (shown until values are read), share: name, compact:
   * the legend lists only what is shown */
  constructor(options) {
    this.options = options;
    this.group = SHARED.get(options.share) || { hidden: new Set(), charts: [], started: false };
    if (options.share) SHARED.set(options.share, this.group);
    this.group.charts.push(this);
    this.cursor = -1;
    this.plot = el('div', { class: 'plot', tabindex: 0, role: 'group', 'aria-label': options.label });
    this.legend = el('div', { class: 'legend', role: 'group', 'aria-label': 'Shown series' });
    this.readout = el('p', { class: 'readout', 'aria-live': 'polite' });
    this.buttons = el('div', { class: 'downloads' });
    for (const kind of ['CSV', 'SVG', 'PNG']) {
      this.buttons.append(el('button', { type: 'button', 'data-download': kind.toLowerCase(),
        'aria-label': `Download ${options.label} as ${kind}`, onclick: () => this.save(kind.toLowerCase()) }, kind));
    }
    this.node = el('figure', { class: 'chart', id: `chart-${options.id}` }, this.plot, this.legend, this.readout,
      el('figcaption', {}, el('span', { class: 'caption' }), this.buttons));
    this.plot.addEventListener('keydown', (event) => this.key(event));
    this.plot.addEventListener('mouseleave', () => { tip.hidden = true; });
  }

  /* input: {spec: name, rows, series: [names], lines: [names], patch: f(spec), columns: [[field, title]], caption,
   * facet: number of panels side by side (0: one), cursor: true when rows have delays, unit: of the readout} */
  set(input) {
    this.input = input;
    this.node.querySelector('.caption').textContent = input.caption || '';
    if (input.series && !this.group.started) {
      this.group.started = true;
      for (const name of input.hidden || []) this.hidden.add(name);
    }
    this.draw();
  }

  get hidden() {
    return this.group.hidden;
  }

  specification(width, dark, forExport) {
    const { spec, rows, series, lines, patch, facet } = this.input;
    let s = structuredClone(SPECS[spec]);
    const shown = forExport && series ? series.filter((n) => !this.hidden.has(n)) : series;
    const numbers = numberNames(rows, { series, line: lines, run: this.input.runs });
    s.datasets = { rows: rows.map((r) => ({ ...r, ...Object.fromEntries(Object.entries(NAMED).map(([field, number]) => [number, numbers[field].get(r[field])])) })) };
    s.params = [...(s.params || []), { name: 'names', value: Object.fromEntries(Object.entries(numbers).map(([field, map]) => [field, Array.from(map.keys(), String)])) }];
    const colours = seriesStyle(series || [], this.input.hidden, dark);
    if (shown) for (const name of series) if (!shown.includes(name)) colours.delete(name);
    applyStyle(s, colours, lines || [], numbers);
    if (patch) patch(s, width, dark);
    groupByNumbers(s);
    const left = 64, panels = facet > 1 && width >= 640 ? facet : 1;
    const inner = Math.max(150, Math.floor((width - left - (panels - 1) * 30) / panels) - 12);
    if (s.params && s.params[0].name === 'hidden') s.params[0].value = Array.from(this.hidden);
    if (facet > 1) {
      const { $schema, data, datasets, params, transform, description, config, ...unit } = s;
      unit.width = inner;
      s = { $schema, description, data, datasets, params, transform, columns: panels,
        facet: { field: NAMED.run, type: 'nominal', title: null, header: { labelExpr: nameOf('run') } }, spec: unit };
    } else {
      s.width = inner;
      s.autosize = { type: 'fit-x', contains: 'padding' };
      s.width = width;
    }
    s.config = vegaConfig(dark, forExport);
    if (!forExport) s.padding = 2;
    if (forExport) s.title = this.input.title || this.options.label;
    return s;
  }

  draw() {
    if (!this.input || !this.node.isConnected) return;
    const width = printing ? 660 : Math.max(240, this.plot.clientWidth); // as wide as paper, so that letters keep their size
    this.width = width;
    const s = this.specification(width, isDark(), false);
    if (this.input.series) this.hideLegends(s);
    if (this.view) this.view.finalize();
    this.plot.replaceChildren();
    this.view = new vega.View(vega.parse(vegaLite.compile(s, { logger: vega.logger(vega.Error) }).spec), {
      renderer: 'svg', container: this.plot, hover: false, logLevel: vega.Error });
    this.view.tooltip((handler, event, item, value) => showTip(event, value));
    if (this.input.cursor) {
      this.view.addEventListener('mousemove', (event, item) => {
        if (item && item.datum && Number.isFinite(item.datum.delay)) this.moveCursor(item.datum.delay, false);
      });
    }
    this.view.run();
    const drawing = this.plot.querySelector('svg');
    if (drawing) {
      drawing.setAttribute('role', 'img');
      drawing.setAttribute('aria-label', `${this.options.label}. ${this.input.caption || ''}`);
    }
    this.drawLegend();
    this.moveCursor(this.cursor, true);
  }

  /* The page's own legend of buttons stands in for Vega's, except where colour is a number. */
  hideLegends(node) {
    if (Array.isArray(node)) { node.forEach((n) => this.hideLegends(n)); return; }
    for (const channel of ['color', 'shape', 'strokeDash'])
      if (node.encoding && node.encoding[channel] && node.encoding[channel].field) node.encoding[channel].legend = null;
    for (const key of ['layer', 'spec']) if (node[key]) this.hideLegends(node[key]);
  }

  drawLegend() {
    const { series, lines } = this.input;
    if (!series) { this.legend.replaceChildren(); return; }
    const style = seriesStyle(series, this.input.hidden, isDark());
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.series : null;
    const listed = this.options.compact ? series.filter((n) => !this.hidden.has(n)) : series;
    const sections = this.options.compact ? [] : this.input.sections || [];
    const buttons = listed.flatMap((name) => {
      const { colour, shape } = style.get(name);
      const swatch = svg('svg', { width: 26, height: 12, viewBox: '-13 -6 26 12', 'aria-hidden': 'true' },
        svg('path', { d: 'M-13,0H13', stroke: colour, 'stroke-width': 2 }),
        svg('path', { d: SHAPE_PATHS[shape], fill: colour }));
      const button = el('button', { type: 'button', class: 'key', 'data-series': name, title: shorten(name, 200),
        'aria-pressed': String(!this.hidden.has(name)), onclick: () => this.toggle(name) },
        swatch, el('span', {}, shorten(name, 28)));
      const [section] = sections.filter(([, names]) => names[0] === name);
      return section ? [this.sectionButton(...section), button] : [button];
    });
    if (series.length > 3 && !this.options.compact) {
      buttons.push(el('button', { type: 'button', class: 'key plain', onclick: () => this.showOnly(series) }, 'show all'),
        el('button', { type: 'button', class: 'key plain', onclick: () => this.showOnly(series.slice(0, 1)) }, 'only ' + shorten(series[0], 12)));
    }
    const dashes = (lines || []).length < 2 ? [] : lines.map((name, i) => el('span', { class: 'dash' },
      svg('svg', { width: 30, height: 8, viewBox: '0 -4 30 8', 'aria-hidden': 'true' },
        svg('path', { d: 'M0,0H30', stroke: 'currentColor', 'stroke-width': 1.8,
          'stroke-dasharray': i === 0 ? 'none' : DASHES[i % DASHES.length].join(' ') })), shorten(name, 40)));
    this.legend.replaceChildren(...this.filterBox(series), ...buttons, ...dashes);
    this.applyFilter();
    if (focused) for (const b of this.legend.children) if (b.dataset.series === focused && document.activeElement === document.body) b.focus();
  }

  /* Heads the series of one section; draws them alone, with the first of all. */
  sectionButton(name, names) {
    return el('button', { type: 'button', class: 'key plain section', title: `only ${shorten(name, 200)}`, onclick: () => this.showOnly([this.input.series[0], ...names]) },
      `${shorten(name, 28)}:`);
  }

  /* Of many series: a box that leaves in the legend those whose names have its text, and a button that draws these alone. */
  filterBox(series) {
    if (series.length <= MANY_SERIES || this.options.compact) return [];
    const box = el('input', { type: 'search', class: 'filter', placeholder: 'filter', 'aria-label': 'Filter by name', value: this.group.filter || '' });
    box.oninput = () => { this.group.filter = box.value; this.applyFilter(); };
    const only = el('button', { type: 'button', class: 'key plain', onclick: () => this.showOnly(series.filter((n) => this.matches(n))) }, 'only these');
    return [box, only];
  }

  matches(name) {
    return name.toLowerCase().includes((this.group.filter || '').toLowerCase());
  }

  applyFilter() {
    for (const b of this.legend.querySelectorAll('[data-series]')) b.hidden = !this.matches(b.dataset.series);
  }

  toggle(name) {
    if (this.hidden.has(name)) this.hidden.delete(name); else this.hidden.add(name);
    this.refresh();
  }

  showOnly(names) {
    this.group.hidden = new Set(this.input.series.filter((n) => !names.includes(n)));
    this.refresh();
  }

  refresh() {
    for (const chart of this.group.charts) if (chart.view && chart.node.isConnected) chart.update();
  }

  update() {
    if (this.options.compact) this.drawLegend();
    this.view.signal('hidden', Array.from(this.hidden)).run();
    for (const b of this.legend.querySelectorAll('[data-series]'))
      b.setAttribute('aria-pressed', String(!this.hidden.has(b.dataset.series)));
    this.moveCursor(this.cursor, true);
  }

  key(event) {
    if (!this.input.cursor || event.altKey || event.ctrlKey || event.metaKey) return;
    const delays = this.input.rows.map((r) => r.delay), most = Math.max(...delays), least = Math.min(...delays);
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.moveCursor(Math.min(most, Math.max(least, this.cursor + steps[event.key])), true);
  }

  /* The exact values at one delay, under the chart: for the pointer and, with the arrow keys, without one. */
  moveCursor(delay, always) {
    if (!this.input.cursor || (!always && delay === this.cursor)) return;
    this.cursor = delay;
    this.view.signal('cursor', delay).run();
    const rows = this.input.rows.filter((r) => r.delay === delay && !this.hidden.has(r.series) && r.value !== null);
    if (delay < 0 || !rows.length) {
      this.readout.textContent = this.options.hint || '';
      return;
    }
    const several = new Set(rows.map((r) => r.line)).size > 1;
    const parts = rows.slice(0, 24).map((r) => el('span', {}, el('b', {}, shorten(r.series, 24)),
      `${several ? ` (${shorten(r.line, 24)})` : ''} ${number(r.exact === undefined ? r.value : r.exact, 6)}${r.interval ? ` [${r.interval}]` : ''}`));
    this.readout.replaceChildren(el('span', { class: 'at' }, `d = ${delay}`), ...parts);
  }

  /* The drawing alone, with its own legend and on white, for papers and slides. */
  async save(kind) {
    const name = `${this.options.id}.${kind}`;
    if (kind === 'csv') {
      const rows = this.input.rows.filter((r) => !this.hidden.has(r.series));
      download(name, new Blob([csvText(this.input.columns, rows)], { type: 'text/csv;charset=utf-8' }));
      return;
    }
    const s = this.specification(760, false, true);
    const view = new vega.View(vega.parse(vegaLite.compile(s, { logger: vega.logger(vega.Error) }).spec), { renderer: 'none', logLevel: vega.Error });
    await view.runAsync();
    if (kind === 'svg') {
      download(name, new Blob([await view.toSVG()], { type: 'image/svg+xml' }));
    } else {
      const canvas = await view.toCanvas(2);
      canvas.toBlob((blob) => download(name, blob), 'image/png');
    }
    view.finalize();
  }
}
