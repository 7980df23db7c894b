/* SPDX-License-Identifier: MIT */
/* pairs.js - the page of minimal pairs: accuracy, D and its attribution by condition; single pairs with the attribution of each word. */
'use strict';

const data = readJson('data');
const suite = data.suite, [all] = suite.conditions, roles = all.roles.map((r) => r.role);
const AT_FIRST = 50; // pairs drawn; a button draws as many again
const FEW = 60; // conditions in a chart
const sections = [];

const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/* "53.8 % (49.8 to 57.8)" */
function share({ value, low, high }) {
  return value === null ? '–' : `${number(100 * value, 3)} %${low === null ? '' : ` (${number(100 * low, 3)} to ${number(100 * high, 3)})`}`;
}

function span({ value, low, high }) {
  return withInterval(value, low, high);
}

const GOOD = suite.score === 'word' ? 'right form' : 'good sentence';

function summaryLines() {
  const lines = [], { pairs: n, accuracy, difference: d } = all;
  if (!n) return [`No pair is scored: in all ${plural(suite.pairs, 'pair')} the words that differ are unknown to the model.`];
  const chance = accuracy.low > 0.5 ? 'above' : accuracy.high < 0.5 ? 'below' : null;
  lines.push(`The model gives the ${GOOD} the higher probability in ${count(all.right)} of ${plural(n, 'pair')}${all.ties ? `, and the same to both in ${count(all.ties)}` : ''}: accuracy ${share(accuracy)}. `
    + (chance ? `That is ${chance} chance, 50 %.` : 'Chance, 50 %, is within the interval.'));
  lines.push(`D = log p(good) − log p(bad), ${suite.score === 'word' ? 'of the first word that differs' : suite.eos ? 'of all words and the end of the sentence' : 'of all words but the first'}: ${span(d)} nats on average.`);
  const known = suite.conditions.slice(1).filter((c) => c.pairs);
  if (known.length > 1) {
    const sorted = [...known].sort((a, b) => b.accuracy.value - a.accuracy.value), is = (c) => `${shorten(c.condition, 60)} ${share(c.accuracy)}`;
    lines.push(`Highest accuracy: ${is(sorted[0])}; lowest: ${is(sorted.at(-1))}${data.conditions_left ? ', among the conditions of this page' : ''}.`);
  }
  const read = all.roles.filter((r) => r.pairs);
  if (read.length) lines.push(`Attribution of D: ${read.slice(0, 6).map((r) => `${shorten(r.role, 40)} ${span(r.attribution)}`).join(', ')} nats, in the pairs that have such a word.`);
  if (suite.gap !== null) lines.push(`Completeness: the attributions of a pair sum to its D minus D of zero inputs, up to ${number(100 * suite.gap, 2)} % of it; the largest gap is ${number(suite.largest_gap, 2)} nats.${suite.gap > 0.01 ? ' More points reduce it.' : ''}`);
  lines.push(`${count(suite.unknown_words)} of ${plural(suite.words, 'word')} (${percent(suite.unknown_words / suite.words)}) are unknown to the model. Left out: ${plural(all.left_out, 'pair')} whose words that differ are all unknown.`
    + (all.one_unknown ? ` Scored: ${plural(all.one_unknown, 'pair')} in which some of these words are unknown.` : ''));
  lines.push('Intervals: 95 %, Wilson for accuracy and Student for means. Pairs count as independent: where they are made from few templates, the intervals are too narrow.');
  return lines;
}

function summarySection() {
  const [lead, ...rest] = summaryLines();
  document.getElementById('summary').append(el('p', { class: 'lead' }, lead), el('ul', {}, ...rest.map((l) => el('li', {}, l))));
}

/* ---- charts by condition ---- */

