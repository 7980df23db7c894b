/* SPDX-License-Identifier: MIT */
/* report.js - the sections of the report, from the data that stand in the page. Nothing is computed beyond choosing,
 * sorting and the ratios that captions name. */
'use strict';

const data = readJson('data');
const runs = data.runs;
const state = {
  group: null, measure: 'rms', scale: 'log', arrangement: 'overlay', classMeasure: 'gain', classOrder: 'run',
  spectrumClass: 0, propertyClass: 0, propertyMeasure: 'property_gain', subspace: 0, change: 'change', law: '',
};
const MEASURES = {
  rms: { name: 'rms gain', title: 'rms gain, strongest direction', long: 'Root-mean-square gain along the strongest direction: how far a small change of the word moves the state.' },
  sigma1: { name: 'σ₁', title: 'largest singular value σ₁', long: 'Largest singular value of the normalised mean gradient. Contributions of opposite sign cancel in the mean: where coherence is low, σ₁ is far below the rms gain.' },
  sum: { name: 'Σσ', title: 'sum of singular values', long: 'Sum of all singular values: gain over all directions.' },
};
/* What replacing a word does, and what the gradient says of it. */
const CHANGES = {
  change: { name: 'change of state', title: 'mean change of state |Δ|', scale: 'log', long: 'Mean change of the state |Δ| when the word is replaced. A state that keeps nothing of the word does not change: 0.' },
  change_relative: { name: 'relative change', title: 'change relative to delay 0', scale: 'log', long: 'Change of the state over that of the same words at delay 0.' },
  linear: { name: '|G dx|', title: 'linear prediction |G dx|', scale: 'log', long: 'Change of the state that the gradient predicts for the same replacements.' },
  linear_cosine: { name: 'cosine', title: 'cosine of Δ and G dx', scale: 'linear', long: 'Mean cosine between the change of state and its linear prediction: 1 = the gradient points where the state goes, 0 = at a right angle.' },
  infidelity: { name: 'infidelity', title: 'infidelity of the gradient', scale: 'linear', long: 'Σ|Δ − G dx|² / Σ|Δ|²: 0 = the gradient predicts the change exactly, 1 = no better than predicting no change.' },
  kl: { name: 'KL', title: 'KL of the next-word distributions (nats)', scale: 'log', long: 'Mean Kullback–Leibler divergence of the next-word distributions without and with the replacement, at delays 0, 1, 2, 4, 8, …' },
};
const LAWS = [['', 'any word'], ['within_', 'a word of its class']];
/* A quantity of replacement: [prefix of its law, key in CHANGES]; null: something else. */
function changeOf(key) {
  const [, law, what] = /^(within_|partner_|)(.*)$/.exec(key);
  return what in CHANGES ? [law, what] : null;
}
/* What is shown of chosen pairs of words. */
const PAIRS = {
  pair_gain_ratio: { name: 'ratio of gains', title: 'gain over that of other words', scale: 'linear', long: 'Rms gain over all directions of the earlier word at the later one, over that of words that no pair reads, of the same kinds, at the same distance: 1 = the same as for other words.' },
  pair_gain: { name: 'gain', title: 'rms gain of chosen pairs', scale: 'log', long: 'Root of the mean of |G L|² of the chosen pairs: rms gain over all directions.' },
  pair_other_gain: { name: 'gain of others', title: 'rms gain of other words', scale: 'log', long: 'The same for words that no pair reads, with the same proportions of kinds.' },
  pair_change_ratio: { name: 'ratio of changes', title: 'change of state over that of other words', scale: 'linear', long: 'Mean change of the state at the later word when the earlier one is replaced, over that of words that no pair reads, of the same kinds, at the same distance.' },
  pair_change: { name: 'change of state', title: 'change of state of chosen pairs', scale: 'log', long: 'Mean change of the state at the later word of chosen pairs when the earlier one is replaced.' },
};
/* The pairs behind a quantity. */
function pairsOf(key) {
  if (key in PAIRS) return 'pair_count';
  const change = changeOf(key);
  return change ? change[0] + (change[1] === 'kl' ? 'kl_pairs' : 'replaced_pairs') : 'pairs';
}

/* ---- reaching into the data ---- */

function groupOf(run, name = state.group) {
  return run.groups.find((g) => g.name === name && !g.baseline_of) || null;
}

function baselineOf(run, name = state.group) {
  return run.groups.find((g) => g.baseline_of === name) || null;
}

function values(group, key) {
  return group && group.values[key] ? group.values[key] : null;
}

/* Names shown for runs, each once: file names, numbered where they repeat. */
const runNames = [];
runs.forEach((run, i) => {
  const taken = (name) => runNames.includes(name) || runs.some((other, j) => j !== i && other.file === name);
  let name = run.file;
  for (let n = i + 1; taken(name); n++) name = `${run.file} (${n})`;
  runNames.push(name);
});

/* Classes in order: "all", those that are alone in their spec (a --classes option), then the others by spec, each in the order of the run. */
const specOf = new Map();
for (const run of runs) for (const c of run.classes) if (!specOf.has(c.name)) specOf.set(c.name, c.spec || '');
const ofSpec = (spec) => [...specOf.keys()].filter((n) => specOf.get(n) === spec);
const specs = ['', ...new Set(specOf.values())].filter((s) => s && ofSpec(s).length > 1);
const classNames = [...specOf.keys()].filter((n) => !specs.includes(specOf.get(n))).concat(...specs.map(ofSpec));
/* The headings of the legend: [spec, names]. One spec alone needs none. */
const CLASS_SECTIONS = specs.length > 1 ? specs.map((s) => [s, ofSpec(s)]) : [];
const propertyNames = [];
for (const run of runs) for (const p of run.properties) if (!propertyNames.includes(p.name)) propertyNames.push(p.name);
const labelNames = [];
for (const run of runs) {
  run.labels = (run.pair_label || []).map((name) => ({ name }));
  for (const l of run.labels) if (!labelNames.includes(l.name)) labelNames.push(l.name);
}
const SERIES = { classes: classNames, properties: propertyNames, labels: labelNames }, SERIES_HEAD = { classes: 'class', properties: 'property', labels: 'label' };
const groupNames = [];
for (const run of runs) for (const g of run.groups) if (!g.baseline_of && !groupNames.includes(g.name)) groupNames.push(g.name);

/* What a step is: words, or characters of a character model. */
const STEPS = runs.every((r) => (r.attributes.find(([k]) => k === 'unit') || [])[1] === 'char') ? 'characters' : 'words';
const STEP = STEPS.slice(0, -1);

/* Of many classes those with the most tokens are shown first; the legend brings in the others. */
function initiallyHidden(most) {
  const tokens = (name) => Math.max(...runs.map((r) => (r.classes.find((c) => c.name === name) || { tokens: 0 }).tokens));
  const kept = classNames.filter((n) => n !== 'all').sort((a, b) => tokens(b) - tokens(a)).slice(0, most - 1);
  return classNames.filter((n) => n !== 'all' && !kept.includes(n));
}

/* What the gains of a run are measured in. */
function gainUnit(run) {
  const whitened = (run.attributes.find(([k]) => k === 'normalization') || [])[1] === 'covariance';
  return `state units per ${whitened ? 'standard deviation' : 'unit'} of the embedding`;
}

function groupTitle(name) {
  const m = /^layer(\d+)\.([\w-]+)$/.exec(name);
  return m ? `layer ${m[1]}, ${m[2]} state` : name;
}

/* Why values of `key` are missing in the runs shown, each reason once: without the first place where it applies and the
 * number of others, which count what is not shown too ("class all, delay 0: no pairs (and 3 more)"). */
function reasonsOf(key) {
  return plainReasons(runs.map((r) => groupOf(r)).filter(Boolean).map((g) => g.missing[key]));
}

function plainReasons(given) {
  const texts = given.filter(Boolean), plain = texts.flatMap((t) => t.split('; ')).map((t) => t.replace(/^(?:class|property|label) (?:.*, delay \d+|[^:]*): /, '').replace(/ \(and \d+ more\)$/, ''));
  return Array.from(new Set(plain));
}

function missingNote(key, what) {
  const reasons = reasonsOf(key);
  return el('p', { class: 'note', 'data-missing': key }, `${what} not shown: ${reasons.join('; ') || 'not in the run file'}.`);
}

function interval(low, high) {
  return low === null || low === undefined || high === null || high === undefined ? null : `${number(low, 4)}, ${number(high, 4)}`;
}

const WITHHELD = 'not given'; // in the place of an interval that the run file leaves out

function withheldNote(key, rows) {
  return intervalsNote(rows.filter((r) => !r.reference && r.interval).map((r) => ({ ...r, value: r.exact === undefined ? r.value : r.exact })), reasonsOf(`${key}_low`));
}

/* Of values that could have intervals: how many have none, and how many lie outside theirs. */
function intervalsNote(rows, reasons) {
  const shown = rows.filter((r) => r.value !== null), without = shown.filter((r) => r.low === null).length, outside = shown.filter((r) => r.low !== null && (r.value < r.low || r.value > r.high)).length;
  return (without ? ` No interval is given at ${without} of ${shown.length} values (${reasons.join('; ') || 'no reason stored'}).` : '')
    + (outside ? ` ${outside} of ${shown.length} values lie outside their intervals, which are corrected for bias; the values are not.` : '');
}

/* ---- curves by delay ---- */

function markEvery(delays) {
  const step = Math.max(1, Math.ceil(delays / 12));
  return (d, i) => (d + i) % step === 0;
}

/* An untrained net's gains are often a hundredth of the trained one's: its curve is then drawn so many times larger that both
 * begin at one point. */
function referenceFactor(run, key) {
  const trained = values(groupOf(run), key), untrained = values(baselineOf(run), key);
  const factor = trained && untrained && untrained[0][0] > 0 ? trained[0][0] / untrained[0][0] : 1;
  return (key in MEASURES || /^(within_|partner_|)(change|linear)$/.test(key)) && factor > 10 ? factor : 1;
}

/* One row a class (or property), delay and run of quantity `key`; with the first, class all, of the untrained model where it was analysed. value is
 * what is drawn, exact what the run file has. */
