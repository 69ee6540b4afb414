/* ---- drift: whether a version's answers are still like its reference (lathe watch), in pictures and in words ---- */

/* What a signal is for people, and what it means when it goes up, down, or is otherwise than before. */
const SIGNALS = {
  prompt_tokens: ['Length of prompts, in tokens', 'People write longer prompts.', 'People write shorter prompts.'],
  cached_share: ['Share of a prompt that was there already', 'More of the prompts begin as others did.', 'Fewer of the prompts begin as others did.'],
  answer_tokens: ['Length of answers, in tokens', 'Answers have become longer.', 'Answers have become shorter.'],
  prompt_nll: ['How surprising prompts are to the model', 'What is asked is less like what the model has learned.', 'What is asked is more like what the model has learned.'],
  entropy: ['How unsure the model is of its words', 'The model is less sure of what to say.', 'The model is surer of what to say.'],
  confidence: ['How sure the model is of its words', 'The model is surer of what to say.', 'The model is less sure of what to say.'],
  logprob: ['How likely its own words are to the model', 'The model says what is likelier to it.', 'The model says what is less likely to it.'],
  first_s: ['Wait for the first token, in seconds', 'Answers begin later.', 'Answers begin sooner.'],
  feedback: ['What people say of answers, from -1 to 1', 'Answers are rated higher.', 'Answers are rated lower.'],
  experts_effective: ['How many experts the model uses', 'The work is spread over more experts.', 'The work is left to fewer experts.'],
  token_s: ['Time for each further token, in seconds', 'Answers come more slowly.', 'Answers come faster.'],
  prompt_language: ['Language of prompts', 'People write in other languages than before.'],
  answer_language: ['Language of answers', 'The model answers in other languages than before.'],
  finish: ['How answers end', 'Answers end otherwise than before.'],
  refused: ['Refusals', 'The model refuses otherwise than before.'],
  schema_ok: ['Answers in the form that was asked for', 'Answers keep to the form otherwise than before.'],
  tool_ok: ['Calls of tools that are whole', 'Calls of tools are whole otherwise than before.'],
  expert: ['The expert that has the most to do', 'Another expert has the most to do than before.'],
  sketch: ['What prompts are about, as the model sees it', 'Prompts are about other things than before.'],
};
const CATEGORIES = { finish: { stop: 'by themselves', length: 'at the limit', tool_calls: 'with a tool', cancelled: 'given up', failed: 'failed' }, refused: { 0: 'no', 1: 'yes' }, schema_ok: { 0: 'no', 1: 'yes' }, tool_ok: { 0: 'no', 1: 'yes' } };
const signal_name = s => SIGNALS[s.name]?.[0] ?? s.name;
const sd = x => Math.abs(x) < .2 ? 'hardly' : Math.abs(x) < .5 ? 'a little' : Math.abs(x) < .8 ? 'clearly' : 'far';
const between = (a, b, f = x => x.toFixed(2)) => a === null || b === null ? '' : ` (${f(a)} to ${f(b)})`;

/* How far, in words. */
function effect_words(s) {
  const w = s.window, e = w?.effect;
  if (!w || !w.test) return 'There are too few answers yet to say how far it is from the reference.';
  if (s.kind === 'number' && e.shift === null) return 'All of the reference are alike, so there is no scale to say how far.';
  if (s.kind === 'number') return `Now ${sd(e.shift)} ${e.shift < 0 ? 'lower' : 'higher'}: ${Math.abs(e.shift).toFixed(2)} standard deviations of the reference${between(...[Math.abs(e.shift_low), Math.abs(e.shift_high)].sort((a, b) => a - b))}.`;
  if (s.kind === 'category') return e.category ? `Most changed: ${category_name(s.name, e.category)}, ${part(e.share_reference)} of the reference and ${part(e.share_window)} now. In all ${part(e.tv)} have moved.` : `${part(e.tv)} have moved.`;
  return `Of one answer now and one of the reference, it can be told in ${part(Math.max(e.auc, 1 - e.auc))} of cases which is which; 50 % would be by chance.`;
}
function meaning(s) {
  const words = SIGNALS[s.name];
  if (!words) return '';
  if (s.kind !== 'number') return words[1];
  const way = s.window?.effect?.shift ?? s.window?.effect?.delta;     // all of the reference alike: no scale, but a side
  return way ? words[way < 0 ? 2 : 1] : 'It is otherwise than before.';
}
function category_name(signal, name) { return name === null ? '(missing)' : CATEGORIES[signal]?.[name] ?? name; }

