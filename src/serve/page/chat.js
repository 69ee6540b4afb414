/* ---- the conversation, as a tab keeps it ---- */

let messages = [];              /* {role, text, think, tokens: [{from, to, p, t, top: [[text, logprob]]}], usage, first_s, seconds, end, error} */
const CHECKS = { logprobs: true, unlikely: false };
const NUMBERS = ['temperature', 'top_p', 'top_k', 'min_p', 'max_tokens', 'seed'];

function keep() {
  if (kept.put('messages', JSON.stringify(messages))) return;
  const bare = JSON.stringify(messages.map(m => ({ ...m, tokens: undefined })));
  note(kept.put('messages', bare) ? 'The conversation is long: a reload will keep its text, but not the probabilities.' : 'The conversation is too long to survive a reload: export it to keep it.');
}
function keep_settings() {
  const s = {};
  for (const n of ['system', ...NUMBERS]) s[n] = $(n).value;
  for (const n in CHECKS) s[n] = $(n).checked;
  kept.put('settings', JSON.stringify(s));
  show_unlikely();
}
function recall() {
  try { messages = JSON.parse(kept.get('messages')) || []; } catch { messages = []; }
  for (const m of messages) if (m.role === 'assistant' && !m.end && !m.error) m.end = 'interrupted';
  try {
    const s = JSON.parse(kept.get('settings')) || {};
    for (const n of ['system', ...NUMBERS]) $(n).value = s[n] ?? '';
    for (const n in CHECKS) $(n).checked = s[n] ?? CHECKS[n];
  } catch { /* as they are */ }
}

/* The data of server-sent events, as they come. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n\n');
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split('\n').filter(l => l.startsWith('data:')).map(l => l.slice(5).trimStart()).join('\n');
      if (data) yield data;
    }
  }
}

/* Tokens find their place in the answer's text by their bytes, which may be parts of characters.  place keeps what it needs while an
 * answer comes: its bytes, and where in the text the character of each begins. */
const encoder = new TextEncoder();
class Place {
  constructor() { this.bytes = []; this.at = []; this.next = 0; this.length = 0; }
  add(text) {
    for (const c of text) {
      for (const b of encoder.encode(c)) this.bytes.push(b), this.at.push(this.length);
      this.length += c.length;
    }
  }
  starts(bytes) { return bytes.length && bytes.every((b, i) => this.bytes[this.next + i] === b); }
  /* [from, to) in the text of the token with these bytes; null where it adds nothing. */
  of(bytes) {
    if (!this.starts(bytes) && bytes[0] === 32 && this.starts(bytes.slice(1))) bytes = bytes.slice(1);      /* a first space that was not said */
    if (!this.starts(bytes)) return null;
    const from = this.at[this.next];
    this.next += bytes.length;
    return [from, this.at[this.next] ?? this.length];
  }
}

let under_way = null;            /* {abort, message} */

