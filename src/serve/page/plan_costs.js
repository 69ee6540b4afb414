
/* ---- plan: what a month costs over load, and from where on which is cheaper ---- */

let plan_costs = null;                                /* { r, q } of the plan that is shown, where it has costs */
const DASHES = ['', '9 3', '3 3', '12 3 2 3', '6 2 1 2 1 2', '2 2', '14 4', '1 4'];
/* Twelve at most: another dash where a colour comes again. */
const line_of = k => { const dash = DASHES[(k + (k >> 3)) % 8]; return { class: 'p' + k % 8, ...(dash && { 'stroke-dasharray': dash }) }; };
/* A piece of the line, for lists. */
function sample_of(k) {
  const pic = $('chart').content.querySelector('svg').cloneNode();
  pic.removeAttribute('role');
  pic.setAttribute('viewBox', '0 0 30 10'), pic.setAttribute('aria-hidden', 'true');
  svg(pic, 'polyline', { ...line_of(k), points: '1,5 29,5' });
  return pic;
}
/* Two options of one name are told apart. */
function option_names(options) {
  return options.map((o, i) => { const same = p => p.name === o.name && !p.usd_bought === !o.usd_bought, name = o.name.replace(/^(\d+) x /, '$1 × ') + (o.usd_bought ? ' (bought)' : o.usd_per_hour ? ' (rented)' : '');
    return options.filter(same).length > 1 ? `${name} no. ${options.slice(0, i + 1).filter(same).length}` : name; });
}
const cheapest_at = (r, i) => r.options.reduce((best, o, k) => o.usd_per_month[i] !== null && (best < 0 || o.usd_per_month[i] < r.options[best].usd_per_month[i]) ? k : best, -1);
const index_of = (r, rate) => r.requests_per_s.reduce((best, x, i) => Math.abs(Math.log(x / rate)) < Math.abs(Math.log(r.requests_per_s[best] / rate)) ? i : best, 0);
/* [{ k, from, to }] of loads' indices; where prices are steps and cross within less than a seventh of a decade, the one that stays. */
function cheapest_spans(r) {
  const spans = [], add = (k, from, to) => { if (spans.at(-1)?.k === k) spans.at(-1).to = to; else spans.push({ k, from, to }); }, wide = Math.ceil(.15 / Math.log10(r.requests_per_s[1] / r.requests_per_s[0]));
  const raw = [];
  r.requests_per_s.forEach((_, i) => { const k = cheapest_at(r, i); if (raw.at(-1)?.k === k) raw.at(-1).to = i; else raw.push({ k, from: i, to: i }); });
  for (const s of raw) if (s.k >= 0) s.to - s.from + 1 < wide && spans.length ? spans.at(-1).to = s.to : add(s.k, spans.length ? s.from : 0, s.to);
  return spans;
}
/* begins: it is the cheaper one of a small load, too, and only their steps cross.  Break-even points between the two that are cheapest there; those at the end of what was looked at are no points of the plot. */
function evens_of(r) {
  const last = r.requests_per_s.at(-1), all = r.break_even.map(e => ({ ...e, to: e.cheaper_option, from: e.than_option })).map(e => ({ ...e, begins: r.options[e.to].usd_per_month[0] < r.options[e.from].usd_per_month[0] })).filter(e => e.from_requests_per_s < last / 2);
  const near = e => { if (e.begins) return false; const i = index_of(r, e.from_requests_per_s), least = r.options[cheapest_at(r, i)]?.usd_per_month[i]; return Math.min(r.options[e.to].usd_per_month[i], r.options[e.from].usd_per_month[i]) <= 1.05 * least; };
  all.sort((a, b) => a.from_requests_per_s - b.from_requests_per_s);
  return { shown: all.filter(near), others: all.filter(e => !near(e)) };
}
const even_words = (e, names) => e.begins ? `Up to ${load_words(e.from_requests_per_s)}, ${names[e.to]} is at times dearer than ${names[e.from]}; above that never.`
  : `From ${load_words(e.from_requests_per_s)} on, ${names[e.to]} costs less than ${names[e.from]} at every load shown.`;

