/* SPDX-License-Identifier: MIT */
/* show.js - sentences; a chosen word shows its gain at each later word. Rows of the triangle are words read, columns words now;
 * the data hold row t with entries s = 0 .. t. */
'use strict';

const data = readJson('data');
const tip = document.getElementById('tip');
const VIEWS = [
  ['left_frobenius', 'norm', 'Frobenius norm of the state gradient, relative to the word itself (1).'],
  ['left_spectral', 'strongest direction', 'Largest singular value of the state gradient, relative to the word itself (1).'],
];
if (data.score) {
  VIEWS.push(
    ['score_effect', `effect on ${shorten(data.score, 40)}`, `Effect of each word on ${data.score}, to first order: gradient · embedding. Orange raises it, blue lowers it.`],
    ['score_gradient', `gradient of ${shorten(data.score, 40)}`, `Norm of the gradient of ${data.score} with respect to each embedding.`]);
}
const has = (key) => data.sentences.every((s) => s[key]);
if (has('replacement_change')) VIEWS.push(['replacement_change', 'replacement', `Change of the ${data.state} state when the word is replaced by another, drawn ${data.replacement_law}: mean norm over ${data.replacements} draws, in state units.`]);
if (has('replacement_kl')) VIEWS.push(['replacement_kl', 'replacement, prediction', `Change of the prediction when the word is replaced by another, drawn ${data.replacement_law}: mean KL divergence of the next word over ${data.replacements} draws, in nats.`]);
const units = (data.sentences[0].units || []).map((u) => u.unit);
units.forEach((u, i) => {
  for (const s of data.sentences) s[`unit_${u}`] = s.units[i].gain;
  VIEWS.push([`unit_${u}`, `unit ${u}`, `Gain from each word to unit ${u} of the ${data.state} state, along its own best direction, in state units. The row below the triangle is the value of the unit after each word.`]);
});
let view = VIEWS[0][0];
const meaning = document.getElementById('meaning'), MEANING_OF_STATE = meaning.textContent;

/* How strongly a value is painted: what is left on a log scale over three powers of ten, up to 1 or what lies above it;
 * scores by the sentence's largest. */
function strength(x, most) {
  if (!view.startsWith('left')) return most > 0 ? x / most : 0;
  return x > 0 ? Math.max(0, Math.min(1, 1 + Math.log10(x / Math.max(1, most)) / 3)) : 0;
}

function short(x) {
  if (x === null || x === undefined) return '–';
  const size = Math.abs(x);
  if (size >= 0.005 || x === 0) return x.toFixed(size >= 9.95 ? 1 : 2).replace('-', '−');
  return size < 1e-9 ? '0' : `${x < 0 ? '−' : ''}10${String(Math.round(Math.log10(size))).replace(/./g, (c) => '⁰¹²³⁴⁵⁶⁷⁸⁹⁻'['0123456789-'.indexOf(c)])}`;
}