function curveRows(key, of) {
  const rows = [];
  const add = (run, r, group, line, factor) => {
    const v = values(group, key), low = values(group, `${key}_low`), high = values(group, `${key}_high`), reference = factor > 0;
    if (!v) return;
    const pairs = values(group, pairsOf(key)), mark = /kl$/.test(key) ? () => true : markEvery(run.delays);
    run[of].slice(0, reference ? 1 : undefined).forEach((c, i) => v[i].forEach((exact, d) => {
      rows.push({
        series: c.name, line, kind: reference ? 'untrained' : line, reference, run: runNames[r], delay: d, exact, value: reference && exact !== null ? exact * factor : exact,
        low: low && !reference ? low[i][d] : null, high: high && !reference ? high[i][d] : null,
        interval: low && high && exact !== null ? interval(low[i][d], high[i][d]) || WITHHELD : null,
        pairs: pairs ? pairs[i][d] : null, mark: exact !== null && !reference && mark(d, i),
        first: i === 0 && !reference,
      });
    }));
  };
  const overlay = runs.length > 1 && state.arrangement === 'overlay';
  runs.forEach((run, r) => {
    const factor = referenceFactor(run, key);
    add(run, r, groupOf(run), overlay ? runNames[r] : 'trained', 0);
    if (!overlay) add(run, r, baselineOf(run), factor > 1 ? `untrained × ${number(factor, 3)}` : 'untrained', factor);
  });
  return rows;
}