function request() {
  const body = { model: model_id(), messages: [], stream: true, stream_options: { include_usage: true } };
  if ($('system').value.trim()) body.messages.push({ role: 'system', content: $('system').value });
  messages.forEach((m, i) => {                   /* what was never answered is not said again: templates want the roles by turns */
    if (m.role === 'user' ? i === messages.length - 1 || messages[i + 1].text : m.text) body.messages.push({ role: m.role, content: m.text });
  });
  for (const n of NUMBERS) if ($(n).value !== '') body[n] = Number($(n).value);
  if ($('logprobs').checked) body.logprobs = true, body.top_logprobs = 5;
  return body;
}
function take(m, e, place) {
  if (e.error) throw new Refused(0, e.error.message);
  if (e.usage) m.usage = { prompt: e.usage.prompt_tokens, cached: e.usage.prompt_tokens_details?.cached_tokens ?? 0, made: e.usage.completion_tokens };
  const c = e.choices?.[0];
  if (!c) return;
  m.think += c.delta?.reasoning_content ?? c.delta?.reasoning ?? '';
  m.text += c.delta?.content ?? '';
  place.add(c.delta?.content ?? '');
  for (const t of c.logprobs?.content ?? []) {
    const at = place.of(t.bytes ?? [...encoder.encode(t.token)]);
    if (at) m.tokens.push({ from: at[0], to: at[1], p: t.logprob, t: shown(t), top: (t.top_logprobs ?? []).map(o => [shown(o), o.logprob]) });
  }
  if (c.finish_reason) m.end = c.finish_reason;
}
let leaving = false;                     // the page goes, and connections with it
async function answer() {
  const m = { role: 'assistant', text: '', think: '', tokens: [] }, body = request(), abort = new AbortController(), place = new Place();
  messages.push(m);
  under_way = { abort, message: m };
  draw();
  to_end();
  say('');
  const begun = performance.now();
  let saved = begun, n = 0;
  try {
    const r = await ask('v1/chat/completions', { method: 'POST', body: JSON.stringify(body), signal: abort.signal });
    for await (const data of events(r.body)) {
      if (data === '[DONE]') break;
      const before = m.text.length + m.think.length, now = performance.now();
      take(m, JSON.parse(data), place);
      if (m.text.length + m.think.length === before && !m.end) continue;
      if (m.text.length + m.think.length > before) {
        m.first_s ??= (now - begun) / 1000;
        m.seconds = (now - begun) / 1000;
        m.usage = { made: m.tokens.length || ++n };
      }
      if (now - saved > 2000) keep(), saved = now;
      soon(m);
    }
    m.end ??= 'interrupted';
  } catch (e) {
    if (abort.signal.aborted) m.end = 'stopped';
    else if (leaving) m.end = 'interrupted';
    else m.error = e instanceof Refused ? e.message : 'The connection broke.';
  }
  m.usage ??= { made: 0 };
  under_way = null;
  keep();
  at_end(draw);
  speak(m, true);
}
function stop() { under_way?.abort.abort(); }

/* ---- text: paragraphs, lists, code, bold; all else stays as it is ---- */