/* One value with its interval for each condition, or for each role in it. of(condition): [[series, {value, low, high}, pairs]] */
function intervalChart(id, label, axis, reference, of) {
  const shown = suite.conditions.slice(0, FEW), names = distinct(shown.map((c) => shorten(c.condition, 28)));
  const rows = shown.flatMap((c, i) => of(c).map(([series, x, n]) => ({ label: names[i], name: c.condition, series, value: x.value, low: x.low, high: x.high, pairs: n, reference,
    interval: x.low === null ? 'not given' : `${number(x.low, 3)} to ${number(x.high, 3)}` })));
  rows.forEach((r, i) => { r.first = i === 0; });
  const series = id === 'roles' ? roles : null, chart = new Chart({ id, label });
  sections.push(() => chart.set({
    spec: 'intervals', rows, series, title: label,
    columns: [['name', 'condition'], ...(series ? [['series', 'role']] : []), ['pairs', 'pairs'], ['value', 'value'], ['low', 'low'], ['high', 'high']],
    caption: `Lines: 95 % intervals.${suite.conditions.length > FEW ? ` The first ${FEW} conditions; the table has the others.` : ''}`,
    patch(s, width, dark) {
      const [dashed, ...marks] = s.layer;
      dashed.encoding.x.title = axis;
      for (const { encoding, mark } of marks) {
        encoding.x.title = axis;
        if (series) encoding.yOffset = { field: 'seriesNumber', type: 'nominal' };
        else { delete encoding.color; delete encoding.shape; mark.color = COLOURS[dark ? 'dark' : 'light'][0]; }
      }
      if (id === 'accuracy') dashed.encoding.x.scale = { domain: [0, 100] };
      s.height = { step: series ? 14 * series.length + 10 : 22, for: 'position' };
    },
  }));
  return chart.node;
}

function conditionsSection() {
  const body = section('conditions', 'Accuracy and D by condition', `Accuracy: the share of pairs with D > 0; a tie (D = 0) is half right. D: mean over pairs, in nats${suite.conditions.length > 1 ? '. A click on a heading sorts the table' : ''}.`);
  if (suite.conditions.length > 1) {
    body.append(el('div', { class: 'pair' },
      intervalChart('accuracy', 'Accuracy by condition', 'accuracy (%)', 50, (c) => [[undefined, { value: c.pairs ? 100 * c.accuracy.value : null, low: c.accuracy.low === null ? null : 100 * c.accuracy.low, high: c.accuracy.high === null ? null : 100 * c.accuracy.high }, c.pairs]]),
      intervalChart('difference', 'D by condition', 'D (nats)', 0, (c) => [[undefined, c.difference, c.pairs]])));
  }
  const cell = (n) => [count(n), n];
  body.append(sortableTable(['condition', 'pairs', 'accuracy', 'right', 'ties', 'D (nats)', 'left out', 'partly unknown'],
    suite.conditions.map((c) => [[c.condition, null], cell(c.pairs), [share(c.accuracy), c.accuracy.value], cell(c.right), cell(c.ties), [span(c.difference), c.difference.value], cell(c.left_out), cell(c.one_unknown)]),
    null, 80, { 'aria-label': 'accuracy and D by condition' }, (x) => x));
  if (data.conditions_left) body.append(el('p', { class: 'note' }, `Not on this page: ${plural(data.conditions_left, 'further condition')} and their pairs. The table of conditions (CSV) has all.`));
}

/* ---- which words D comes from ---- */

const HOW = data.path
  ? `integrated gradients: the gradient of D, averaged over ${count(data.path)} points between zero inputs and the sentence, times the embedding`
  : 'the gradient of D times the embedding, to first order';

function attributionSection() {
  const node = document.getElementById('attribution');
  if (!data.attributed || !roles.length) { node.hidden = true; return; }
  const body = section('attribution', 'Attribution of D by role', `Mean over the pairs that have a word of this role; ${HOW}. Above 0: it favours the ${GOOD}. This is an attribution: how D depends on a word, not whether exchanging the word would change it.`);
  body.append(intervalChart('roles', 'Attribution of D by role', 'attribution (nats)', 0, (c) => c.roles.map((r) => [r.role, r.attribution, r.pairs])));
  const minus = roles.length > 1 ? [`${shorten(roles[0], 40)} minus this role`, 'pairs with both'] : [];
  body.append(sortableTable(['condition', 'role', 'pairs', 'attribution (nats)', ...minus],
    suite.conditions.flatMap((c) => c.roles.map((r) => [[c.condition, null], [r.role, null], [count(r.pairs), r.pairs], [span(r.attribution), r.attribution.value],
      ...(minus.length ? [[span(r.first_minus), r.first_minus.value], [count(r.both), r.both]] : [])])), null, 80, { 'aria-label': 'attribution of D by role' }, (x) => x));
  if (data.roles_left) body.append(el('p', { class: 'note' }, `Not on this page: ${plural(data.roles_left, 'further role')}. The table of conditions (CSV) has all.`));
}