/* Whole delays for the ticks of an axis. */
function delayTicks(rows, logarithmic) {
  const most = Math.max(1, ...rows.map((r) => r.delay));
  if (logarithmic) return [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter((d) => d <= most);
  const step = [1, 2, 5, 10, 20, 50, 100, 200].find((s) => most / s <= 12) || 500;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

/* Powers of ten within a range, with 2 and 5 times them where it spans few. */
function logTicks(low, high) {
  const steps = Math.log10(high / low) < 2.6 ? [1, 2, 5] : [1], ticks = [];
  const every = Math.max(1, Math.ceil(Math.log10(high / low) / 8));
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    for (const m of steps) if (e % every === 0 && m * 10 ** e >= low && m * 10 ** e <= high) ticks.push(Number(`${m}e${e}`));
  return ticks;
}

function linesOf(rows) {
  return Array.from(new Set(rows.map((r) => r.line)));
}

/* Scales of a chart of curves: log or linear in y, and the delay as log(d) where both are logarithmic. */
function scaleCurves(rows, scale) {
  const x = { nice: false }, y = {};
  let shown = rows;
  if (scale !== 'linear') {
    shown = rows.filter((r) => r.value === null || r.value > 0);
    const positive = (of) => shown.flatMap(of).filter((v) => v > 0);
    const lowest = Math.min(...positive((r) => (r.reference ? [] : [r.value]))), most = Math.max(...positive((r) => [r.value, r.high]));
    const bands = Math.min(lowest, ...positive((r) => [r.low])), fall = Math.min(lowest, ...positive((r) => (r.reference ? [r.value] : [])));
    const least = Math.min(Math.max(bands, lowest / 10), Math.max(fall, lowest / 3)); // neither may make the axis all its own
    Object.assign(y, { type: 'log', domain: [least * 0.85, most * 1.15], nice: false });
    shown = shown.map((r) => (r.low !== null && r.low < least ? { ...r, low: least * 0.85 } : r));
  } else {
    y.zero = true;
  }
  if (scale === 'loglog') {
    shown = shown.filter((r) => r.delay > 0);
    Object.assign(x, { type: 'log' });
  }
  return { rows: shown, patch(s, title) {
    s.encoding.x.title = `delay d (${STEPS})`;
    s.encoding.x.scale = x;
    s.encoding.x.axis = { values: delayTicks(shown, x.type === 'log'), format: 'd' };
    for (const layer of s.layer) {
      if (!layer.encoding || !layer.encoding.y) continue;
      layer.encoding.y.title = title;
      layer.encoding.y.scale = y;
      layer.encoding.y.axis = y.type === 'log' ? { format: '.4~g', values: logTicks(...y.domain) } : {};
    }
  } };
}

const CURVE_COLUMNS = [['run', 'run'], ['kind', 'line'], ['series', 'class'], ['delay', 'delay'], ['exact', 'value'], ['low', 'low'], ['high', 'high'], ['pairs', 'pairs']];

function setCurves(chart, key, title, caption, scale, height, of = 'classes') {
  const raw = curveRows(key, of).filter((r) => !/kl$/.test(key) || r.exact !== null); // taken at some delays: the line joins those
  const { rows, patch } = scaleCurves(raw, scale);
  const banded = rows.some((r) => r.low !== null), withheld = withheldNote(key, rows);
  chart.set({
    spec: 'curves', rows, series: SERIES[of], sections: of === 'classes' ? CLASS_SECTIONS : [], lines: linesOf(rows), cursor: true,
    columns: CURVE_COLUMNS.map(([field, name]) => [field, name === 'class' ? SERIES_HEAD[of] : name]),
    hidden: of === 'classes' ? initiallyHidden(8) : [], runs: runNames, facet: runs.length > 1 && state.arrangement === 'side' ? runs.length : 0,
    title: `${title} — ${groupTitle(state.group)}`,
    caption: caption + (banded ? ' Bands: 95 % intervals over blocks of the corpus.' : withheld ? '' : ' The run file has no intervals for it.') + withheld
      + (rows.some((r) => r.reference) ? ' Dashed: all words, the same model before training'
        + (linesOf(rows).some((l) => / × /.test(l)) ? ', as many times larger as makes both begin at one point.' : '.') : ''),
    patch(s) { if (height) s.height = height; patch(s, title); },
  });
}

/* ---- the sections ---- */

const sections = [];

function curvesSection() {
  const body = section('curves', 'Gain by delay',
    'How sensitive the state is to the word read d steps ago, by the class of that word. On the log scale an exponential decay is a straight line; on the log–log scale a power law is.');
  const chart = new Chart({ id: 'curves', label: 'Gain by delay', share: 'classes', hint: 'Point at the chart, or focus it and use the arrow keys, to read the values at one delay.' });
  const controls = el('div', { class: 'controls' });
  const note = el('div');
  body.append(controls, note, chart.node);
  sections.push(() => {
    const available = Object.keys(MEASURES).filter((m) => runs.some((r) => values(groupOf(r), m)));
    if (!available.includes(state.measure)) state.measure = available[0];
    note.replaceChildren(...Object.keys(MEASURES).filter((m) => !available.includes(m)).map((m) => missingNote(m, MEASURES[m].title)));
    const draw = () => setCurves(chart, state.measure, MEASURES[state.measure].title, MEASURES[state.measure].long, state.scale);
    controls.replaceChildren(
      switcher('Quantity', available.map((m) => [m, MEASURES[m].name]), state.measure, (m) => { state.measure = m; draw(); }),
      switcher('Scale', [['log', 'log'], ['linear', 'linear'], ['loglog', 'log–log']], state.scale, (s) => { state.scale = s; draw(); }));
    draw();
  });
}

function classesSection() {
  const body = section('classes', 'Gain by class of word',
    'Each class at each delay, compared with all words. A difference from random tokens does not support a statement about a kind of word: nearly every set of words differs from them. The dots compare with random words of similar frequency.');
  const chart = new Chart({ id: 'classes', label: 'Classes by delay' });
  const controls = el('div', { class: 'controls' });
  body.append(controls, chart.node);
  sections.push(() => {
    const rows = [];
    runs.forEach((run, r) => {
      const g = groupOf(run), v = values(g, 'sigma1');
      if (!v) return;
      const p = values(g, 'p'), q = values(g, 'q'), pairs = values(g, 'pairs');
      const nullLow = values(g, 'null_low'), nullHigh = values(g, 'null_high');
      const of = (key, i, d) => (values(g, key) ? values(g, key)[i][d] : null);
      run.classes.forEach((c, i) => v[i].forEach((sigma, d) => {
        if (sigma === null) return;
        const ratio = v[0][d] > 0 ? sigma / v[0][d] : null;
        const null_low = nullLow ? nullLow[i][d] : null, null_high = nullHigh ? nullHigh[i][d] : null;
        const chance = null_low > 0 && null_high > 0 ? sigma / Math.sqrt(null_low * null_high) : null;
        rows.push({ series: c.name, run: runNames[r], line: runs.length > 1 ? runNames[r] : null, delay: d, sigma, ratio,
          gain: of('ratio', i, d), gain_low: of('ratio_low', i, d), gain_high: of('ratio_high', i, d), gain_interval: interval(of('ratio_low', i, d), of('ratio_high', i, d)),
          types_low: of('types_low', i, d), types_high: of('types_high', i, d), p_types: of('p_types', i, d), q_types: of('q_types', i, d),
          p_tokens: of('p_tokens', i, d), q_tokens: of('q_tokens', i, d),
          chance, null_low, null_high, interval: interval(null_low, null_high),
          p: p ? p[i][d] : null, q: q ? q[i][d] : null,
          pairs: pairs ? pairs[i][d] : null });
      }));
    });
    const significance = rows.some((r) => r.q !== null), withChance = rows.some((r) => r.chance !== null);
    const withGain = rows.some((r) => r.gain !== null);
    const CHOICES = [['gain', 'rms gain over that of all words'], ['chance', 'σ₁ over that of random tokens'], ['ratio', 'σ₁ over that of all words'], ['sigma', 'σ₁ itself']]
      .filter(([key]) => (key !== 'chance' || withChance) && (key !== 'gain' || withGain));
    if (!CHOICES.some(([key]) => key === state.classMeasure)) [[state.classMeasure]] = CHOICES;
    const marked = (q) => ({ significant: q !== null && q < 0.05, unproven: q !== null && q >= 0.05 }); // without q: neither
    const draw = () => {
      const key = state.classMeasure, ratio = key !== 'sigma';
      const shown = rows.filter((r) => r[key] > 0 && !(ratio && r.series === 'all')).map((r) => ({ ...r, value: r[key], ...marked(key === 'gain' ? r.q_types : r.q) }));
      if (state.classOrder === 'effect') {
        const of = (name) => { const x = shown.filter((r) => r.series === name); return x.reduce((sum, r) => sum + Math.abs(ratio ? Math.log(r.value) : r.value), 0) / x.length; };
        const effects = new Map(Array.from(new Set(shown.map((r) => r.series)), (name) => [name, of(name)]));
        shown.sort((a, b) => effects.get(b.series) - effects.get(a.series));
      }
      const most = Math.max(1.05, ...shown.map((r) => (ratio ? Math.max(r.value, 1 / r.value) : 1)));
      chart.set({
        spec: 'classes', rows: shown, runs: runNames, facet: runs.length > 1 ? Math.min(runs.length, 2) : 0,
        columns: [['run', 'run'], ['series', 'class'], ['delay', 'delay'], ['gain', 'gain_ratio'], ['gain_low', 'gain_ratio_low'], ['gain_high', 'gain_ratio_high'],
          ['p_types', 'p_types'], ['q_types', 'p_types_adjusted'], ['types_low', 'types_null_low'], ['types_high', 'types_null_high'],
          ['p_tokens', 'p_tokens'], ['q_tokens', 'p_tokens_adjusted'], ['sigma', 'sigma_1'], ['ratio', 'ratio_to_all'],
          ['null_low', 'random_class_low'], ['null_high', 'random_class_high'], ['p', 'p'], ['q', 'q'], ['pairs', 'pairs']],
        title: `${key === 'gain' ? 'Gain' : 'σ₁'} by class — ${groupTitle(state.group)}`,
        caption: ({ gain: 'rms gain of the class over that of all words, in all directions (without <eos> and <unk> where the class holds none): orange moves the state more, blue less.',
          ratio: 'σ₁ of the class over σ₁ of all words: orange is more than the average word, blue less. σ₁ of a mean over few pairs is biased upwards.',
          chance: 'σ₁ of the class over that of random tokens, as many as the class has (the middle of their 95 % range): orange has a larger gain than chance, blue a smaller one.',
          sigma: 'σ₁ on a logarithmic colour scale.' })[key]
          + (key === 'gain' ? ' Dots: this kind of word differs from other words of similar frequency (labels exchanged among words, Benjamini–Hochberg over classes and delays, q < 0.05). Crosses: tested, and no difference found. No mark: its words are too few, or have no others of similar frequency.'
            : significance ? ' Dots: this set of tokens differs from random tokens (sign-flip test over blocks, Benjamini–Hochberg over classes and delays, q < 0.05); it does not support a statement about a kind of word. Crosses: no difference found.'
            : ' No significance marks: the run file has no test of class differences.'),
        patch(s, width, dark) {
          s.encoding.x.title = `delay d (${STEPS})`;
          s.encoding.x.axis.values = delayTicks(shown, false);
          const color = s.layer[0].encoding.color;
          color.title = ({ gain: 'gain of class / all', ratio: 'σ₁ of class / all', chance: 'σ₁ of class / random tokens', sigma: 'σ₁' })[key];
          color.scale = ratio
            ? { type: 'log', domain: [1 / most, 1, most], range: dark ? ['#5BB0E8', '#2a2f36', '#F08A4B'] : ['#0072B2', '#f4f4f2', '#D55E00'], interpolate: 'rgb' }
            : { type: 'log', scheme: 'viridis' };
          color.legend = { orient: 'top', direction: 'horizontal', format: '.2~r', ...(ratio ? { values: [1 / most, 1, most] } : { tickCount: 4 }) };
          if (dark) s.layer[1].mark.color = '#f5f5f5', s.layer[2].mark.color = '#b5b5b5';
          if (width < 500) s.encoding.y.axis.labelLimit = 84;
        },
      });
    };
    controls.replaceChildren(switcher('Value', CHOICES, state.classMeasure, (m) => { state.classMeasure = m; draw(); }),
      switcher('Order of the classes', [['run', 'as in the run'], ['effect', 'by effect']], state.classOrder, (m) => { state.classOrder = m; draw(); }));
    draw();
  });
}

function classChoice(key, changed) {
  return choice('Class', classNames.map((n, i) => [i, shorten(n, 40)]), state[key], (v) => { state[key] = Number(v); changed(); });
}

function classIndex(run, key) {
  return run.classes.findIndex((c) => c.name === classNames[state[key]]);
}

function spectrumSection() {
  const body = section('spectrum', 'Along how many directions',
    'Each column is one delay: the gains along the directions of (whitened) embedding space, strongest first. Where a column falls quickly downwards, few directions reach the state.');
  const chart = new Chart({ id: 'spectrum', label: 'Singular values by delay' });
  const controls = el('div', { class: 'controls' });
  body.append(controls, chart.node);
  sections.push(() => {
    const draw = () => {
      const rows = [];
      let shown = 0, rank = 0;
      runs.forEach((run, r) => {
        const g = groupOf(run), v = values(g, 'spectrum'), c = classIndex(run, 'spectrumClass');
        if (!v || c < 0) return;
        rank = Math.max(rank, g.rank);
        v[c].forEach((column, d) => column.forEach((value, k) => {
          shown = Math.max(shown, k + 1);
          if (value > 0) rows.push({ run: runNames[r], delay: d, direction: k + 1, value });
        }));
      });
      chart.set({
        spec: 'spectrum', rows, runs: runNames, facet: runs.length > 1 ? Math.min(runs.length, 2) : 0,
        columns: [['run', 'run'], ['delay', 'delay'], ['direction', 'direction'], ['value', 'singular_value']],
        title: `Singular values, class ${classNames[state.spectrumClass]} — ${groupTitle(state.group)}`,
        caption: `Singular values of the normalised mean gradient${shown < rank ? `, the first ${shown} of ${rank}` : ''}; logarithmic colours over at most four powers of ten.`,
        patch(s) {
          const most = Math.max(...rows.map((r) => r.value)), least = Math.max(most / 1e4, Math.min(...rows.map((r) => r.value)));
          s.height = Math.max(160, Math.min(360, shown * 9));
          s.encoding.x.title = `delay d (${STEPS})`;
          s.encoding.x.axis.values = delayTicks(rows, false);
          s.encoding.y.axis.values = shown <= 12 ? undefined : [1, ...Array.from({ length: Math.floor(shown / 10) }, (_, i) => 10 * (i + 1))];
          if (rows.length && most > least) s.encoding.color.scale = { type: 'log', scheme: 'viridis', domain: [least, most], clamp: true };
          s.encoding.color.legend = { orient: 'top', direction: 'horizontal', format: '.1~r' };
        },
      });
    };
    controls.replaceChildren(classChoice('spectrumClass', draw));
    draw();
  });
}

function shapeSection() {
  const body = section('shape', 'The same map every time? How selective?',
    'Coherence: how much of the squared gain belongs to one linear map, the same at every position. Effective rank: along how many directions the mean gradient acts. The classes shown are those of the first chart.');
  const pair = el('div', { class: 'pair' });
  body.append(pair);
  for (const [key, title, caption] of [
    ['coherence', 'coherence', 'Squared norm of the mean gradient over the mean squared norm: 1 = always the same map, 0 = contributions cancel.'],
    ['effective_rank', 'effective rank', 'exp(entropy) of the normalised singular values: the effective number of directions.']]) {
    const cell = el('div'), chart = new Chart({ id: key, share: 'classes', compact: true, label: title[0].toUpperCase() + title.slice(1) + ' by delay' });
    cell.append(el('h3', {}, title[0].toUpperCase() + title.slice(1)));
    pair.append(cell);
    sections.push(() => {
      const there = runs.some((r) => values(groupOf(r), key));
      cell.replaceChildren(cell.firstChild, there ? chart.node : missingNote(key, cell.firstChild.textContent));
      if (there) setCurves(chart, key, title, caption, 'linear', 240);
    });
  }
}

function propertiesSection() {
  const body = section('properties', 'Gain along properties',
    'A property is the difference between the mean embeddings of two groups of words (plural − singular: number). A value is informative only in comparison with random directions: the grey band contains 95 % of them.');
  const holder = el('div');
  body.append(holder);
  const chart = new Chart({ id: 'properties', label: 'Properties by delay' });
  const controls = el('div', { class: 'controls' });
  const sizes = el('div');
  sections.push(() => {
    if (!propertyNames.length) {
      holder.replaceChildren(el('p', { class: 'note', 'data-missing': 'properties' },
        'No property was analysed. stategrad track RUN.nc --property NAME=A-B adds one to a finished run.'));
      return;
    }
    holder.replaceChildren(controls, chart.node, sizes);
    const subspaces = runs[0].subspaces.filter((k) => runs.some((r) => groupOf(r) && k <= groupOf(r).rank));
    const draw = () => {
      const key = state.propertyMeasure, cosine = key === 'cosine', gain = key === 'property_gain', rows = [];
      const at = (a, p, c, d) => {
        if (!a) return null;
        const cell = a[Math.min(p, a.length - 1)][c][d]; // what random directions give stands once for all properties
        return cosine ? cell[state.subspace] : cell;
      };
      runs.forEach((run, r) => {
        const g = groupOf(run), v = values(g, key), c = classIndex(run, 'propertyClass');
        if (!v || c < 0) return;
        const part = (suffix) => values(g, key + suffix), mark = markEvery(run.delays);
        run.properties.forEach((property, p) => {
          for (let d = 0; d < run.delays; d++) {
            const low = at(part('_low'), p, c, d), high = at(part('_high'), p, c, d);
            rows.push({ series: property.name, run: runNames[r], line: runs.length > 1 ? runNames[r] : 'trained', delay: d,
              value: at(v, p, c, d), low, high, mark: mark(d, p), first: p === 0,
              interval: part('_low') && at(v, p, c, d) !== null ? interval(low, high) || WITHHELD : null,
              random: at(part('_random'), p, c, d), random_low: at(part('_random_low'), p, c, d), random_high: at(part('_random_high'), p, c, d) });
          }
        });
      });
      const most = Math.max(0, ...rows.flatMap((r) => [r.value, r.high, r.random_high]).filter((v) => v !== null));
      const highest = gain ? most * 1.05 || 1 : cosine ? 1 : Math.min(1, Math.ceil(10.5 * Math.max(0.1, most)) / 10);
      const title = gain ? 'gain along the property' : cosine ? `cosine with the first ${runs[0].subspaces[state.subspace]} directions` : 'relative memory: gain over σ₁';
      chart.set({
        spec: 'property', rows, series: propertyNames, lines: linesOf(rows), cursor: true, hidden: [],
        runs: runNames, facet: runs.length > 1 && state.arrangement === 'side' ? runs.length : 0,
        columns: [['run', 'run'], ['series', 'property'], ['delay', 'delay'], ['value', 'value'], ['low', 'low'], ['high', 'high'],
          ['random', 'random'], ['random_low', 'random_low'], ['random_high', 'random_high']],
        title: `${title}, class ${classNames[state.propertyClass]} — ${groupTitle(state.group)}`,
        caption: (cosine
          ? 'How much of the property lies within the strongest directions.'
          : gain ? `How far the mean gradient moves the state along the property, in ${gainUnit(runs[0])}.`
            : 'Gain along the property over the largest gain at that delay, σ₁. It can rise while both fall.')
          + ' Grey: random directions, mean and 95 %.' + withheldNote(key, rows),
        patch(s) {
          s.encoding.x.title = `delay d (${STEPS})`;
          s.encoding.x.axis = { values: delayTicks(rows, false), format: 'd' };
          for (const layer of s.layer) if (layer.encoding && layer.encoding.y) {
            layer.encoding.y.title = title;
            layer.encoding.y.scale = { domain: [0, highest] };
          }
        },
      });
    };
    const rebuild = () => {
      controls.replaceChildren(
        switcher('Measure', [['property_gain', 'gain'], ['relative_memory', 'relative to σ₁'], ['cosine', 'subspace cosine']], state.propertyMeasure,
          (m) => { state.propertyMeasure = m; rebuild(); }),
        classChoice('propertyClass', draw));
      if (state.propertyMeasure === 'cosine')
        controls.append(choice('First k directions', subspaces.map((k) => [runs[0].subspaces.indexOf(k), k]), state.subspace, (v) => { state.subspace = Number(v); draw(); }));
      draw();
    };
    const withSizes = runs.flatMap((run) => run.properties.filter((p) => p.words_a !== null).map((p) =>
      `${p.name}: ${count(p.words_a)} and ${count(p.words_b)} words${Math.min(p.words_a, p.words_b) < 10 ? ' (few: the estimate is imprecise)' : ''}`));
    sizes.replaceChildren(withSizes.length ? el('p', { class: 'mute' }, `Words on the two sides — ${Array.from(new Set(withSizes)).join('; ')}.`) : '');
    rebuild();
  });
}

/* Single units of the state, where the run has them (--units). */
function unitsSection() {
  const node = document.getElementById('units');
  if (!runs.some((run) => run.groups.some((g) => g.unit_gains))) return;
  node.hidden = false;
  const body = section('units', 'Units of the state',
    'How far each single unit moves: along its own best direction of embedding space, and along each property, with its sign. From the mean gradient of all words: what cancels is not in it. The self gain is what is left in the unit of a small change of it, whatever the word. A click on a heading sorts by size.');
  sections.push(() => {
    body.replaceChildren(...runs.map((run, r) => {
      const g = groupOf(run);
      if (!g || !g.unit_gains) return null;
      const { last, at, missing, rows, self_missing: selfMissing, self_rows: selfRows } = g.unit_gains, cell = (x, low, high) => [withInterval(x, low, high), x], later = (x) => (last ? [x] : []);
      const head = ['unit', ...later('gain at delay 0'), `gain at delay ${last}`, ...later(`share left at delay ${last}`), ...run.properties.map((p) => `along ${shorten(p.name, 40)}, delay ${at}`), ...(selfRows ? [`self gain at delay ${last}`, 'half-life of the self gain'] : [])];
      const half = (x) => (x[3] === null && x[0] !== null ? [`above ${last}`, 1e9 + x[0]] : cell(x[3], x[4], x[5]));
      const cells = rows.map((x, u) => [[u, u], ...later([number(x[0], 3), x[0]]), cell(x[1], x[2], x[3]), ...later([x[0] > 0 ? percent(x[1] / x[0]) : '–', x[0] > 0 ? x[1] / x[0] : null]),
        ...run.properties.map((_, p) => cell(x[4 + 3 * p], x[5 + 3 * p], x[6 + 3 * p])), ...(selfRows ? [cell(...selfRows[u].slice(0, 3)), half(selfRows[u])] : [])]);
      const bounded = (k) => rows.flatMap((x) => Array.from({ length: k ? run.properties.length : 1 }, (_, p) => ({ value: x[k + 3 * p], low: x[k + 1 + 3 * p], high: x[k + 2 + 3 * p] })));
      return el('div', {}, runs.length > 1 ? el('h3', {}, runNames[r]) : null,
        el('p', { class: 'mute' }, ...[1, 4].map((k, i) => intervalsNote(bounded(k), plainReasons([missing[i]])))),
        selfRows ? el('p', { class: 'mute' }, ...[0, 3].map((k, i) => intervalsNote(selfRows.map((x) => ({ value: x[k], low: x[k + 1], high: x[k + 2] })), plainReasons([selfMissing[i]])).replace('No interval', `${i ? 'Half-lives' : 'Self gains'}: no interval`))) : null,
        sortableTable(head, cells, last ? 2 : 1, 20, { 'aria-label': `units of the ${groupTitle(state.group)}, ${runNames[r]}` }));
    }).filter(Boolean));
    body.append(el('p', { class: 'mute' }, 'Intervals: 95 %, over blocks of the corpus and, along a property given by words, over these; not adjusted for the number of units.'));
  });
}

/* A sign among words looks like a speck of dust: it is put in quotes. */
function legible(word) {
  return /[\p{L}\p{N}]/u.test(word) ? word : `“${word}”`;
}

function wordsSection() {
  const body = section('words', 'Words along the strongest directions',
    'The words whose normalised embeddings lie furthest along a direction, at both ends: the directions along which the state differs most d words later.');
  const holder = el('div');
  body.append(holder);
  const chart = new Chart({ id: 'words', label: 'Words along a direction' });
  const controls = el('div', { class: 'controls' });
  const aligned = el('p', { class: 'mute' });
  const choose = { run: 0, class: 0, delay: 1, direction: 0 };
  sections.push(() => {
    const usable = runs.map((r, i) => i).filter((i) => !runs[i].words.missing && runs[i].words.groups[state.group]);
    if (!usable.length) {
      holder.replaceChildren(el('p', { class: 'note', 'data-missing': 'words' }, `Not shown: ${runs[0].words.missing || 'no directions for this state'}.`));
      return;
    }
    if (!usable.includes(choose.run)) choose.run = usable[0];
    holder.replaceChildren(controls, chart.node, aligned);
    const rebuild = () => {
      const run = runs[choose.run], w = run.words;
      choose.class = Math.min(choose.class, w.classes - 1);
      choose.delay = Math.min(choose.delay, w.delays.length - 1);
      const cell = w.groups[state.group][choose.class][choose.delay];
      choose.direction = Math.max(0, Math.min(choose.direction, cell.length - 1));
      controls.replaceChildren(...[
        usable.length > 1 ? choice('Run', usable.map((i) => [i, shorten(runNames[i], 40)]), choose.run, (v) => { choose.run = Number(v); rebuild(); }) : null,
        choice('Class', run.classes.slice(0, w.classes).map((c, i) => [i, shorten(c.name, 40)]), choose.class, (v) => { choose.class = Number(v); rebuild(); }),
        choice('Delay', w.delays.map((d, i) => [i, d]), choose.delay, (v) => { choose.delay = Number(v); rebuild(); }),
        choice('Direction', cell.map((_, k) => [k, k + 1]), choose.direction, (v) => { choose.direction = Number(v); rebuild(); })].filter(Boolean));
      const direction = cell[choose.direction];
      if (!direction) {
        chart.set({ spec: 'words', rows: [], columns: [], caption: 'No directions for this class at this delay (too few pairs).' });
        aligned.textContent = '';
        return;
      }
      const [up, upBy, down, downBy, cosines] = direction;
      const row = (ids, by, end) => ids.map((id, i) => ({ word: w.words[id], value: by[i], count: w.counts[id], end }));
      const rows = [...row(up, upBy, '+'), ...row(down, downBy, '−').reverse()];
      distinct(rows.map((r) => legible(shorten(r.word, 24)))).forEach((label, i) => { rows[i].label = label; });
      chart.set({
        spec: 'words', rows, columns: [['word', 'word'], ['value', 'projection'], ['count', 'count']],
        title: `Direction ${choose.direction + 1}, class ${run.classes[choose.class].name}, delay ${w.delays[choose.delay]} — ${groupTitle(state.group)}`,
        caption: `Direction ${choose.direction + 1} of the mean gradient of class ${shorten(run.classes[choose.class].name, 60)} at delay ${w.delays[choose.delay]}; projections in standard deviations over the vocabulary, whose words these are, of any class. Which end is + is arbitrary.`,
      });
      const along = cosines.map((c, i) => [w.targets[i], c]).filter(([, c]) => c !== null).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 6);
      aligned.replaceChildren(...(along.length ? ['Lines up with ', ...along.flatMap(([name, c], i) => [i ? ', ' : '', el('b', {}, shorten(name, 40)), ` ${c > 0 ? '+' : '−'}${Math.abs(c).toFixed(2)}`]),
        ` (cosines; random vectors stay within ±${number(w.random_cosine_high, 2)}, random sets of words can lie beyond).`] : []));
    };
    rebuild();
  });
}

/* The reason why no word was replaced, and how to have words replaced. */
function withoutReplacement() {
  const reasons = new Set(runs.map((r) => (r.attributes.find(([k]) => k === 'replace_none') || [])[1]).filter(Boolean));
  return el('p', { class: 'note', 'data-missing': 'replacement' },
    `No word was replaced${reasons.size ? `: ${Array.from(reasons).join('; ')}` : ''}. stategrad analyze --replace N replaces about N words of the corpus and compares the states.`);
}

function hasValues(key) {
  return runs.some((r) => (values(groupOf(r), key) || []).some((row) => row.some((x) => x !== null)));
}

function replacementSection() {
  const body = section('replacement', `When the ${STEP} is replaced`,
    `${STEPS[0].toUpperCase()}${STEPS.slice(1)} are replaced by others, drawn by their frequency: by any of the corpus (rows of features: each equally likely) or by one of the same class; what follows is unchanged. `
    + `How far this moves the state d ${STEPS} later measures how much the state still depends on which ${STEP} was read: memory. The gradient only predicts this, from small changes.`);
  const hint = 'Point at the chart, or focus it and use the arrow keys, to read the values at one delay.';
  const chart = new Chart({ id: 'replacement', label: 'Effect of replacement by delay', share: 'classes', hint });
  const pairs = new Chart({ id: 'partners', label: 'Effect of replacement within pairs by delay', hint });
  const holder = el('div'), controls = el('div', { class: 'controls' }), drawing = el('div'), partners = el('div'), beside = el('div');
  body.append(holder);
  const choose = { delay: null };
  sections.push(() => {
    const available = Object.keys(CHANGES).filter((m) => runs.some((r) => values(groupOf(r), m)));
    if (!available.length) {
      holder.replaceChildren(withoutReplacement());
      return;
    }
    const laws = LAWS.filter(([law]) => !law || (classNames.length > 1 && hasValues(`${law}change`)));
    if (!laws.some(([law]) => law === state.law)) state.law = '';
    holder.replaceChildren(controls, drawing, beside, partners);
    const most = Math.max(...runs.map((r) => r.delays)) - 1;
    if (choose.delay === null || choose.delay > most) choose.delay = Math.min(8, most);
    const tables = () => beside.replaceChildren(
      el('div', { class: 'controls' }, choice('Delay', Array.from({ length: most + 1 }, (_, d) => [d, d]), choose.delay, (v) => { choose.delay = Number(v); tables(); })),
      ...runs.flatMap((run, r) => replacementTable(run, r, choose.delay, state.law)),
      ...runs.flatMap((run, r) => partnerTable(run, r, choose.delay)),
      el('p', { class: 'mute' }, 'Half-lives: delays after the peak at which half of the mean change (replacement by any word), or of the strongest rms gain, is left. Intervals: 95 %, over blocks of the corpus.'));
    const rebuild = () => {
      const what = CHANGES[state.change], key = state.law + state.change, place = state.law ? ' Replaced by another word of its class; of all words: by any.' : '';
      controls.replaceChildren(switcher('Quantity', available.map((m) => [m, CHANGES[m].name]), state.change, (m) => { state.change = m; rebuild(); }),
        ...(laws.length > 1 ? [switcher('Replaced by', laws, state.law, (l) => { state.law = l; rebuild(); })] : []));
      const there = hasValues(key);
      drawing.replaceChildren(there ? chart.node : missingNote(key, what.title));
      if (there) setCurves(chart, key, what.title, what.long + place, what.scale);
      const paired = hasValues(`partner_${state.change}`);
      partners.replaceChildren(...(paired ? [el('h3', {}, 'By the other word of its pair'), pairs.node]
        : propertyNames.length && runs.some((r) => values(groupOf(r), 'partner_change')) ? [missingNote(`partner_${state.change}`, 'Replacement within pairs')] : []));
      if (paired) setCurves(pairs, `partner_${state.change}`, what.title, `${what.long} Each word of a property's pairs is replaced by its partner.`, what.scale, 240, 'properties');
      tables();
    };
    rebuild();
  });
}

function pairsSection() {
  if (!labelNames.length) return;
  document.getElementById('pairs').hidden = false;
  const body = section('pairs', 'Chosen pairs of words',
    `The earlier ${STEP} of a chosen pair, and the state at the later one: gain and change of state, compared with other ${STEPS} of the same kind, in no pair, at the same distances.`);
  const chart = new Chart({ id: 'chosen-pairs', label: 'Chosen pairs by distance', hint: 'Point at the chart, or focus it and use the arrow keys, to read the values at one distance.' });
  const holder = el('div'), controls = el('div', { class: 'controls' }), drawing = el('div'), tables = el('div');
  body.append(holder);
  const choose = { key: 'pair_gain_ratio' };
  sections.push(() => {
    holder.replaceChildren(controls, drawing, tables);
    const available = Object.keys(PAIRS).filter((k) => runs.some((r) => values(groupOf(r), k)));
    if (!available.includes(choose.key)) choose.key = available[0] || 'pair_gain_ratio';
    const rebuild = () => {
      const what = PAIRS[choose.key], there = hasValues(choose.key);
      controls.replaceChildren(...(available.length ? [switcher('Quantity', available.map((k) => [k, PAIRS[k].name]), choose.key, (k) => { choose.key = k; rebuild(); })] : []));
      drawing.replaceChildren(there ? chart.node : missingNote(choose.key, what.title));
      if (there) setCurves(chart, choose.key, what.title, what.long, what.scale, 240, 'labels');
    };
    rebuild();
    tables.replaceChildren(...runs.flatMap((run, r) => pairsTable(run, r)));
  });
}

/* Per label, over all distances. */
function pairsTable(run, r) {
  const g = groupOf(run), counts = values(g, 'pair_count');
  if (!counts) return [];
  const part = (key, l) => (values(g, key) ? values(g, key)[l] : null);
  const cell = (key, l) => withInterval(part(`${key}_all`, l), part(`${key}_all_low`, l), part(`${key}_all_high`, l));
  const attribute = (key) => Number((run.attributes.find(([k]) => k === key) || [])[1] || 0);
  const left = [['pairs_reversed', 'reversed'], ['pairs_outside', 'with a word outside the corpus or sentence'], ['pairs_beyond_delays', 'further apart than the delays'], ['pairs_unfollowed', 'in the burn-in, or across a reset or window']]
    .filter(([key]) => attribute(key) > 0).map(([key, why]) => `${count(attribute(key))} ${why}`);
  return [runs.length > 1 ? el('h3', {}, runNames[r]) : null,
    table(['label', 'pairs', 'gain', 'gain of others', 'ratio of gains', 'change of state', 'change of others', 'ratio of changes'],
      run.labels.map((l, i) => [shorten(l.name, 60), count(counts[i].reduce((a, b) => a + b, 0)), ...['pair_gain', 'pair_other_gain', 'pair_gain_ratio', 'pair_change', 'pair_other_change', 'pair_change_ratio'].map((k) => cell(k, i))]),
      { 'aria-label': 'chosen pairs over all distances' }),
    el('p', { class: 'mute' }, `Over all distances, others in the same shares of kinds and distances. Intervals: 95 %, over blocks of the corpus.${left.length ? ` Left out: ${left.join('; ')}.` : ''}`)].filter(Boolean);
}

/* Per class at one delay: the change of state beside what the gradient says, and how long each lasts. */
function replacementTable(run, r, delay, law) {
  const g = groupOf(run);
  if (!values(g, `${law}change`)) return [];
  const part = (key, i, d) => (values(g, key) ? values(g, key)[i][d] : null);
  const cell = (key, i, d) => withInterval(part(key, i, d), part(`${key}_low`, i, d), part(`${key}_high`, i, d));
  const series = (name) => run.decay_quantity.indexOf(name), changed = series('change of state'), gain = series('largest rms gain');
  const rows = run.classes.map((c, i) => [shorten(c.name, 60), count(part(`${law}replaced_pairs`, i, delay)),
    ...Object.keys(CHANGES).filter((k) => k !== 'change_relative').map((k) => cell(law + k, i, delay)),
    changed < 0 ? '–' : cell('half_life', i, changed), gain < 0 ? '–' : cell('half_life', i, gain)]);
  return [runs.length > 1 ? el('h3', {}, runNames[r]) : null,
    table(['class', `replaced, with delay ${delay}`, 'change of state', '|G dx|', 'cosine', 'infidelity', 'KL (nats)', 'half-life of the change', 'half-life of the gain'], rows,
      { 'aria-label': `replacement by class at delay ${delay}` })].filter(Boolean);
}

/* Per property at one delay: the exchange within pairs, beside the gradient at the word and averaged along the way. */
function partnerTable(run, r, delay) {
  const g = groupOf(run), part = (key, i) => (values(g, key) ? values(g, key)[i][delay] : null);
  const cell = (key, i) => withInterval(part(key, i), part(`${key}_low`, i), part(`${key}_high`, i));
  const shown = run.properties.map((_, i) => i).filter((i) => part('partner_change', i) !== null);
  if (!shown.length) return [];
  return [el('h3', {}, `By the other word of its pair, at delay ${delay}${runs.length > 1 ? `: ${runNames[r]}` : ''}`),
    table(['property', 'replaced', 'change of state', '|G dx|', 'infidelity', 'averaged', '|G dx|, G averaged along the line', 'gap'],
      shown.map((i) => [shorten(run.properties[i].name, 60), count(part('partner_replaced_pairs', i)), ...['partner_change', 'partner_linear', 'partner_infidelity'].map((k) => cell(k, i)),
        count(part('partner_path_pairs', i)), cell('partner_path_average', i), cell('partner_path_gap', i)]), { 'aria-label': `replacement within pairs at delay ${delay}` }),
    el('p', { class: 'mute' }, 'The gradient at the word predicts |G dx|. Averaged along the straight line from the word to its partner, it gives the whole change up to the quadrature error, the gap. Where |G dx| is near 0, the change is large and the gap is small, the state depends on the word although the gradient at the word does not show it. Averages are taken at fewer words than replacements.')];
}

/* What the group of models has of quantity `key` for the series `name`: {mean: [by delay], low, high, blocks_low, blocks_high}. */
function overModels(group, key, name) {
  const at = group.states.find((x) => x.name === state.group), all = at && at.values[key];
  const i = (BY_PROPERTY.has(key) ? group.properties : group.classes).indexOf(name);
  return all && i >= 0 ? all[i] : null;
}

const BY_PROPERTY = new Set(['property_gain', 'relative_memory']);

/* "0.41 (models 0.30 to 0.52; text 0.39 to 0.43)" */
function withBoth(x, d) {
  if (!x || x.mean[d] === null || x.mean[d] === undefined) return '–';
  const range = (what, low, high) => (low === null ? '' : `${what} ${number(low, 3)} to ${number(high, 3)}`);
  const both = [range('models', x.low[d], x.high[d]), range('text', x.blocks_low[d], x.blocks_high[d])].filter(Boolean);
  return number(x.mean[d], 3) + (both.length ? ` (${both.join('; ')})` : '');
}

function modelsSection() {
  if (!data.models.length) return;
  const body = section('models', 'Groups of models',
    'Several trained models of each architecture, analysed on one text. The interval over models is that of the mean over training runs; the interval over blocks, that of the mean over texts of this kind. '
    + 'A statement about an architecture must rest on the interval over models.');
  const QUANTITIES = [['rms', 'rms gain', 'rms gain, strongest direction'], ['sigma1', 'σ₁', 'largest singular value σ₁'], ['ratio', 'gain ratio', 'rms gain of the class over that of all words'],
    ['change', 'change of state', 'change of the state when the word is replaced'], ['property_gain', 'gain of a property', 'gain along the property'],
    ['relative_memory', 'relative gain of a property', 'gain along the property over σ₁']];
  const chart = new Chart({ id: 'models', label: 'Groups of models by delay', hint: 'Point at the chart, or focus it and use the arrow keys, to read the values at one delay.' });
  const controls = el('div', { class: 'controls' }), tables = el('div');
  body.append(controls, chart.node, tables);
  const choose = { quantity: null, series: { class: 0, property: 0 } };
  sections.push(() => {
    const of = (group) => group.states.find((x) => x.name === state.group);
    const available = QUANTITIES.filter(([key]) => data.models.some((g) => of(g) && of(g).values[key] && of(g).values[key].length));
    if (!available.length) {
      chart.node.hidden = true;
      controls.replaceChildren();
      tables.replaceChildren(el('p', { class: 'note' }, `No group has the ${groupTitle(state.group)} in all its runs.`));
      return;
    }
    chart.node.hidden = false;
    if (!available.some(([key]) => key === choose.quantity)) [[choose.quantity]] = available;
    const draw = () => {
      const [key, , title] = available.find(([k]) => k === choose.quantity), kind = BY_PROPERTY.has(key) ? 'property' : 'class';
      const names = Array.from(new Set(data.models.flatMap((g) => (kind === 'property' ? g.properties : g.classes))));
      const name = names[choose.series[kind]] || names[0], most = Math.max(...data.models.map((g) => g.delays)), mark = markEvery(most);
      const raw = data.models.flatMap((group, i) => {
        const x = overModels(group, key, name);
        return !x ? [] : x.mean.map((value, d) => ({ series: group.name, line: 'mean', kind: `${group.runs.length} models`, reference: false, run: null, delay: d, exact: value, value,
          low: x.low[d], high: x.high[d], interval: interval(x.low[d], x.high[d]), blocks_low: x.blocks_low[d], blocks_high: x.blocks_high[d],
          pairs: null, mark: value !== null && mark(d, i), first: i === 0 }));
      });
      const { rows, patch } = scaleCurves(raw, key === 'rms' || key === 'sigma1' || key === 'change' || key === 'property_gain' ? 'log' : 'linear');
      chart.set({
        spec: 'curves', rows, series: data.models.map((g) => g.name), lines: ['mean'], cursor: true, facet: 0,
        columns: [['series', 'group'], ['delay', 'delay'], ['exact', 'mean'], ['low', 'models_low'], ['high', 'models_high'], ['blocks_low', 'blocks_low'], ['blocks_high', 'blocks_high']],
        title: `${title} — ${name}, ${groupTitle(state.group)}`,
        caption: `${title}, ${kind} ${shorten(name, 60)}: means over the models of each group. Bands: 95 % intervals over models.`,
        patch(s) { patch(s, title); },
      });
      const delays = [0, 1, 5, 10, 20, 50].filter((d) => d < most);
      const parts = [table(['group', 'models', ...delays.map((d) => `delay ${d}`)],
        data.models.map((g) => [shorten(g.name, 40), count(g.runs.length), ...delays.map((d) => withBoth(overModels(g, key, name), d))]), { 'aria-label': `${title} by group` })];
      const quantities = Array.from(new Set(data.models.flatMap((g) => g.decay_quantity)));
      if (kind === 'class' && quantities.length) {
        const half = (g, q) => {
          const at = of(g), k = g.decay_quantity.indexOf(q), i = g.classes.indexOf(name);
          return at && at.values.half_life && k >= 0 && i >= 0 ? withBoth(at.values.half_life[k][i], 0) : '–';
        };
        parts.push(el('h3', {}, `Half of the peak is left after (${STEPS})`), table(['group', ...quantities], data.models.map((g) => [shorten(g.name, 40), ...quantities.map((q) => half(g, q))]), { 'aria-label': 'half-lives by group' }));
      }
      parts.push(el('p', { class: 'mute' }, `Groups: ${data.models.map((g) => `${shorten(g.name, 40)} (${g.runs.map((r) => runNames[r]).join(', ')})`).join('; ')}. A dash: one of the models has no such value.`));
      tables.replaceChildren(...parts);
      controls.replaceChildren(
        switcher('Quantity', available.map(([k, short]) => [k, short]), key, (k) => { choose.quantity = k; draw(); }),
        choice(kind === 'property' ? 'Property' : 'Class', names.map((n, i) => [i, shorten(n, 40)]), names.indexOf(name), (v) => { choose.series[kind] = Number(v); draw(); }));
    };
    draw();
  });
}

/* A law of decay with its numbers, as one element. */
function lawText(law, scale, rate, shape) {
  const factor = number(scale, 2);
  if (law === 'power law') return el('span', { class: 'formula' }, `${factor} d`, el('sup', {}, `−${number(rate, 3)}`));
  if (law === 'exponential') return el('span', { class: 'formula' }, `${factor} exp(−d/${number(rate, 3)})`);
  return el('span', { class: 'formula' }, `${factor} exp(−(d/${number(rate, 3)})`, el('sup', {}, number(shape, 2)), ')');
}

/* What the run file says of the decay of class i, series q. law: the verdict's, else the nearest by its Akaike weight. */
function decayOf(run, g, i, q) {
  const of = (key) => (values(g, key) ? values(g, key)[i][q] : null), weight = of('decay_weight');
  const nearest = weight ? weight.reduce((b, x, k) => (x !== null && (b < 0 || x > weight[b]) ? k : b), -1) : -1;
  const verdict = of('decay_verdict'), law = verdict >= 0 && verdict !== null ? verdict : nearest, stretched = run.decay_law.indexOf('stretched exponential');
  const at = (key, k) => (of(key) && k >= 0 ? of(key)[k] : null);
  const half = (key) => at(key, law), determined = [['decay_scale', 'decay_scale_error'], ['decay_rate', 'decay_rate_error'], ['decay_shape', 'decay_shape_error']]
    .every(([x, e]) => half(x) === null || (half(e) !== null && half(e) < 0.5 * Math.abs(half(x))));
  return {
    law, verdict: nearest < 0 ? 'no fit' : verdict === null ? '–' : verdict >= 0 ? run.decay_law[verdict] : verdict === -1 ? 'none of the laws' : 'undecided',
    formula: law >= 0 && determined ? lawText(run.decay_law[law], half('decay_scale'), half('decay_rate'), half('decay_shape')) : null,
    beta: withInterval(at('decay_shape', stretched), at('decay_shape_low', stretched), at('decay_shape_high', stretched)),
    left: run.decay_share.map((_, k) => withInterval(at('share_delay', k), at('share_delay_low', k), at('share_delay_high', k))),
    peak: of('peak_delay'),
  };
}

function decaySection() {
  const body = section('decay', 'The decay law',
    `How many ${STEPS} after its peak a curve has fallen to a half, a fifth and a tenth, with 95 % intervals; and which decay law it follows at delays of 1 and more. `
    + 'A law is named only if it is the only one compatible with the data, given the errors over blocks; otherwise the verdict is “undecided”, or “none of the laws” and the formula is the nearest. '
    + 'β is the exponent of the stretched exponential: 1 for an exponential, below 1 for decays that slow down.');
  const holder = el('div');
  body.append(holder);
  const choose = { quantity: Math.max(0, runs[0].decay_quantity.indexOf('largest rms gain')) };
  sections.push(() => {
    if (!runs.some((r) => values(groupOf(r), 'decay_weight'))) {
      holder.replaceChildren(missingNote('decay_weight', 'Decay fits'));
      return;
    }
    const draw = () => {
      const q = choose.quantity, parts = [];
      const quantities = runs.find((r) => r.decay_quantity.length).decay_quantity;
      if (quantities.length > 1)
        parts.push(el('div', { class: 'controls' }, choice('Quantity', quantities.map((n, i) => [i, n]), q, (v) => { choose.quantity = Number(v); draw(); })));
      runs.forEach((run, r) => {
        const g = groupOf(run);
        if (!values(g, 'decay_weight')) return;
        if (runs.length > 1) parts.push(el('h3', {}, runNames[r]));
        const rows = run.classes.map((c, i) => {
          const d = decayOf(run, g, i, q);
          return [shorten(c.name, 60), d.peak === null ? '–' : String(d.peak), ...d.left, d.verdict, d.formula || '–', d.beta];
        });
        parts.push(table(['class', 'peak at delay', ...run.decay_share.map((s) => `${percent(s)} left after`), 'law', 'formula', 'β'], rows, { 'aria-label': 'laws of decay by class' }));
        const why = plainReasons(['decay_scale', 'decay_shape_low', 'share_delay', 'share_delay_low'].map((k) => g.missing[k]).filter((x) => x && !/^the run file has no/.test(x)));
        if (why.length) parts.push(el('p', { class: 'mute' }, `Missing entries: ${why.join('; ')}.`));
      });
      holder.replaceChildren(...parts);
    };
    draw();
  });
}

/* Attributes of a run file (doc/run-file.md) as they are shown: the name, and what a value means where it does not say so itself. */
const zero = (text) => ({ 0: text, '0.0': text });
const SETTINGS = {
  command: ['command'], version: ['stategrad version'], created: ['created'], seed: ['seed'],
  model_sha256: ['model (SHA-256)'], corpus_sha256: ['corpus (SHA-256)'], identity_sha256: ['model, corpus and settings (SHA-256)'],
  cell: ['cell'], layers: ['layers'], vocabulary: ['words in the vocabulary'], unit: ['a token is', { word: 'a word', char: 'a character' }],
  eos_word: ['word that ends a line'], unk_word: ['word for unknown words'],
  tokens: ['tokens'], unknown_tokens: ['unknown tokens'], unclassed_tokens: ['tokens in no class'], sentences: ['lines (sentences)'],
  documents: ['documents end at', { heading: 'headings', file: 'files', blank: 'blank lines', line: 'line ends', none: 'the end of the corpus only' }], document_count: ['documents'],
  blocks: ['blocks'], block_parts: ['variances of blocks and of their quarters', { 1: 'not compared', 4: 'compared' }], intervals_hold_for: ['intervals hold for'],
  state_handling: ['state handling', { carry: plainHandling('carry'), reset: plainHandling('reset') }], burn_in: ['steps left out after a zero state (burn-in)', zero('none')],
  warm_up: ['tokens read before a share of the corpus (warm-up)'], warm_up_difference: ['largest relative difference of states by the warm-up'],
  normalization: ['embeddings normalised by', { covariance: 'their covariance', none: 'nothing' }],
  covariance: ['covariance over', { types: 'words, each once', tokens: 'words by frequency', rows: 'rows of features' }],
  ridge: ['ridge, times the mean variance', zero('none')], ridge_reason: ['why there is a ridge'],
  sample: ['input positions used', zero('all origins')], precision: ['precision asked for', zero('none')],
  precision_sampling_error: ['relative error of the worst class, by sampling'], precision_total_error: ['its whole relative error'],
  precision_worst_class: ['the worst class'], precision_worst_delay: ['its worst delay'], precision_origins: ['input positions drawn for the precision'], precision_rounds: ['rounds of drawing'],
  second_moment_every: ['second moment at one step in', { 1: '1 (every step)' }],
  long_after: ['words share a basis after steps', zero('never')], long_tolerance: ['truncation tolerance of shared bases'],
  part: ['part of the corpus', zero('the whole corpus')], gradients: ['gradients'],
  lyapunov: ['Lyapunov exponents', zero('none')], lyapunov_none: ['why there are no Lyapunov exponents'],
  replace: ['words replaced (expected)'], replace_none: ['why no word was replaced'],
  replace_kl_rate: ['share of replaced words whose effect on the next word was computed'], replace_path_rate: ['share of words replaced by their partner whose gradient was averaged along the path'],
  pairs_followed: ['pairs of words averaged'], pairs_reversed: ['pairs left out: read after the other word'], pairs_outside: ['pairs left out: no such word, or no head'],
  pairs_beyond_delays: ['pairs left out: further apart than the delays'], pairs_unfollowed: ['pairs left out: in the burn-in, or a zero state between them'], pairs_other_share: ['share of other words drawn, for comparison'],
  unit_gains: ['gains of single units'],
};
const UNLISTED = ['kind', 'title', 'delays']; // said elsewhere on the page

function settingsSection() {
  const body = section('settings', 'Settings and counts', 'Inputs and settings of this page.');
  runs.forEach((run, r) => {
    if (runs.length > 1) body.append(el('h3', {}, runNames[r]));
    const list = el('dl');
    const add = (key, value) => list.append(el('dt', {}, key), el('dd', {}, value));
    const attributes = run.attributes.filter(([k]) => !UNLISTED.includes(k) && !k.startsWith('_'));
    const tokens = Number((attributes.find(([k]) => k === 'tokens') || [])[1]);
    add('run file', run.file);
    for (const [key, text] of attributes) {
      const [name, meant = {}] = Object.hasOwn(SETTINGS, key) ? SETTINGS[key] : [key.replace(/_/g, ' ')];
      const known = text !== null && Object.hasOwn(meant, text), whole = /^-?\d{4,}$/.test(text) && !['seed', 'eos_word', 'unk_word'].includes(key);
      const real = /^-?\d+(\.\d+)?(e-?\d+)?$/.test(text) && text.length > 8; // as the file has it: up to 17 digits
      const value = text === null ? '–' : known ? meant[text] : whole ? count(text) : real && key !== 'seed' ? number(Number(text)) : text;
      add(name, key === 'unknown_tokens' && tokens > 0 ? `${value} (${percent(Number(text) / tokens)})` : value);
    }
    add('delays', `0 … ${run.delays - 1}`);
    add('embedding size', count(run.embedding));
    add('states', run.groups.map((g) => `${g.name} (${g.units} units)`).join(', '));
    body.append(list, el('h3', {}, 'Tokens and pairs'));
    const g = groupOf(run, run.groups.length ? run.groups[0].name : ''), pairs = values(g, 'pairs');
    const facts = run.classes.some((c) => c.types !== undefined);
    body.append(table(['class', 'tokens', ...(facts ? ['words', 'effective words', 'most frequent'] : []), 'pairs at delay 0', `pairs at delay ${run.delays - 1}`],
      run.classes.map((c, i) => [c.name, count(c.tokens),
        ...(facts ? [count(c.types), number(c.effective_types, 3), `${shorten(c.top_word, 24)} (${percent(c.top_share)})`] : []),
        pairs ? count(pairs[i][0]) : '–', pairs ? count(pairs[i][run.delays - 1]) : '–']),
      { 'aria-label': 'tokens, words and pairs by class' }));
    if (facts) body.append(el('p', { class: 'mute' }, 'Effective words: N² / Σ n², n tokens of each word. Below 8, the values of a class are those of a few words and say little about a kind of word.'));
  });
}

/* A against B, where the page was made by `compare`. */
function comparisonSection() {
  const all = data.comparison;
  if (!all) return;
  document.getElementById('comparison').hidden = false;
  const models = all.rows.some((r) => r.ratio_models_low !== null), kinds = all.rows.some((r) => r.p_types_adjusted !== null), kind = (head) => (kinds ? [head] : []), over = (head) => (models ? [head] : []);
  const body = section('comparison', 'A against B', 'Both values, their ratio and their difference, with 95 % intervals. p tests that A/B is 1. A is called higher or lower where the adjusted p is below 0.05.');
  const head = ['measure', 'delay', 'A', 'B', 'A/B', ...over('A/B, over models'), 'A − B', 'p', 'adjusted p', ...kind('p of the kind of word'), 'A is'];
  const side = (s) => `${s.label} (${groupTitle(s.state)})`;
  for (const [i, pair] of all.pairs.entries()) {
    const rows = all.rows.filter((r) => r.pair === i);
    body.append(el('h3', {}, `A: ${side(pair.a)}. B: ${side(pair.b)}`),
      el('p', { class: 'mute' }, pair.blocks ? `Intervals over ${count(pair.blocks)} blocks of the text, the same for A and B: effects of a block on both cancel.` : 'Intervals over the blocks of each text; A and B are not paired.'),
      table(head, rows.map((r) => [r.measure, r.delay === undefined ? '' : r.delay, number(r.a, 3), number(r.b, 3), withInterval(r.ratio, r.ratio_low, r.ratio_high),
        ...over(withInterval(r.ratio, r.ratio_models_low, r.ratio_models_high)), withInterval(r.difference, r.difference_low, r.difference_high), number(r.p, 3), number(r.p_adjusted, 3),
        ...kind(number(r.p_types_adjusted, 3)), r.verdict || '–']), { 'aria-label': `${pair.a.label} against ${pair.b.label}` }));
  }
  const notes = [`Adjusted over the ${count(all.tests)} comparison${all.tests === 1 ? '' : 's'} of this section (Benjamini–Hochberg).`,
    ...(kinds ? ['p of the kind of word: the words of A are random words of A and B, of similar frequency; adjusted. All other values refer to these words as they occur in the text.'] : []),
    ...Array.from(new Set(all.rows.map((r) => r.no_verdict).filter(Boolean)), (why) => `–: ${why}.`), ...all.notes];
  body.append(...notes.map((text) => el('p', { class: 'mute' }, text)));
}

/* Runs that belong to a group of models have their section there. */
function summarySection() {
  const node = document.getElementById('summary');
  const body = el('div'), grouped = new Set(data.models.flatMap((g) => g.runs));
  node.append(body);
  sections.push(() => {
    body.replaceChildren(...runs.flatMap((run, r) => {
      const lines = grouped.has(r) ? [] : summaryOf(run);
      if (!lines.length) return [];
      return [runs.length > 1 ? el('h2', {}, runNames[r]) : null, el('p', { class: 'lead' }, lines[0]),
        el('ul', {}, ...lines.slice(1).map((l) => el('li', {}, ...[l].flat())))].filter(Boolean);
    }));
  });
}

/* A class beside all words: the geometric mean of the ratio of gains over the delays of 1 and more at which it has an interval (none
 * where these are fewer than half: too few tokens), at how many of them its kind of word differs from words of similar frequency, and of
 * how many that can be said. */
function standing(run, g, i, at) {
  const of = (key) => (values(g, key) ? values(g, key)[i] : []), kinds = of('q_types').filter((p) => p !== null), ratio = of('ratio')[at];
  return { name: run.classes[i].name, factor: ratio > 0 ? ratio : null, low: of('ratio_low')[at], high: of('ratio_high')[at],
    significant: kinds.filter((p) => p < 0.05).length, tested: kinds.length };
}

/* The headline: how fast the rms gain falls from its peak. */
function headline(run, g, all, last) {
  const where = `the gain from a ${STEP} to the state (${groupTitle(state.group)})`, words = (n) => (n === 1 ? `one ${STEP}` : `${n} ${STEPS}`);
  const peak = all.reduce((best, v, d) => (v > all[best] ? d : best), 0), from = peak ? `, counted from its peak at delay ${peak}` : '';
  const left = `${percent(all[last] / all[peak])} of ${where} is left`, q = run.decay_quantity.indexOf('largest rms gain');
  const [half, , tenth] = q < 0 ? [] : decayOf(run, g, 0, q).left, known = (x) => x && x !== '–';
  if (!known(half)) return `After ${words(last)}, ${left}${all.some((v, d) => d > peak && v !== null && v <= all[peak] / 2) ? '' : ': it does not fall to half within the window'}${from}.`;
  return `Half of ${where} is lost ${half} ${STEPS} later; ${known(tenth) ? `nine tenths, ${tenth} ${STEPS} later` : `after ${words(last)} ${percent(all[last] / all[peak])} is left`}${from}.`;
}

/* What replacing a word does to the state, and what the gradient makes of it: none, or one sentence. */
function replacedSentence(run, g, band) {
  const change = values(g, 'change'), last = run.delays - 1;
  if (!change || change[0][0] === null) return [];
  const q = run.decay_quantity.indexOf('change of state'), of = (key, at) => (values(g, key) ? values(g, key)[0][at] : null), half = of('half_life', q);
  const at = Math.min(8, last), is = (key) => `${number(of(key, at), 3)}${band(key, at)}`;
  return [`Replacing a ${STEP} by another moves the state by ${number(change[0][0], 3)}${band('change', 0)} at once and by ${number(change[0][last], 3)}${band('change', last)} at delay ${last}`
    + (half === null || half === undefined ? '.' : `; half of the change at delay ${of('peak_delay', q)} is left after ${withInterval(half, of('half_life_low', q), of('half_life_high', q))} ${STEPS}.`)
    + ` This measures memory: it would be 0 if the state did not depend on which ${STEP} was read. At delay ${at} the gradient predicts it with cosine ${is('linear_cosine')} and infidelity ${is('infidelity')} (0: exactly; 1: no better than predicting no change).`];
}

/* "0.81 (95 %: 0.7 to 0.9) at delay 0 (random directions: 0.3 to 1.2: within chance)" of property p, all words */
function besideChance(g, key, p, d) {
  const of = (suffix, q) => { const x = values(g, key + suffix); return x ? x[q][0][d] : null; };
  const x = of('', p), low = of('_low', p), least = of('_random_low', 0), most = of('_random_high', 0);
  return `${number(x, 3)}${low === null ? '' : ` (95 %: ${number(low, 3)} to ${number(of('_high', p), 3)})`} at delay ${d}`
    + (least === null ? '' : ` (random directions: ${number(least, 3)} to ${number(most, 3)}: ${x > most ? 'above' : x < least ? 'below' : 'within'} chance)`);
}

const MOST_PROPERTIES = 4; // in the summary

/* Is the gain along property p above that of random directions where it is largest? */
function aboveChance(g, p) {
  const gain = values(g, 'property_gain')[p][0], peak = gain.reduce((best, x, d) => (x > gain[best] ? d : best), 0);
  return gain[peak] > values(g, 'property_gain_random_high')[0][0][peak];
}

/* One sentence a property: its gain and its share of σ₁, each beside random directions, and its half-life. */
function propertySentences(run, g) {
  const gain = values(g, 'property_gain'), half = values(g, 'property_half_life'), at = Math.min(10, run.delays - 1);
  const known = gain ? run.properties.map((_, p) => p).filter((p) => gain[p][0][0] !== null && gain[p][0][at] !== null) : [];
  const bounds = (key, p) => { const low = values(g, `${key}_low`), high = values(g, `${key}_high`); return low && low[p][0] !== null ? ` (95 %: ${number(low[p][0], 3)} to ${number(high[p][0], 3)})` : ''; };
  const both = (key, p) => (at ? [0, at] : [0]).map((d) => besideChance(g, key, p, d)).join(' and ');
  const lines = known.slice(0, MOST_PROPERTIES).map((p) => `Along ${shorten(run.properties[p].name, 60)} the gain is ${both('property_gain', p)}`
    + (half && half[p][0] !== null && aboveChance(g, p) ? `; half of it is lost ${number(half[p][0], 3)}${bounds('property_half_life', p)} ${STEPS} after its peak` : '')
    + `. Relative to σ₁ it is ${both('relative_memory', p)}.`);
  if (known.length > MOST_PROPERTIES) lines.push(`${known.length - MOST_PROPERTIES} more properties are in their section below.`);
  return lines;
}

/* The tokens that second moments are of. */
function momentTokens(run) {
  const every = Number((run.attributes.find(([k]) => k === 'second_moment_every') || [])[1]), tokens = `${count(run.classes[0].tokens)} tokens`;
  return every > 1 ? `one in ${every} of ${tokens}` : tokens;
}

/* Sentences with the numbers in them, each from one variable of the run file. */
function summaryOf(run) {
  const g = groupOf(run), rms = values(g, 'rms'), lines = [], last = run.delays - 1, at = Math.min(10, last);
  if (!rms || !rms.length) return [`No analysis of the ${groupTitle(state.group)} in this run.`];
  const all = rms[0], fits = values(g, 'decay_weight');
  const band = (key, d) => (values(g, `${key}_low`) && values(g, `${key}_low`)[0][d] !== null ? ` (95 %: ${number(values(g, `${key}_low`)[0][d], 3)} to ${number(values(g, `${key}_high`)[0][d], 3)})` : '');
  lines.push(all[0] === null ? 'The gains are missing; the settings below state why.' : headline(run, g, all, last));
  lines.push(`The rms gain, in ${gainUnit(run)}, is ${number(all[0], 3)}${band('rms', 0)} for the ${STEP} just read and ${number(all[last], 3)}${band('rms', last)} for the ${STEP} ${last} steps before, averaged over ${momentTokens(run)}.`);
  lines.push(...replacedSentence(run, g, band));
  const q = run.decay_quantity.indexOf('largest rms gain');
  if (fits && q >= 0 && fits[0][q].some((w) => w !== null)) {
    const d = decayOf(run, g, 0, q), [halfLeft, fifthLeft, tenthLeft] = d.left;
    const law = d.verdict === 'none of the laws' ? ['No decay law fits the rms gain within the error bars over blocks', ...(d.formula ? [' (the nearest: ', d.formula, ')'] : [])]
      : d.verdict === 'undecided' || !d.formula ? ['The decay law of the rms gain is undecided'] : [`The rms gain falls as ${/^[aeiou]/.test(d.verdict) ? 'an' : 'a'} ${d.verdict}, `, d.formula];
    const fallen = [['half', halfLeft], ['a fifth', fifthLeft], ['a tenth', tenthLeft]].filter(([, x]) => x !== '–').map(([name, x]) => `${name} after ${x}`);
    lines.push([...law, `; β ${d.beta}.` + (fallen.length ? ` Of its value at delay ${d.peak}, ${fallen.join(', ')} ${STEPS} is left.` : '')]);
  }
  const lyapunov = values(g, 'lyapunov');
  if (lyapunov && lyapunov[0] !== null) {
    const bound = (key) => (values(g, key) ? values(g, key)[0] : null), low = bound('lyapunov_low'), high = bound('lyapunov_high');
    lines.push(`The largest Lyapunov exponent, the long-run growth rate of small changes of the state, is ${withInterval(lyapunov[0], low, high)} per ${STEP}: `
      + (low === null ? 'it has no interval, so growth is undecided.'
        : low > 0 ? 'they grow, and the values of this page may depend on rounding.'
          : high < 0 ? `they halve in ${number(Math.LN2 / -lyapunov[0], 3)} ${STEPS}.` : 'they may shrink or grow.'));
  }
  const soon = Math.min(1, last), ranked = run.classes.map((_, i) => i).slice(1).map((i) => standing(run, g, i, soon)).filter((x) => x.factor !== null).sort((a, b) => b.factor - a.factor);
  if (ranked.length > 1) {
    const tell = (x) => `${shorten(x.name, 60)}, ${withInterval(x.factor, x.low, x.high)} times all ${STEPS} (${x.tested ? `as a kind of word it differs from words of similar frequency at ${x.significant} of ${x.tested} delays` : 'no statement about its kind'})`;
    lines.push(`At delay ${soon} the gain over all directions is largest for ${tell(ranked[0])}; smallest for ${tell(ranked[ranked.length - 1])}.`);
  }
  lines.push(...propertySentences(run, g));
  const untrained = values(baselineOf(run), 'rms');
  if (untrained && untrained[0][at] > 0)
    lines.push(`At delay ${at} the gain of the trained model is ${percent(all[at] / all[0])} of that at delay 0; before training it is ${percent(untrained[0][at] / untrained[0][0])}.`);
  const sigma = values(g, 'sigma1'), coherence = values(g, 'coherence');
  if (sigma && coherence && coherence[0][0] !== null)
    lines.push(`In the mean gradient contributions of opposite sign cancel: σ₁ is ${number(sigma[0][0], 3)}${band('sigma1', 0)} at delay 0 and ${number(sigma[0][at], 3)}${band('sigma1', at)} at delay ${at}, coherence ${number(coherence[0][0], 2)} and ${number(coherence[0][at], 2)} (1: the same linear map at every position).`);
  const attribute = (key) => (run.attributes.find(([k]) => k === key) || [])[1], scope = attribute('intervals_hold_for');
  if (scope)
    lines.push(`Intervals hold for ${scope}` + (Number(attribute('document_count')) > 1 ? ` (${attribute('document_count')} documents, ${attribute('blocks')} blocks).` : ', which is one document.'));
  return lines;
}

/* ---- the page ---- */

function redraw() {
  for (const draw of sections) draw();
  document.querySelectorAll('.scroll').forEach(markScrolling);
}

function plainHandling(handling) {
  return { carry: 'state carried over sentences', reset: 'state zero at sentence starts' }[handling] || handling;
}

/* What a run is of: files as the command names them, the model, the text, the settings. */
function factsOf(run) {
  const attribute = (name) => (run.attributes.find(([k]) => k === name) || [])[1], layers = Number(attribute('layers'));
  const files = /^stategrad analyze ((?:(?!-)[^ ']+ ?)+)/.exec(attribute('command') || '');
  const names = files ? files[1].trim().split(' ').map((f) => f.replace(/.*\//, '')) : [];
  return [names.length > 1 ? `${shorten(names[0], 40)} on ${shorten(names.slice(1).join(', '), 40)}` : null,
    attribute('cell') && `${attribute('cell')}, ${count(layers)} layer${layers === 1 ? '' : 's'}`,
    `${count(run.classes[0].tokens)} tokens`, `delays 0 to ${run.delays - 1}`, plainHandling(attribute('state_handling'))].filter(Boolean).join('; ');
}

function start() {
  document.getElementById('subject').textContent = shorten(runNames.join(', '), 80);
  if (runs.length === 1) document.getElementById('facts').textContent = factsOf(runs[0]);
  document.title = `State gradients: ${shorten(runNames.join(', '), 100)}`;
  document.getElementById('version').textContent = data.version;
  const tools = document.getElementById('tools');
  state.group = groupNames[0];
  if (groupNames.length > 1) tools.append(choice('State', groupNames.map((n) => [n, groupTitle(n)]), state.group, (v) => { state.group = v; redraw(); }));
  if (runs.length > 1) tools.append(switcher('Runs', [['overlay', 'overlaid'], ['side', 'side by side']], state.arrangement, (v) => { state.arrangement = v; redraw(); }));
  tools.append(themeButton(redraw));
  summarySection();
  comparisonSection();
  modelsSection();
  curvesSection();
  replacementSection();
  pairsSection();
  classesSection();
  spectrumSection();
  shapeSection();
  propertiesSection();
  unitsSection();
  wordsSection();
  decaySection();
  settingsSection();
  redraw(); // before the browser says that the page is loaded: a picture taken then has every chart
  document.documentElement.dataset.ready = 'true';
  onNewWidth(redraw);
}

start();
