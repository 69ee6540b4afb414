'use strict';
/* The page of lathe serve.  Whatever comes from outside goes into the document as text: there is no markup made of strings here,
 * and the policy this page is sent with (require-trusted-types-for) would not allow it. */
const $ = id => document.getElementById(id);

/* make('p.soft', 'text', node, ...): an element with classes and children. */
function make(what, ...children) {
  const [name, ...classes] = what.split('.');
  const e = document.createElement(name);
  e.className = classes.join(' ');
  e.append(...children);
  return e;
}
function button(text, label, click) {
  const b = make('button', text);
  b.type = 'button';
  if (label) b.setAttribute('aria-label', label);
  b.addEventListener('click', click);
  return b;
}

/* ---- what a tab keeps ---- */

const kept = {
  get(name, store = sessionStorage) { try { return store.getItem('lathe.' + name); } catch { return null; } },
  put(name, value, store = sessionStorage) {
    try { value === null ? store.removeItem('lathe.' + name) : store.setItem('lathe.' + name, value); return true; } catch { return false; }
  },
};

/* ---- asking ---- */

class Refused extends Error { constructor(status, message) { super(message); this.status = status; } }

async function ask(path, options = {}) {
  const key = kept.get('key');
  const r = await fetch(path, { ...options, headers: { ...(options.body && { 'Content-Type': 'application/json' }), ...options.headers, ...(key && { Authorization: 'Bearer ' + key }) }, cache: 'no-store' })
    .catch(e => { throw options.signal?.aborted ? e : new Refused(0, 'The server does not answer.'); });
  if (!r.ok) {
    const text = await r.text();
    let said;
    try { said = JSON.parse(text).error.message; } catch { said = text.slice(0, 300); }
    if (r.status === 401) want_key(key ? 'The server did not take this key.' : '');
    throw new Refused(r.status, said || r.statusText);
  }
  return r;
}
function want_key(why = '') {
  if (!$('keyline').hidden) return;
  $('keyline').hidden = false;
  $('key-note').textContent = why;
  $('key').focus();
}
$('keyline').addEventListener('submit', e => {
  e.preventDefault();
  kept.put('key', $('key').value || null);
  $('keyline').hidden = true;
  (document.body.dataset.view === 'chat' ? $('ask') : $(document.body.dataset.view)).focus();
});
$('key').value = kept.get('key') || '';

function note(text, ...more) { $('note').replaceChildren(...(text ? [make('div.small', text, ...more)] : [])); }

/* ---- what a screen reader says: whole sentences ---- */

let said = 0;
function say(text) {
  if (!text) { said = 0; $('spoken').replaceChildren(); return; }
  $('spoken').append(make('p', text));
  while ($('spoken').children.length > 20) $('spoken').firstChild.remove();
}

/* ---- numbers and pictures ---- */