class Sentence {
  constructor(sentence, index) {
    this.sentence = sentence;
    this.chosen = 0;
    this.words = el('div', { class: 'words', role: 'group', 'aria-label': 'Words of the sentence' });
    this.plot = el('div', { class: 'plot', tabindex: 0, role: 'group', 'aria-label': 'Triangle of all pairs of words' });
    this.caption = el('p', { class: 'caption', 'aria-live': 'polite' });
    this.node = el('section', { class: 'sentence', 'aria-label': `Sentence ${index + 1}` }, this.words, this.caption, this.plot);
    sentence.words.forEach((w, s) => {
      const button = el('button', { type: 'button', class: w.unknown ? 'word unknown' : 'word', 'data-word': s,
        title: w.unknown ? 'not in the vocabulary: read as <unk>' : null, onclick: () => this.choose(s) },
        el('span', {}, shorten(w.text.trim() === '' ? '␣' : w.text, 60)), el('small'));
      button.addEventListener('focus', () => this.choose(s));
      this.words.append(button);
    });
    this.words.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && this.words.children[this.chosen + step];
      if (next) { event.preventDefault(); next.focus(); }
    });
  }

  choose(s) {
    this.chosen = s;
    this.mark();
  }

  most() {
    return Math.max(...this.sentence[view].flat().map((x) => Math.abs(x || 0)));
  }

  mark() {
    const m = this.sentence[view], signed = view === 'score_effect', most = this.most(), words = this.sentence.words;
    Array.from(this.words.children).forEach((button, t) => {
      const on = t >= this.chosen, value = on ? m[t][this.chosen] : null;
      button.setAttribute('aria-pressed', String(t === this.chosen));
      button.lastChild.textContent = on ? short(value) : '';
      const { background, ink } = paint(on ? strength(value, most) : 0, signed);
      button.style.background = on ? background : '';
      button.style.color = on ? ink : '';
    });
    const last = words.length - 1, [, , text] = VIEWS.find(([key]) => key === view);
    const name = shorten(words[this.chosen].text, 40);
    this.caption.textContent = view.startsWith('left')
      ? `Of “${name}” ${short(m[last][this.chosen])} of its own gain is left at the last word. ${text} Above 1: the network has amplified it. Colour is logarithmic.`
      : `${text} At the last word, “${name}”: ${number(m[last][this.chosen], 3)}${view.startsWith('score') ? `; the score there is ${number(words[last].score, 4)}` : ''}.`;
    for (const row of this.plot.querySelectorAll('g[data-row]'))
      row.setAttribute('class', Number(row.dataset.row) === this.chosen ? 'row-on' : '');
  }

  draw() {
    const m = this.sentence[view], words = this.sentence.words, T = words.length, signed = view === 'score_effect', most = this.most();
    const label = 112, head = 84, size = Math.max(20, Math.min(46, Math.floor((Math.min(1140, document.body.clientWidth - 40) - label) / T))), high = Math.min(26, size);
    const picture = svg('svg', { width: label + T * size + 60, height: head + T * high + 6, role: 'img', 'aria-label': 'Gain from each word (row) to each later state (column)' });
    words.forEach((w, t) => picture.append(svg('text', { transform: `translate(${label + (t + 0.6) * size},${head - 6}) rotate(-40)` }, shorten(w.text, 12))));
    words.forEach((w, s) => {
      const row = svg('g', { 'data-row': s }, svg('text', { x: label - 8, y: head + (s + 0.5) * high + 4, 'text-anchor': 'end' }, shorten(w.text, 15)));
      for (let t = s; t < T; t++) {
        const value = m[t][s], { background, ink } = paint(strength(value, most), signed);
        const cell = svg('rect', { class: 'cell', x: label + t * size, y: head + s * high, width: size, height: high, fill: background });
        cell.addEventListener('mousemove', (event) => this.tell(event, s, t));
        cell.addEventListener('click', () => this.choose(s));
        row.append(cell);
        if (size >= 34) row.append(svg('text', { class: 'value', x: label + (t + 0.5) * size, y: head + (s + 0.5) * high + 4, style: `fill:${ink};pointer-events:none` }, short(value)));
      }
      picture.append(row);
    });
    this.traces(picture, label, head + T * high + 14, size, high);
    this.plot.replaceChildren(picture);
    this.plot.onmouseleave = () => { tip.hidden = true; };
    this.mark();
  }

  /* The value of each single unit after each word: orange above 0, blue below. */
  traces(picture, label, top, size, high) {
    const traces = this.sentence.units || [], most = Math.max(...traces.flatMap((u) => u.value.map(Math.abs)));
    traces.forEach(({ unit, value }, i) => {
      const y = top + i * high, row = svg('g', { 'data-unit': unit }, svg('text', { x: label - 8, y: y + high / 2 + 4, 'text-anchor': 'end' }, `unit ${unit}, value`));
      value.forEach((v, t) => {
        const { background, ink } = paint(most > 0 ? v / most : 0, true);
        row.append(svg('rect', { class: 'cell', x: label + t * size, y, width: size, height: high, fill: background }, svg('title', {}, `unit ${unit} after ${shorten(this.sentence.words[t].text, 60)}: ${number(v, 4)}`)));
        if (size >= 34) row.append(svg('text', { class: 'value', x: label + (t + 0.5) * size, y: y + high / 2 + 4, style: `fill:${ink};pointer-events:none` }, short(v)));
      });
      picture.append(row);
    });
    if (traces.length) picture.setAttribute('height', top + traces.length * high + 6);
  }

  tell(event, s, t) {
    const list = el('dl', {}, el('dt', {}, 'read'), el('dd', {}, shorten(this.sentence.words[s].text, 60)), el('dt', {}, 'now'), el('dd', {}, shorten(this.sentence.words[t].text, 60)));
    for (const [key, title] of VIEWS) list.append(el('dt', {}, title), el('dd', {}, number(this.sentence[key][t][s], 5)));
    tip.replaceChildren(list);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, event.clientX + 14 + width > window.innerWidth ? event.clientX - 14 - width : event.clientX + 14)}px`;
    tip.style.top = `${Math.max(4, event.clientY + 14 + height > window.innerHeight ? event.clientY - 14 - height : event.clientY + 14)}px`;
  }
}

const sentences = data.sentences.map((s, i) => new Sentence(s, i));
function redraw() {
  meaning.textContent = view.startsWith('left') ? MEANING_OF_STATE
    : view.startsWith('score') ? `Each later word then shows what the chosen one contributes to ${data.score} there, to first order; 0 is nothing.`
    : view.startsWith('unit') ? `Each later word then shows how sensitive ${view.replace('_', ' ')} is there to a small change of the chosen one, in state units.`
    : 'Each later word then shows how much changes there when the chosen one is replaced; 0 is nothing.';
  for (const s of sentences) s.draw();
}

document.getElementById('subject').textContent = `layer ${data.layer}, ${data.state} state`;
document.getElementById('version').textContent = data.version;
document.getElementById('tools').append(
  switcher('Measure', VIEWS.map(([key, title]) => [key, title]), view, (v) => { view = v; redraw(); }),
  el('button', { type: 'button', class: 'tool', id: 'csv', onclick: () => {
    const rows = data.sentences.flatMap((s, i) => s.words.flatMap((now, t) => s.words.slice(0, t + 1).map((read, r) => {
      const row = { sentence: i + 1, read: read.text, read_position: r + 1, now: now.text, now_position: t + 1 };
      for (const key of ['gain_frobenius', 'gain_spectral', ...VIEWS.map(([k]) => k)]) row[key] = s[key][t][r];
      for (const u of s.units || []) row[`unit_${u.unit}_value`] = u.value[t];
      return row;
    })));
    download('show.csv', new Blob([csvText(Object.keys(rows[0]).map((k) => [k, k]), rows)], { type: 'text/csv;charset=utf-8' }));
  } }, 'CSV'),
  themeButton(redraw));
document.getElementById('sentences').append(...sentences.map((s) => s.node));
redraw();
onNewWidth(redraw);
document.documentElement.dataset.ready = 'true';