/* Evidence after each answer, as its logarithm, and the line at which it alarms. */
function evidence_picture(s, d) {
  const f = make('figure', make('figcaption', 'Evidence of a change, answer by answer')), pic = f.appendChild($('chart').content.querySelector('svg').cloneNode());
  const L = 40, W = 340, T = 8, H = 80, line = Math.log10(s.every_event.threshold), n = Math.max(1, d.at.at(-1)[0]), top = Math.min(3 * line, Math.max(1.25 * line, ...s.path.map(e => Math.log10(e) * 1.05)));
  const x = k => L + (W - L - 4) * k / n, y = e => H - (H - T) * Math.min(1, Math.max(0, Math.log10(Math.max(e, 1)) / top)), points = s.path.map((e, i) => `${x(d.at[i][0]).toFixed(1)},${y(e).toFixed(1)}`), m = s.every_event;
  svg(pic, 'line', { class: 'rule', x1: L, x2: W, y1: H, y2: H });
  svg(pic, 'line', { class: 'limit', x1: L, x2: W, y1: y(m.threshold), y2: y(m.threshold) });
  svg(pic, 'text', { class: 'limit', x: L - 4, y: y(m.threshold) + 4, 'text-anchor': 'end' }, 'alarm');
  svg(pic, 'text', { x: L - 4, y: H + 4, 'text-anchor': 'end' }, 'none');
  if (m.alarmed) svg(pic, 'line', { class: 'alarm', x1: x(m.alarmed_at), x2: x(m.alarmed_at), y1: T, y2: H });
  svg(pic, 'polyline', { class: m.alarmed ? 'bad' : 's0', points: `${x(0)},${y(1)} ${points.join(' ')}` });
  if (m.alarmed) svg(pic, 'circle', { class: 'alarm', cx: x(m.alarmed_at), cy: y(m.threshold), r: 3.5 });
  svg(pic, 'text', { x: L, y: 94 }, 'first answer');
  svg(pic, 'text', { x: W, y: 94, 'text-anchor': 'end' }, `${num(d.at.at(-1)[0])}. answer`);
  pic.setAttribute('aria-label', `Evidence over ${d.at.at(-1)[0]} answers: it was at most ${part(Math.log10(Math.max(1, m.e_max)) / line)} of the way to the alarm line, and is ${part(Math.log10(Math.max(1, m.e)) / line)} now.`);
  return f;
}
const cut_text = x => Math.abs(x) >= 1e5 ? x.toExponential(1) : Number(x.toPrecision(3)).toString();
/* Bars of the reference beside those of now. */
function shares_picture(s, d) {
  const p = s.picture, f = make('figure'), pic = $('chart').content.querySelector('svg').cloneNode(), names = p.names ? p.names.map(n => category_name(s.name, n)) : [], pairs = p.reference.map((r, i) => [r, p.window[i]]);
  if (p.names && p.others.some(x => x)) names.push('others'), pairs.push(p.others);
  const L = 42, W = 340, T = 6, H = 80, most = Math.max(.01, ...pairs.flat()), y = v => H - (H - T) * v / most, step = (W - L) / pairs.length, wide = Math.min(22, step * .42);
  for (const v of [0, most]) {
    svg(pic, 'line', { class: 'rule', x1: L, x2: W, y1: y(v), y2: y(v) });
    svg(pic, 'text', { x: L - 5, y: y(v) + 4, 'text-anchor': 'end' }, `${Math.round(v * 100)} %`);
  }
  pairs.forEach(([r, w], i) => {
    const mid = L + step * (i + .5);
    svg(pic, 'rect', { class: 'was', x: mid - wide, y: y(r), width: wide - .5, height: H - y(r) });
    svg(pic, 'rect', { class: 'now', x: mid + .5, y: y(w), width: wide - .5, height: H - y(w) });
    if (p.names) svg(pic, 'text', { x: mid, y: 94, 'text-anchor': 'middle' }, names[i].length > step / 6 ? names[i].slice(0, Math.max(1, Math.floor(step / 6) - 1)) + '…' : names[i]);
  });
  if (p.cuts) {
    const one = p.cuts.length === 2, at = one ? [[1.5, p.cuts[0]]] : [[1, p.cuts[0]], [Math.floor(p.cuts.length / 2) + 1, p.cuts[Math.floor(p.cuts.length / 2)]], [p.cuts.length, p.cuts.at(-1)]];
    for (const [i, v] of at) svg(pic, 'text', { x: L + step * i, y: 94, 'text-anchor': 'middle' }, cut_text(v));
  }
  const bin = i => p.names ? names[i] : !i ? `below ${cut_text(p.cuts[0])}` : i === p.cuts.length ? `from ${cut_text(p.cuts.at(-1))} on` : `${cut_text(p.cuts[i - 1])} to ${cut_text(p.cuts[i])}`;
  pic.setAttribute('aria-label', `Shares of the reference, and of the last ${d.effect_of} answers: ${pairs.map(([r, w], i) => `${bin(i)}: ${part(r)}, ${part(w)}`).join('; ')}.`);
  f.append(make('figcaption', s.kind === 'vector' ? 'How far from the usual' : 'How it is spread', make('span.key', make('span.was', '■ reference'), make('span.now', `■ last ${num(d.effect_of)} answers`))), pic);
  return f;
}