function seconds(s) { return s < 1 ? Math.round(s * 1000) + ' ms' : s.toFixed(s < 10 ? 2 : 1) + ' s'; }
function bytes(n) { const i = n > 0 ? Math.min(4, Math.floor(Math.log2(n) / 10)) : 0; return (n / 2 ** (10 * i)).toFixed(i ? 1 : 0) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][i]; }
function time_of(s) {
  const d = new Date(s * 1000), t = make('time', d.toLocaleString());
  t.dateTime = d.toISOString();
  return t;
}
function facts_list(pairs) {
  const dl = make('dl.facts-of');
  for (const [name, value] of pairs) if (value !== undefined && value !== null) dl.append(make('dt', name), make('dd', value));
  return dl;
}
const share = x => isFinite(x) ? num(x * 100) + ' %' : '–';
const num = x => x === undefined || !isFinite(x) ? '–' : x >= 1e6 ? (x / 1e6).toFixed(1) + 'M' : x >= 1e4 ? (x / 1e3).toFixed(1) + 'k' : x >= 100 || Number.isInteger(x) ? String(Math.round(x)) : x.toFixed(1);
function span_of(s) { return s < 120 ? Math.round(s) + ' s' : s < 7200 ? Math.round(s / 60) + ' min' : s < 172800 ? (s / 3600).toFixed(1) + ' h' : Math.round(s / 86400) + ' days'; }
function svg(parent, name, attributes, text) {
  const e = document.createElementNS(parent.namespaceURI, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  parent.append(e);
  return e;
}
/* 1, 2 or 5 times a power of ten. */
function nice(x) { const p = 10 ** Math.floor(Math.log10(x)); return (x <= p ? 1 : x <= 2 * p ? 2 : x <= 5 * p ? 5 : 10) * p; }

function new_figure() { return $('chart').content.cloneNode(true).firstChild; }
/* Lines over time: [{ name, points: [[x, y], ..] }], up to three; o: { from, to, left, right: what is written there, over: in words, top: of the scale, or low: at least so high }. */
function draw_lines(figure, title, lines, o) {
  const L = 34, W = 340, T = 6, H = 80, top = o.top ?? nice(Math.max(o.low ?? 1, ...lines.flatMap(l => l.points.map(p => p[1])))), pic = figure.lastElementChild;
  const x = at => L + (W - L - 2) * (at - o.from) / (o.to - o.from || 1), y = v => H - (H - T) * Math.min(v, top) / top, told = [], key = make('span.key');
  pic.replaceChildren();
  for (const v of [0, top / 2, top]) {
    svg(pic, 'line', { class: 'rule', x1: L, x2: W, y1: y(v), y2: y(v) });
    svg(pic, 'text', { x: L - 5, y: y(v) + 4, 'text-anchor': 'end' }, num(v));
  }
  svg(pic, 'text', { x: L, y: 94 }, o.left);
  svg(pic, 'text', { x: W, y: 94, 'text-anchor': 'end' }, o.right);
  lines.forEach(({ name, points }, i) => {
    const v = points.map(p => p[1]), now = num(v.at(-1));
    if (points.length) svg(pic, 'polyline', { class: 's' + i, ...(i && { 'stroke-dasharray': i > 1 ? '1 3' : '5 2' }), points: points.map(p => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(' ') });
    key.append(make('span.s' + i, `${['—', '╌', '⋯'][i]} ${name} ${now}`));
    told.push(v.length ? `${name}: now ${now}, mean ${num(v.reduce((a, b) => a + b) / v.length)}, highest ${num(Math.max(...v))}` : `${name}: nothing yet`);
  });
  figure.firstElementChild.replaceChildren(title, key);
  pic.setAttribute('aria-label', `${title}, ${o.over}. ${told.join('. ')}.`);
}

/* ---- views ---- */

/* Chat and Live are there always.  Another view is a file of markup with a section of its name, one of style, one of script, all named in page.c; its script
 * says add_view(), and offer_view() once there is something to see.  opened() is called whenever it is gone to. */
const openers = {};
function add_view(name, title, opened) {
  const b = button(title, null, () => {}), section = $(name);
  b.dataset.view = name;
  b.setAttribute('aria-pressed', false);
  b.hidden = true;
  $('views').append(b);
  section.className = 'view';
  section.tabIndex = 0;
  section.setAttribute('aria-label', title);
  $('live').before(section);
  openers[name] = opened;
  return section;
}
function offer_view(name, is) {
  $('views').querySelector(`[data-view=${name}]`).hidden = !is;
  document.body.classList.toggle('more', [...$('views').children].slice(2).some(b => !b.hidden));
}
function show_view(name) {
  document.body.dataset.view = name;
  document.body.classList.toggle('elsewhere', !['chat', 'live'].includes(name));
  for (const b of $('views').children) b.setAttribute('aria-pressed', b.dataset.view === name);
  for (const s of document.querySelectorAll('main > .view')) s.classList.toggle('shown', s.id === name);
  openers[name]?.();
}
$('views').addEventListener('click', e => { if (e.target.dataset.view) show_view(e.target.dataset.view); });

function paint(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $('theme').value = theme;
}
$('theme').addEventListener('change', () => { paint($('theme').value); kept.put('theme', $('theme').value || null, localStorage); });
paint(kept.get('theme', localStorage) ?? '');

