/* SPDX-License-Identifier: MIT */
/* page.js - what every page of stategrad shares: elements, numbers as text, light and dark, downloads.
 * All text reaches the page through textContent or attributes: nothing is ever parsed as markup. */
'use strict';

const SVG_NS = 'http://www.w3.org/2000/svg';

/* el('button', {class: 'x', onclick: f}, 'text', child...) */
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') e[key] = value;
    else e.setAttribute(key, value === true ? '' : String(value));
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

function svg(name, attributes, ...children) {
  const e = document.createElementNS(SVG_NS, name);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, String(value));
  e.append(...children);
  return e;
}

function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/* Six significant digits at most, no trailing zeros, a true minus. */
function number(x, digits = 4) {
  if (x === null || x === undefined || !Number.isFinite(x)) return '–';
  if (x !== 0 && (Math.abs(x) >= 1e6 || Math.abs(x) < 1e-3)) {
    const [m, e] = x.toExponential(digits - 1).split('e');
    const sup = String(Number(e)).replace(/./g, (c) => '⁰¹²³⁴⁵⁶⁷⁸⁹⁻'['0123456789-'.indexOf(c)]);
    return `${String(Number(m)).replace('-', '−')}·10${sup}`;
  }
  return String(Number(x.toPrecision(digits))).replace('-', '−');
}

function count(n) {
  return n === null || n === undefined ? '–' : Number(n).toLocaleString('en-US');
}

function percent(x) {
  return x === null || x === undefined || !Number.isFinite(x) ? '–' : `${number(100 * x, 2)} %`;
}

/* "2.9 (2.7 to 3.1)"; a value without an interval as it is. */
function withInterval(value, low, high) {
  if (value === null || value === undefined) return '–';
  return `${number(value, 3)}${low !== null && low !== undefined ? ` (${number(low, 3)} to ${number(high, 3)})` : ''}`;
}

/* A long name is cut in the middle of a chart, never in a table. */
function shorten(text, limit) {
  const letters = Array.from(text);
  return letters.length <= limit ? text : letters.slice(0, limit - 1).join('') + '…';
}

/* ---- light and dark ---- */

const darkPreferred = window.matchMedia('(prefers-color-scheme: dark)');
let printing = false;

function isDark() {
  if (printing) return false;
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : darkPreferred.matches;
}

/* A button that switches; `changed` redraws what does not follow the style sheet by itself. */
function themeButton(changed) {
  const button = el('button', { type: 'button', class: 'tool', id: 'theme' });
  const label = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.setAttribute('aria-label', isDark() ? 'Switch to light colours' : 'Switch to dark colours');
  };
  button.onclick = () => {
    document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
    label();
    changed();
  };
  darkPreferred.addEventListener('change', () => { label(); changed(); });
  window.addEventListener('beforeprint', () => { printing = true; changed(); });
  window.addEventListener('afterprint', () => { printing = false; changed(); });
  label();
  return button;
}

function mix(a, b, x) {
  return a.map((v, i) => Math.round(v + (b[i] - v) * x));
}

/* Colours of a value between 0 and 1 (or -1 and 1): background and a text colour that reads on it. */
function paint(x, signed) {
  const paper = isDark() ? [33, 38, 44] : [244, 245, 247], blue = isDark() ? [91, 176, 232] : [0, 90, 160], orange = isDark() ? [240, 138, 75] : [200, 85, 0];
  const rgb = mix(paper, signed ? (x > 0 ? orange : blue) : blue, Math.min(1, Math.abs(x)));
  const light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
  return { background: `rgb(${rgb.join(',')})`, ink: light > 140 ? '#111' : '#fff' };
}

/* Calls redraw when the page has got another width, once the size rests. */
function onNewWidth(redraw) {
  let width = document.body.clientWidth, timer = 0;
  window.addEventListener('resize', () => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (document.body.clientWidth !== width) { width = document.body.clientWidth; redraw(); } }, 120);
  });
}

/* ---- downloads ---- */