/* The rules that look at a signal, and what they say now. */
function rule_lines(s, d) {
  return d.rules.filter(r => r.signal === 'any' || r.signal === s.name).map(r => {
    const when = { alarm: 'it alarms', worse: 'it is worse for the candidate than for the stable version', effect: `it is more than ${r.effect} from the reference` }[r.when], what = r.do.replaceAll('_', ' '), looks = r.looks > 1 ? ` at ${r.looks} looks in a row` : '';
    return make('p.small' + (r.met.includes(s.name) ? '.met' : ''), r.met.includes(s.name) ? `Rule: ${what}. That is now the case${looks && `, to be so${looks}`}.` : `Rule: when ${when}${looks}, ${what}.`);
  });
}
function signal_card(s, d) {
  const m = s.every_event, c = m.change_at_alarm, out = make('div.card.signal' + (m.alarmed ? '.alarmed' : ''), make('h4', signal_name(s), ' ', make('span.state', m.alarmed ? 'has changed' : 'as before')));
  if (m.alarmed) out.append(make('p', make('b', meaning(s)), ` Seen after answer ${num(m.alarmed_at)}${at_answer(d, m.alarmed_at)}; it most likely began after answer ${num(c.at)} (${num(c.low)} to ${num(c.high)}).`));
  out.append(make('p.small', effect_words(s)), make('div.pair', evidence_picture(s, d), shares_picture(s, d)), ...rule_lines(s, d));
  if (SIGNALS[s.name]) out.append(make('p.small.soft', make('code', s.name)));
  return out;
}
function at_answer(d, n) {
  const p = d.at.find(p => p[0] >= n);
  return p ? `, ${new Date(p[1] * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}` : '';
}
const nearness = s => Math.log10(Math.max(1e-9, s.every_event.e_max)) + (s.every_event.alarmed ? 1e6 : 0);

function draw_drift(d, why) {
  if (!d) return [make('p.soft', `This cannot be told: ${why}. A reference is made of answers that were as they should be (lathe watch NAME --since .. --until .. --out reference.json), and kept with their version (lathe registry add .. --evidence reference.json).`)];
  const signals = [...d.report.signals].sort((a, b) => nearness(b) - nearness(a)), alarmed = signals.filter(s => s.every_event.alarmed), shown = Math.max(alarmed.length, 2), rest = signals.slice(shown);
  const against = `the ${num(d.reference.events)} answers that were registered with version ${d.reference.version}`;
  const verdict = make('p.verdict' + (alarmed.length ? '.bad' : ''), make('b', !d.answers ? 'No answer yet. ' : alarmed.length ? `Yes: ${alarmed.length === 1 ? 'one thing has' : alarmed.length + ' things have'} changed. ` : 'No. '),
    `${num(d.answers)} answers of version ${d.version} were compared with ${against}${d.behind ? '; more are being read' : ''}. Where nothing has changed, any alarm, ever, has a chance of at most ${part(d.alpha)}, however often one looks.`);
  const told = alarmed.length && d.rules.length ? [] : [make('p.small.soft', d.rules.length ? `Rules are kept to by lathe watch, where it runs.` : 'No rules are given to this server (--watch-rules); lathe watch --rules acts on alarms by itself.')];
  const out = [verdict, ...told, make('div.signals', ...signals.slice(0, shown).map(s => signal_card(s, d)))];
  if (rest.length) {
    const more = make('details', make('summary', `${rest.length} more that ${rest.length === 1 ? 'is' : 'are'} as before: ${rest.map(signal_name).join(' · ')}`), make('div.signals', ...rest.map(s => signal_card(s, d))));
    more.open = drift_open;
    more.addEventListener('toggle', () => { drift_open = more.open; });
    out.push(more);
  }
  return out;
}
let drift_open = false;