/* ---- single pairs ---- */

const wordOf = (id, slot) => (slot === 0 ? '<eos>' : id < 0 ? null : data.words[id]);

/* {slot number: [names of roles]} of a pair */
function rolesOf(pair) {
  const of = new Map();
  for (let i = 0; i < pair.roles.length; i += 2) of.set(pair.roles[i], [...(of.get(pair.roles[i]) || []), roles[pair.roles[i + 1]]]);
  return of;
}

/* A place of both sentences: one word, or the good one above the bad one; its attribution. */
function slotNode(pair, k, most, named) {
  const slot = pair.slots[k], good = wordOf(pair.good[k], slot), bad = wordOf(pair.bad[k], slot), x = pair.attribution ? pair.attribution[k] : null;
  const is = named.get(slot), form = (text, other) => el('span', { class: `${other ? 'other' : ''}${text === null ? ' none' : ''}`.trim() || null }, text === null ? '–' : text);
  const node = el('span', { class: 'slot', 'data-roles': is ? is.join(', ') : null, title: `${x === null ? 'no attribution: it is not read before what is scored' : `${number(x, 3)} nats`}${is ? `; ${is.join(', ')}` : ''}` },
    form(good, false), good === bad ? null : form(bad, true),
    pair.attribution ? el('small', {}, `${x === null ? '' : number(x, 2)}${is ? ` ${is.map((r) => shorten(r, 20)).join(', ')}` : ''}`) : null);
  if (x !== null && most > 0) {
    const { background, ink } = paint(x / most, true);
    node.style.background = background;
    node.style.color = ink;
  }
  return node;
}

function pairBody(pair) {
  const most = Math.max(0, ...(pair.attribution || []).map((x) => Math.abs(x || 0))), named = rolesOf(pair);
  return el('tbody', { 'data-line': pair.line },
    el('tr', {}, el('th', { scope: 'row' }, pair.condition ? suite.conditions[pair.condition].condition : '–'), el('td', {}, String(pair.line)),
      el('td', {}, pair.left_out ? 'left out' : number(pair.difference, 3)), el('td', {}, number(pair.log_p_good, 4)), el('td', {}, number(pair.log_p_bad, 4)), el('td', {}, count(pair.unknown_words))),
    el('tr', {}, el('td', { class: 'slots', colspan: 6 }, ...pair.slots.flatMap((_, k) => [slotNode(pair, k, most, named), ' ']))));
}

const textOf = (pair) => ['good', 'bad'].map((which) => pair[which].map((id) => (id < 0 ? '' : data.words[id])).join(' ')).join('\n').toLowerCase();
const VERDICTS = { all: () => true, right: (p) => p.difference > 0, wrong: (p) => p.difference !== null && p.difference < 0, tie: (p) => p.difference === 0, out: (p) => p.left_out };
const COLUMNS = [['condition', null], ['line', (p) => p.line], ['D', (p) => p.difference], ['log p good', (p) => p.log_p_good], ['log p bad', (p) => p.log_p_bad], ['unknown', (p) => p.unknown_words]];