/* What moves a break-even point, the most first: [what, with 20 % less, with more, how far]. */
function moves_of(e) {
  const far = x => x === null ? 9 : Math.abs(Math.log(x / e.from_requests_per_s));
  return Object.entries(e.with_20_percent_less_and_more).map(([what, [less, more]]) => [what, less, more, Math.max(far(less), far(more))]).filter(m => m[3] > .005).sort((a, b) => b[3] - a[3]);
}
const or_never = x => x === null ? 'never, up to the loads shown' : x < 1.5 * plan_costs.r.requests_per_s[0] ? 'at any load shown' : load_words(x);
function even_item(e, names) {
  const moves = moves_of(e), li = make('li', even_words(e, names));
  if (!moves.length) return li;
  const [what, less, more] = moves[0];
  li.append(make('p.small.soft', `It depends most on the ${what.replace(/^its life/, 'life of a machine')}: with 20 % less of it, ${or_never(less)}; with 20 % more, ${or_never(more)}.`));
  const rows = moves.map(([what, less, more]) => make('tr', head(what, 'row'), make('td', or_never(less)), make('td', or_never(more))));
  li.append(make('details', make('summary', 'How it moves with each assumption'), side(`How break-even moves: ${even_words(e, names)}`, make('table', make('thead', make('tr', head('', 'col'), head('20 % less', 'col'), head('20 % more', 'col'))), make('tbody', ...rows)))));
  return li;
}
function spans_words(r, names) {
  const spans = cheapest_spans(r);
  return spans.map((s, i) => `${i === 0 ? (spans.length > 1 ? `Up to ${load_words(r.requests_per_s[s.to])}` : 'At all loads shown') : i === spans.length - 1 ? 'above that' : `up to ${load_words(r.requests_per_s[s.to])}`}, ${names[s.k]}${i ? '' : ' is cheapest'}`).join('; ') + '.';
}
function costs_table(r, names) {
  const at = [.001, .01, .1, 1, 10, 100, 1000].filter(x => x >= r.requests_per_s[0] && x <= r.requests_per_s.at(-1) * 1.01).map(x => index_of(r, x));
  const rows = r.options.map((o, k) => make('tr', head(names[k], 'row'), ...at.map(i => make('td', make(cheapest_at(r, i) === k ? 'b' : 'span', o.usd_per_month[i] === null ? 'cannot' : dollars(o.usd_per_month[i]))))));
  return make('details', make('summary', 'The same as a table'), side('Dollars a month by load', make('table', make('thead', make('tr', head('$ a month at', 'col'), ...at.map(i => head(`${large(Number((r.requests_per_s[i] * 86400).toPrecision(2)))} a day`, 'col')))), make('tbody', ...rows))));
}
function costs_parts(r, q) {
  const names = option_names(r.options), { shown, others } = evens_of(r), figure = make('figure', make('figcaption', 'Dollars a month over requests a day'));
  figure.id = 'costs';
  const key = make('span.key'), read = make('ul'), at = make('input'), label = make('label', make('span', 'At a load of ', make('b')), at);
  r.options.forEach((o, k) => { if (o.capacity_requests_per_s !== 0) key.append(make('span', sample_of(k), names[k])); });
  const cannot = names.filter((_, k) => r.options[k].capacity_requests_per_s === 0);
  figure.firstChild.append(key);
  at.id = 'costs-at', read.id = 'costs-read';
  at.type = 'range', at.min = 0, at.max = r.requests_per_s.length - 1, at.step = 1;
  at.value = index_of(r, q.rate || r.plans.find(p => q.users && p.fits)?.requests_per_s || shown[0]?.from_requests_per_s || 1);
  at.addEventListener('input', () => show_load());
  figure.append($('chart').content.querySelector('svg').cloneNode(), label, read);
  const bought = r.options.some(o => o.usd_bought), usual = r.options.find(o => isFinite(o.usd_per_million_output) && o.usd_per_million_output > 0);
  const out = [make('h3', 'What it costs, by how much it is used'), make('p', make('b', spans_words(r, names))), figure, costs_table(r, names)];
  if (shown.length) out.push(make('h4', 'Where it turns'), make('ol.plan-even', ...shown.map(e => even_item(e, names))));
  else out.push(make('p', 'No two of them trade places within these loads.'));
  if (others.length) out.push(make('details', make('summary', `${others.length} more, of options that are not the cheapest there`), make('ul.plan-even', ...others.map(e => even_item(e, names)))));
  out.push(make('p.small.soft', `${cannot.length ? `Not shown, as they cannot do it: ${cannot.join(', ')}. ` : ''}Rented devices are paid day and night; another is added when those that are there are full. ${bought ? `Bought ones cost their price over ${sig(q.life)} years, and energy at ${dollars(q.kwh)} a kWh, also while they wait. ` : ''}${usual ? `${usual.name}: ${dollars(usual.usd_per_million_input)} for a million tokens in, ${dollars(usual.usd_per_million_output)} out (${usual.source}). ` : ''}`));
  return out;
}

/* ---- the picture ---- */