/* Pieces of the text, as [from, to) in it. */
function blocks_of(s) {
  const out = [];
  let open = null;
  for (let at = 0; at < s.length;) {
    const nl = s.indexOf('\n', at), end = nl < 0 ? s.length : nl, line = s.slice(at, end);
    const fence = /^\s*(```+|~~~+)\s*([\w+#.-]*)\s*$/.exec(line), item = /^(\s*)([-*+•]|(\d{1,4})[.)])\s+(?=\S)/.exec(line), head = /^#{1,6}\s+(?=\S)/.exec(line);
    if (open?.kind === 'pre') {
      if (fence && fence[1].startsWith(open.mark) && !fence[2]) open = null;
      else open.to = end;
    } else if (fence) {
      out.push(open = { kind: 'pre', mark: fence[1], from: Math.min(end + 1, s.length), to: Math.min(end + 1, s.length) });
    } else if (!line.trim()) {
      if (open?.kind === 'p') open = null;
    } else if (item) {
      const kind = item[3] ? 'ol' : 'ul', one = { from: at + item[0].length, to: end, level: Math.min(2, item[1].replaceAll('\t', '    ').length >> 1), number: Number(item[3]) };
      if (open?.kind === kind) open.items.push(one), open.to = end;
      else out.push(open = { kind, from: at, to: end, items: [one] });
    } else if (head) {
      out.push({ kind: 'head', from: at + head[0].length, to: end });
      open = null;
    } else if (open?.kind === 'p') {
      open.to = end;
    } else if (open && /^\s/.test(line)) {
      open.items.at(-1).to = open.to = end;
    } else {
      out.push(open = { kind: 'p', from: at, to: end });
    }
    at = end + 1;
  }
  return out;
}
function first_behind(tokens, at) {
  let a = 0, z = tokens.length;
  while (a < z) { const i = (a + z) >> 1; if (tokens[i].to > at) z = i; else a = i + 1; }
  return a;
}
/* Text [from, end) of m, a span for each of its tokens. */
function plain(to, m, from, end) {
  const tokens = m.tokens ?? [];
  for (let i = first_behind(tokens, from); i < tokens.length && tokens[i].from < end; i++) {
    const t = tokens[i], a = Math.max(t.from, from), z = Math.min(t.to, end), p = Math.exp(t.p);
    if (z <= a) continue;
    if (a > from) to.append(m.text.slice(from, a));
    const span = make('span.tok' + (p < .05 ? '.l3' : p < .2 ? '.l2' : p < .5 ? '.l1' : ''), m.text.slice(a, z));
    span.dataset.i = i;
    span.tabIndex = -1;
    to.append(span);
    from = z;
  }
  if (from < end) to.append(m.text.slice(from, end));
}
function inline(to, m, from, end) {
  const s = m.text.slice(from, end), mark = /`([^`\n]+)`|\*\*(?=\S)([^]+?)\*\*|(?<![\w*])\*(?=[^\s*])([^*\n]+?)\*(?![\w*])/g;
  let at = 0;
  for (let hit; (hit = mark.exec(s));) {
    plain(to, m, from + at, from + hit.index);
    const e = make(hit[1] !== undefined ? 'code' : hit[2] !== undefined ? 'strong' : 'em'), n = hit[2] !== undefined ? 2 : 1;
    (hit[1] !== undefined ? plain : inline)(e, m, from + hit.index + n, from + mark.lastIndex - n);
    to.append(e);
    at = mark.lastIndex;
  }
  plain(to, m, from + at, end);
}
function block(m, b) {
  const e = make(b.kind === 'head' ? 'p' : b.kind);
  if (b.kind === 'pre') {
    const code = make('code');
    plain(code, m, b.from, b.to);
    e.append(code);
    e.tabIndex = 0;                                  /* it may scroll */
    e.setAttribute('role', 'group');
    e.setAttribute('aria-label', 'Code');
  } else if (b.items) {
    for (const i of b.items) {
      const li = make('li');
      inline(li, m, i.from, i.to);
      if (i.level) li.dataset.level = i.level;
      if (b.kind === 'ol') li.value = i.number;
      e.append(li);
    }
  } else if (b.kind === 'head') {
    const strong = make('strong');
    inline(strong, m, b.from, b.to);
    e.append(strong);
  } else {
    inline(e, m, b.from, b.to);
  }
  return e;
}
/* Blocks that are the same as before stay in the document: what is pointed at, selected or focused there remains. */
function draw_text(v, m) {
  const blocks = m.role === 'user' ? [{ kind: 'p', from: 0, to: m.text.length, plain: true }] : blocks_of(m.text);
  const key = b => [b.kind, b.from, b.to].join(), focused = v.body.contains(document.activeElement) ? document.activeElement.dataset.i : undefined;
  let same = 0;
  while (same < blocks.length - 1 && same < v.keys.length - 1 && key(blocks[same]) === v.keys[same]) same++;
  while (v.body.children.length > same) v.body.lastChild.remove();
  for (const b of blocks.slice(same)) {
    if (b.plain) v.body.append(make('p', m.text));
    else v.body.append(block(m, b));
  }
  v.keys = blocks.map(key);
  const first = v.body.querySelector('.tok[tabindex="0"]') ?? v.body.querySelector('.tok');
  if (first) first.tabIndex = 0;
  if (pop_of && !pop_of.isConnected) hide_pop();
  if (focused !== undefined && !v.body.contains(document.activeElement)) v.body.querySelector(`.tok[data-i="${focused}"]`)?.focus({ preventScroll: true });
}

/* ---- the conversation ---- */

const views = new Map();         /* message -> what shows it */
const ENDS = { length: 'ended at max tokens', stopped: 'stopped', interrupted: 'interrupted', tool_calls: 'calls a tool', content_filter: 'filtered' };

function facts_of(m) {
  const made = m.usage?.made, rate = made > 1 && m.seconds > m.first_s ? (made - 1) / (m.seconds - m.first_s) : 0, out = [];
  if (made !== undefined && !(m.error && !made)) out.push(made === 1 ? '1 token' : made + ' tokens');
  if (rate) out.push(rate.toFixed(rate < 10 ? 2 : rate < 100 ? 1 : 0) + ' tokens/s');
  if (m.first_s !== undefined) out.push('first after ' + seconds(m.first_s));
  if (m.usage?.prompt !== undefined) out.push(`prompt ${m.usage.prompt}` + (m.usage.cached ? ` (${m.usage.cached} from cache)` : ''));
  if (ENDS[m.end]) out.push(ENDS[m.end]);
  return out.join(' · ');
}
function view_of(m) {
  let v = views.get(m);
  if (v) return v;
  v = { li: make('li'), head: make('h3', m.role === 'user' ? 'You' : 'Answer'), think: make('details.think', make('summary', 'Reasoning'), make('div')), body: make('div.body'), fault: make('div'), foot: make('div.foot'), keys: [] };
  v.li.className = 'message ' + m.role;
  v.think.hidden = true;
  v.li.append(v.head, v.think, v.body, v.fault, v.foot);
  v.body.addEventListener('keydown', walk);
  views.set(m, v);
  return v;
}
function draw_one(m) {
  const v = view_of(m), goes = under_way?.message === m, i = messages.indexOf(m), last = i === messages.length - 1;
  v.li.classList.toggle('goes', goes);
  if (v.editing) return;
  draw_text(v, m);
  v.think.hidden = !m.think;
  if (m.think) v.think.lastChild.textContent = m.think;
  if (m.error && !v.fault.firstChild) {
    const box = make('div.fault', make('b', m.text ? 'Unfinished. ' : 'No answer. '), m.error);
    box.setAttribute('role', 'alert');
    v.fault.append(box);
  }
  const name = `${m.role === 'user' ? 'message' : 'answer'} ${1 + messages.slice(0, i).filter(o => o.role === m.role).length}`;
  if (goes && v.foot.firstChild) v.foot.firstChild.textContent = 'answering… ' + facts_of(m);
  const state = [goes, last, !!under_way, m.end, m.error, name].join();
  if (v.state === state) return;
  v.state = state;
  const had = v.foot.contains(document.activeElement);
  v.foot.replaceChildren();
  if (m.role === 'assistant') v.foot.append(make('span.facts', goes ? 'answering… ' : facts_of(m)));
  if (!goes && m.text) v.foot.append(button('Copy', 'Copy ' + name, () => copy(m.text)));
  if (!under_way && m.role === 'user') v.foot.append(button('Edit', 'Edit ' + name, () => edit(m)));
  if (!under_way && m.role === 'assistant' && last) v.foot.append(button(m.error ? 'Try again' : 'Regenerate', `${m.error ? 'Try again' : 'Regenerate'}: ${name}`, () => { messages.pop(); $('scroll').focus({ preventScroll: true }); answer(); }));
  if (had) (v.foot.querySelector('button') ?? $('ask')).focus();
}
function draw() {
  const log = $('log');
  for (const [m, v] of views) if (!messages.includes(m)) v.li.remove(), views.delete(m);
  messages.forEach((m, i) => {
    draw_one(m);
    if (log.children[i] !== view_of(m).li) log.insertBefore(view_of(m).li, log.children[i] ?? null);
  });
  $('empty').hidden = messages.length > 0;
  $('clear').disabled = $('export').disabled = !messages.length;
  $('go').textContent = under_way ? 'Stop' : 'Send';
  $('go').classList.toggle('stop', !!under_way);
}
/* At most once a frame while an answer comes; the reader who has scrolled away is left there. */
let drawing = false;
function soon(m) {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    at_end(() => draw_one(m));
    speak(m, false);
  });
}
function at_end(draw) {
  const s = $('scroll'), is = s.scrollHeight - s.scrollTop - s.clientHeight < 60;
  draw();
  if (is) to_end();
}
function to_end() { $('scroll').scrollTop = $('scroll').scrollHeight; }

function send() {
  const text = $('ask').value;
  if (under_way || !text.trim()) return;
  if (![...NUMBERS].every(n => $(n).checkValidity())) {
    show_settings(true);
    NUMBERS.map($).find(e => !e.checkValidity()).reportValidity();
    return;
  }
  $('ask').value = '';
  note('');
  messages.push({ role: 'user', text });
  keep();
  answer();
}
function edit(m) {
  const v = view_of(m), field = make('textarea'), done = () => { v.editing = false; v.body.replaceChildren(); v.body.classList.remove('edit'); v.keys = []; v.state = ''; draw(); };
  const save = () => {
    if (!field.value.trim() || under_way) return;
    m.text = field.value;
    messages.length = messages.indexOf(m) + 1;
    done();
    $('scroll').focus({ preventScroll: true });
    answer();
  };
  const cancel = () => { done(); v.foot.querySelector('[aria-label^=Edit]')?.focus(); };
  field.value = m.text;
  field.setAttribute('aria-label', 'Edit message');
  field.addEventListener('keydown', e => {
    if (e.key === 'Escape') e.stopPropagation(), cancel();
    else if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) e.preventDefault(), save();
  });
  v.editing = true;
  v.foot.replaceChildren();
  v.body.classList.add('edit');
  v.body.replaceChildren(field, make('div', button('Ask again', null, save), button('Cancel', null, cancel)));
  field.focus();
}
async function copy(text) {
  try { await navigator.clipboard.writeText(text); note('Copied.'); } catch { note('The browser did not allow copying.'); }
}
function clear_all() {
  stop();
  const old = messages;
  messages = [];
  keep();
  draw();
  note('The conversation is cleared.', button('Undo', null, () => { messages = [...old, ...messages]; keep(); draw(); note(''); $('ask').focus(); }));
  $('ask').focus();
}
function export_all() {
  const settings = { system: $('system').value };
  for (const n of NUMBERS) if ($(n).value !== '') settings[n] = Number($(n).value);
  const served = model_facts(), out = { exported: new Date().toISOString(), model: served?.id, digest: served?.digest, system_fingerprint: served?.system_fingerprint, settings,
    messages: messages.map(m => ({ role: m.role, content: m.text, reasoning: m.think || undefined, finish_reason: m.end, error: m.error, usage: m.usage, seconds_to_first_token: m.first_s, seconds: m.seconds,
      logprobs: m.tokens?.length ? m.tokens.map(t => ({ token: m.text.slice(t.from, t.to), logprob: t.p, top: t.top.map(([token, logprob]) => ({ token, logprob })) })) : undefined })) };
  const a = make('a'), url = URL.createObjectURL(new Blob([JSON.stringify(out, null, 2)], { type: 'application/json' }));
  a.href = url;
  a.download = 'conversation.json';
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
function speak(m, all) {
  let to = m.text.length;
  if (!all) {
    const ends = [...m.text.slice(said).matchAll(/[.!?…:;]["')\]*]*\s|\n/g)], end = ends.at(-1);
    if (!end) return;
    to = said + end.index + end[0].length;
  }
  const text = m.text.slice(said, to).replace(/[*`#]+/g, '').trim();
  said = to;
  if (text) say(text);
  if (all && !m.error) say(`Answer ended: ${facts_of(m)}`);
}

/* ---- probabilities ---- */

const utf8 = new TextDecoder('utf-8', { fatal: true });
/* A token as it can be read: spaces and ends of lines are seen, parts of characters are shown as bytes. */
function shown(t) {
  let s = t.token;
  if (t.bytes) try { s = utf8.decode(new Uint8Array(t.bytes)); } catch { s = '‹' + t.bytes.map(b => b.toString(16).padStart(2, '0')).join(' ') + '›'; }
  return s.replace(/^ +| +$/g, x => '␣'.repeat(x.length)).replaceAll('\n', '↵').replaceAll('\t', '⇥') || '(empty)';
}
function percent(logprob) {
  const p = Math.exp(logprob) * 100;
  return p >= 99.95 && p < 100 ? '> 99.9 %' : p < .01 ? '< 0.01 %' : p.toFixed(p < 1 ? 2 : 1) + ' %';
}
let pop_of = null, pop_timer = 0;
function message_at(node) { for (const [m, v] of views) if (v.body.contains(node)) return m; }
function show_pop(span) {
  clearTimeout(pop_timer);
  const t = message_at(span)?.tokens[span.dataset.i];
  if (!t || pop_of === span) return;
  hide_pop();
  pop_of = span;
  span.setAttribute('aria-describedby', 'pop');
  const table = make('table'), rows = t.top.map(([text, p]) => [text, p, text === t.t && Math.abs(p - t.p) < 1e-6]);
  if (!rows.some(r => r[2])) rows.push([t.t, t.p, true]);
  for (const [text, p, taken] of rows) {
    const rod = make('div.rod');
    rod.style.width = Math.exp(p) * 100 + '%';
    table.append(make('tr' + (taken ? '.taken' : ''), make('td', text), make('td', percent(p)), make('td', rod)));
  }
  const body = make('tbody');
  body.append(...table.childNodes);
  table.append(body);
  $('pop').replaceChildren(make('div', make('b', t.t), `  ${percent(t.p)}`, make('span.unseen', '. The likeliest were:')), table);
  $('pop').hidden = false;
  place_pop();
}
function place_pop() {
  const r = pop_of.getClientRects()[0], box = $('pop').getBoundingClientRect();
  $('pop').style.left = Math.max(8, Math.min(r.left, innerWidth - box.width - 8)) + 'px';
  $('pop').style.top = (r.bottom + 6 + box.height < innerHeight ? r.bottom + 6 : Math.max(8, r.top - box.height - 6)) + 'px';
}
function hide_pop() {
  clearTimeout(pop_timer);
  pop_of?.removeAttribute('aria-describedby');
  pop_of = null;
  $('pop').hidden = true;
}
function hide_pop_soon() { clearTimeout(pop_timer); pop_timer = setTimeout(hide_pop, 120); }

/* Arrow keys go from token to token; an answer is one stop of the Tab key. */
function walk(e) {
  const now = e.target.closest('.tok'), step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[e.key];
  if (!now || !step || e.ctrlKey || e.altKey || e.metaKey) return;
  const all = [...e.currentTarget.querySelectorAll('.tok')], to = all[Math.max(0, Math.min(all.length - 1, all.indexOf(now) + step))];
  e.preventDefault();
  now.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}
$('log').addEventListener('mouseover', e => { const t = e.target.closest('.tok'); if (t) show_pop(t); });
$('log').addEventListener('mouseout', e => { if (e.target.closest('.tok') && document.activeElement !== pop_of) hide_pop_soon(); });
$('log').addEventListener('focusin', e => { const t = e.target.closest('.tok'); if (t) show_pop(t); });
$('log').addEventListener('focusout', hide_pop_soon);
$('pop').addEventListener('mouseenter', () => clearTimeout(pop_timer));
$('pop').addEventListener('mouseleave', hide_pop_soon);
$('scroll').addEventListener('scroll', () => { if (pop_of && pop_of === document.activeElement) place_pop(); else hide_pop(); });

/* ---- controls ---- */

function show_settings(open) {
  $('settings').hidden = !open;
  $('set').setAttribute('aria-expanded', open);
}
function show_unlikely() { document.body.classList.toggle('unlikely', $('unlikely').checked); }
$('composer').addEventListener('submit', e => { e.preventDefault(); under_way ? stop() : send(); });
$('ask').addEventListener('keydown', e => {
  if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) { e.preventDefault(); send(); }
});
document.addEventListener('keydown', e => {
  if (e.key !== 'Escape') return;
  if (!$('pop').hidden) hide_pop();
  else stop();
});
$('set').addEventListener('click', () => show_settings($('settings').hidden));
$('settings').addEventListener('input', keep_settings);
$('reset').addEventListener('click', () => { for (const n of ['system', ...NUMBERS]) $(n).value = ''; for (const n in CHECKS) $(n).checked = CHECKS[n]; keep_settings(); });
$('clear').addEventListener('click', clear_all);
$('export').addEventListener('click', export_all);
addEventListener('pagehide', () => { leaving = true; if (messages.length) keep(); });
addEventListener('pageshow', () => { leaving = false; });