function itemsSection() {
  const body = section('items', 'Single pairs', `Each with D and log p in nats. Where the sentences differ, the word of the good sentence is above that of the bad one.${data.attributed
    ? ` Under a word, its attribution in nats; a word of both sentences has the sum of both. Orange: in favour of the ${GOOD}; blue: against it; the colour is relative to the largest of the pair.` : ''}`);
  const choose = { condition: 'all', verdict: 'all', filter: '', by: 2, down: false, shown: AT_FIRST };
  const holder = el('div'), said = el('p', { class: 'mute', 'aria-live': 'polite' });
  const draw = (focused) => {
    const size = COLUMNS[choose.by][1], keep = data.pairs.filter((p) => (choose.condition === 'all' || String(p.condition) === choose.condition) && VERDICTS[choose.verdict](p) && textOf(p).includes(choose.filter));
    const known = keep.filter((p) => size(p) !== null).sort((a, b) => (choose.down ? size(b) - size(a) : size(a) - size(b)) || a.line - b.line), rows = [...known, ...keep.filter((p) => size(p) === null)];
    const heads = COLUMNS.map(([title, of], i) => (of ? el('button', { type: 'button', class: 'sort', onclick: () => { choose.down = i === choose.by && !choose.down; choose.by = i; draw(i); } },
      title, i === choose.by ? (choose.down ? ' ↓' : ' ↑') : '') : title));
    const node = table(heads, [], { 'aria-label': 'single pairs' }), t = node.querySelector('table');
    t.tBodies[0].remove();
    t.append(...rows.slice(0, choose.shown).map(pairBody));
    t.querySelectorAll('thead th')[choose.by].setAttribute('aria-sort', choose.down ? 'descending' : 'ascending');
    said.textContent = `Shown: ${count(Math.min(choose.shown, rows.length))} of ${plural(rows.length, 'pair')}${rows.length < data.pairs.length ? ' that match' : ''}.${leftText()}`;
    holder.replaceChildren(node, ...(rows.length > choose.shown ? [el('button', { type: 'button', class: 'tool', onclick: () => { choose.shown += AT_FIRST; draw(); } }, `Show ${Math.min(AT_FIRST, rows.length - choose.shown)} more`)] : []));
    if (focused !== undefined) heads[focused].focus();
  };
  const again = (key) => (value) => { choose[key] = value; choose.shown = AT_FIRST; draw(); };
  const box = el('input', { type: 'search', class: 'filter', placeholder: 'words', 'aria-label': 'Filter by words', oninput: () => again('filter')(box.value.toLowerCase()) });
  const there = new Set(data.pairs.map((p) => p.condition));
  body.append(el('div', { class: 'controls' },
    ...(there.size > 1 ? [choice('Condition', [['all', 'all'], ...[...there].sort((a, b) => a - b).map((c) => [c, c ? shorten(suite.conditions[c].condition, 40) : 'none'])], 'all', again('condition'))] : []),
    choice('Pairs', [['all', 'all'], ['right', 'right'], ['wrong', 'wrong'], ['tie', 'ties'], ['out', 'left out']], 'all', again('verdict')), box), said, holder);
  sections.push(() => draw());
}

function leftText() {
  const left = suite.pairs - data.pairs.length;
  return left ? ` ${plural(left, 'further pair')} of the file ${left === 1 ? 'is' : 'are'} not on this page, which has ${count(data.pairs.length)}: of each condition, at evenly spaced ranks of D, with the lowest and the highest. The tables of pairs and words (CSV) have all.` : '';
}

/* ---- settings ---- */

const SIZES = `${count(data.embedding)} embedding, ${data.hidden.map(count).join(', ')} units`;
const SCORED = suite.score === 'word' ? 'the first word that differs' : 'all words';

function settingsSection() {
  const list = el('dl');
  for (const [key, value] of [['model', data.model], ['cell', data.cell], ['sizes', SIZES], ['file of pairs', data.file], ['condition', data.condition_column && `column or key ${data.condition_column}`], ['scored', SCORED],
    ['sentences begin and end', suite.eos ? 'with <eos>, read before the first word and predicted after the last' : 'without <eos>'],
    ['words', data.punctuation ? 'separated by spaces; punctuation marks, n\'t and \'s are words of their own' : 'separated by spaces'], ['lower case', data.lowercase ? 'yes' : 'no'],
    ['attribution', !data.attributed ? 'none' : data.path ? `integrated gradients, ${count(data.path)} points` : 'gradient times input'],
    ['pairs', `${count(suite.pairs)}; ${count(all.pairs)} scored`]]) if (value) list.append(el('dt', {}, key), el('dd', {}, value));
  section('settings', 'Settings', 'Inputs and settings of this page.').append(list);
}

function redraw() {
  for (const draw of sections) draw();
}

function start() {
  const names = [data.file, data.model].filter(Boolean).map((n) => shorten(n.replace(/.*\//, ''), 40));
  document.getElementById('subject').textContent = names.join(', ');
  document.getElementById('facts').textContent = [`${data.cell}, ${plural(data.hidden.length, 'layer')}`, plural(suite.pairs, 'pair'), `scored: ${SCORED}`,
    data.attributed && (data.path ? `integrated gradients, ${count(data.path)} points` : 'gradient times input')].filter(Boolean).join('; ');
  document.title = `Minimal pairs: ${names.join(', ')}`;
  document.getElementById('version').textContent = data.version;
  document.getElementById('tools').append(themeButton(redraw));
  summarySection();
  conditionsSection();
  attributionSection();
  itemsSection();
  settingsSection();
  redraw();
  document.documentElement.dataset.ready = 'true';
  onNewWidth(redraw);
}

start();