let costs_drawn = null;                               /* scales and sizes of the picture that is shown */
const axis_number = n => n >= 1e9 ? n / 1e9 + 'G' : n >= 1e6 ? n / 1e6 + 'M' : n >= 1e3 ? n / 1e3 + 'k' : String(n);
function draw_costs() {
  const figure = $('costs');
  if (!figure || !plan_costs || !figure.clientWidth) return;
  const { r } = plan_costs, pic = figure.querySelector(':scope > svg'), names = option_names(r.options), W = Math.max(200, figure.clientWidth - 20), H = W < 560 ? 300 : 400, L = 46, R = 10, T = 12, B = 40;
  const all = r.options.flatMap(o => o.usd_per_month.filter(y => y > 0)), from = Math.log10(r.requests_per_s[0]), to = Math.log10(r.requests_per_s.at(-1));
  const bottom = Math.max(0, Math.floor(Math.log10(Math.min(...all)))), top = Math.max(bottom + 1, Math.ceil(Math.log10(Math.max(...all))));
  const x = rate => L + (W - L - R) * (Math.log10(rate) - from) / (to - from), y = usd => H - B - (H - B - T) * (Math.log10(usd) - bottom) / (top - bottom);
  pic.replaceChildren();
  pic.setAttribute('viewBox', `0 0 ${W} ${H}`);
  for (let d = bottom; d <= top; d++) {
    svg(pic, 'line', { class: 'rule', x1: L, x2: W - R, y1: y(10 ** d), y2: y(10 ** d) });
    svg(pic, 'text', { x: L - 5, y: y(10 ** d) + 4, 'text-anchor': 'end' }, '$' + axis_number(10 ** d));
  }
  for (let d = Math.ceil(from + Math.log10(86400)); d <= to + Math.log10(86400); d++) {
    const rate = 10 ** d / 86400;
    svg(pic, 'line', { class: 'rule', x1: x(rate), x2: x(rate), y1: T, y2: H - B });
    svg(pic, 'text', { x: x(rate), y: H - B + 16, 'text-anchor': 'middle' }, axis_number(10 ** d));
  }
  svg(pic, 'text', { x: (L + W - R) / 2, y: H - 6, 'text-anchor': 'middle' }, 'requests a day');
  const inside = points => points.filter(([, usd]) => usd !== null && Math.log10(usd) >= bottom).map(([rate, usd]) => `${x(rate).toFixed(1)},${y(usd).toFixed(1)}`).join(' ');
  for (const s of cheapest_spans(r)) svg(pic, 'polyline', { class: `cheap p${s.k % 8}`, points: inside(r.requests_per_s.slice(s.from, s.to + 1).map((rate, i) => [rate, r.options[s.k].usd_per_month[s.from + i]])) });
  r.options.forEach((o, k) => svg(pic, 'polyline', { ...line_of(k), points: inside(o.usd_per_month.map((usd, i) => [r.requests_per_s[i], usd])) }));
  svg(pic, 'g', { class: 'now' });
  const marks = svg(pic, 'g', {});
  let before = [-99, 0];                              // where the last number stands: near ones stand above each other
  evens_of(r).shown.forEach((e, i) => {
    const at = x(e.from_requests_per_s), usd = y(r.options[e.to].usd_per_month[index_of(r, e.from_requests_per_s)]), up = at - before[0] < 22 ? before[1] - 22 : usd - 26, g = svg(marks, 'g', { class: 'even' });
    svg(g, 'line', { x1: at, x2: at, y1: usd, y2: up });
    svg(g, 'circle', { class: 'foot', cx: at, cy: usd, r: 3 });
    svg(g, 'circle', { cx: at, cy: up, r: 9 });
    svg(g, 'text', { x: at, y: up + 4, 'text-anchor': 'middle' }, i + 1);
    before = [at, up];
  });
  pic.setAttribute('aria-label', `Dollars a month over requests a day, both in powers of ten, a line for each option. ${spans_words(r, names)} ${evens_of(r).shown.map((e, i) => `Point ${i + 1}: ${even_words(e, names)}`).join(' ')} The values stand in the table below it.`);
  costs_drawn = { x, y, bottom, L, H, T, B, W, wide: figure.clientWidth };
  show_load();
}
/* What each costs at the load of the slider. */
function show_load() {
  const { r } = plan_costs, i = Number($('costs-at').value), names = option_names(r.options), now = $('costs').querySelector('g.now'), { x, y, bottom, T, H, B } = costs_drawn, rate = r.requests_per_s[i];
  const order = r.options.map((o, k) => [k, o.usd_per_month[i]]).filter(o => o[1] !== null).sort((a, b) => a[1] - b[1]), text = order.map(([k, usd]) => `${names[k]}: ${dollars(usd)}`);
  now.replaceChildren();
  svg(now, 'line', { class: 'at', x1: x(rate), x2: x(rate), y1: T, y2: H - B });
  for (const [k, usd] of order) if (Math.log10(usd) >= bottom) svg(now, 'circle', { class: `dot p${k % 8}`, cx: x(rate), cy: y(usd), r: 4 });
  $('costs').querySelector('label b').textContent = load_words(rate);
  $('costs-at').setAttribute('aria-valuetext', `${load_words(rate)}: ${text.join(', ')} a month`);
  $('costs-read').replaceChildren(...order.map(([k], n) => make('li', sample_of(k), text[n])));
}
function follow_pointer(e) {
  const pic = e.target.closest?.('#costs > svg');
  if (!pic || !costs_drawn) return;
  const box = pic.getBoundingClientRect(), at = (e.clientX - box.left) * costs_drawn.W / box.width, { r } = plan_costs, n = r.requests_per_s.length - 1;
  $('costs-at').value = Math.max(0, Math.min(n, Math.round(n * (at - costs_drawn.L) / (costs_drawn.W - costs_drawn.L - 10))));
  show_load();
}
for (const event of ['pointermove', 'pointerdown']) $('plan-page').addEventListener(event, follow_pointer);
new ResizeObserver(() => { if ($('costs')?.clientWidth !== costs_drawn?.wide) draw_costs(); }).observe($('plan-page'));