function download(name, blob) {
  const link = el('a', { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* RFC 4180; a leading =, +, - or @ of a text is kept a text for spreadsheets. */
function csvCell(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

function csvText(columns, rows) {
  const lines = [columns.map(([, title]) => csvCell(title)).join(',')];
  for (const row of rows) lines.push(columns.map(([field]) => csvCell(row[field])).join(','));
  return lines.join('\r\n') + '\r\n';
}

/* ---- choices ---- */

/* A labelled select; options are [value, text] pairs. */
function choice(label, options, value, changed) {
  const select = el('select', { onchange: () => changed(select.value) });
  for (const [v, text] of options) select.append(el('option', { value: v, selected: String(v) === String(value) }, text));
  return el('label', { class: 'choice' }, el('span', {}, label), select);
}

/* A row of buttons of which one is pressed. */
function switcher(label, options, value, changed) {
  const group = el('div', { class: 'switch', role: 'group', 'aria-label': label });
  for (const [v, text] of options) {
    const button = el('button', { type: 'button', 'aria-pressed': String(v === value), 'data-value': v }, text);
    button.onclick = () => {
      for (const b of group.children) b.setAttribute('aria-pressed', String(b === button));
      changed(v);
    };
    group.append(button);
  }
  return group;
}

function section(id, title, intro) {
  const node = document.getElementById(id);
  node.setAttribute('aria-labelledby', `${id}-title`);
  const body = el('div');
  node.append(el('h2', { id: `${id}-title` }, title), el('p', {}, intro), body);
  return body;
}

/* Says of a table that is wider than its place that it goes on. */
function markScrolling(holder) {
  holder.toggleAttribute('data-more', holder.scrollWidth > holder.clientWidth + 1);
}

/* A table of cells [text, number] that a click on a heading sorts: by size (of the number, sizeOf), the largest first, then the other
 * way. Numbers that are missing come last. At first `by` sorts it (null: the rows as they are), and `most` rows are shown. */
function sortableTable(head, rows, by, most, attributes, sizeOf = Math.abs) {
  const holder = el('div');
  let down = true, all = rows.length <= most;
  const size = (row) => (Number.isFinite(row[by][1]) ? sizeOf(row[by][1]) : null);
  const draw = (focused) => {
    const known = by === null ? rows : rows.filter((r) => size(r) !== null).sort((a, b) => (down ? size(b) - size(a) : size(a) - size(b)));
    const sorted = [...known, ...rows.filter((r) => by !== null && size(r) === null)].slice(0, all ? rows.length : most);
    const buttons = head.map((text, i) => el('button', { type: 'button', class: 'sort', onclick: () => { down = i !== by || !down; by = i; draw(i); } },
      text, i === by ? (down ? ' ↓' : ' ↑') : ''));
    const t = table(buttons, sorted.map((r) => r.map(([text]) => text)), attributes);
    if (by !== null) t.querySelectorAll('thead th')[by].setAttribute('aria-sort', down ? 'descending' : 'ascending');
    holder.replaceChildren(t, ...(all ? [] : [el('button', { type: 'button', class: 'tool', onclick: () => { all = true; draw(); } }, `Show all ${rows.length}`)]));
    if (focused !== undefined) buttons[focused].focus();
  };
  draw();
  return holder;
}

function table(head, rows, attributes) {
  const body = el('tbody');
  for (const row of rows) {
    body.append(el('tr', {}, ...row.map((cell, i) => {
      const node = cell instanceof Node ? cell : String(cell);
      return i === 0 ? el('th', { scope: 'row', class: node.length > 32 ? 'long' : null }, node) : el('td', {}, node);
    })));
  }
  const t = el('table', attributes);
  if (head) t.append(el('thead', {}, el('tr', {}, ...head.map((h) => el('th', { scope: 'col' }, h)))));
  t.append(body);
  const holder = el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': (attributes || {})['aria-label'] || 'table' }, t);
  new ResizeObserver(() => markScrolling(holder)).observe(holder);
  return holder;
}
