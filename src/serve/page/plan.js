
/* ---- plan: what a model takes on which devices (/lathe/plan) ---- */

add_view('plan', 'Plan', () => open_plan());
offer_view('plan', true);
const PLAN_DEVICES = 8;
const DEVICE_KINDS = { this: 'Here', gpu: 'GPUs', apu: 'Chips of CPU and GPU', 'edge-gpu': 'Small GPUs and boards', 'edge-apu': 'Small computers', cpu: 'Server CPUs', 'edge-cpu': 'Small CPUs' };
let plan_lists = null, planning = null;               /* { devices, models } as GET lathe/plan tells; the AbortController of a plan under way */
const option = (value, text, selected) => { const o = make('option', text); o.value = value; o.selected = !!selected; return o; };
const sig = (x, digits = 3) => Number(x.toPrecision(digits)).toLocaleString('en', { maximumSignificantDigits: digits });
const dollars = x => x === null || x === undefined ? '–' : '$' + (x >= 1e6 ? sig(x / 1e6) + ' M' : x >= 1000 ? Math.round(Number(x.toPrecision(3))).toLocaleString('en') : x >= .1 ? x.toFixed(2) : sig(x, 2));
const large = n => n >= 1e12 ? sig(n / 1e12) + ' trillion' : n >= 1e9 ? sig(n / 1e9) + ' billion' : n >= 1e6 ? sig(n / 1e6) + ' million' : sig(n);
const gigabytes = n => n >= 1e12 ? sig(n / 1e12) + ' TB' : n >= 1e9 ? sig(n / 1e9) + ' GB' : sig(n / 1e6) + ' MB';
const load_words = r => `${large(Number((r * 86400).toPrecision(2)))} requests a day` + (r >= .1 ? ` (${sig(r, 2)} a second)` : '');

async function open_plan() {
  if (plan_lists) { show_plan_models(); return; }
  try {
    plan_lists = await (await ask('lathe/plan')).json();
    if (plan_lists.recorded) $('plan-workload').append(option('recorded', 'What this server was asked'));
    plan_lists.devices.unshift({ key: 'this', name: 'This machine, measured now', kind: 'this', usd_per_hour: null });
    $('plan-note').replaceChildren();
    $('plan-form').hidden = false;
    show_plan_models();
    if (!$('plan-devices').firstChild) for (const key of ['h100', 'mi300x', 'rtx-4090']) if (plan_lists.devices.some(d => d.key === key)) add_plan_device(key);
    show_plan_fields();
  } catch (e) {
    $('plan-form').hidden = true;
    $('plan-note').replaceChildren(e.status === 403 ? make('div.card.small', e.message, make('div.row', button('Use an admin key', null, () => want_key()))) : make('div.fault', e.message));
  }
}
/* Those that are served here first: they may have changed since. */
function show_plan_models() {
  const group = (label, options) => { const g = make('optgroup', ...options); g.label = label; return g; }, was = $('plan-model').value, own = served.map(m => option('served:' + m.id, m.id));
  $('plan-model').replaceChildren(...(own.length ? [group('Served here', own)] : []), group('Known by name', plan_lists.models.map(m => option('model:' + m.name, m.name))), group('Another', [option('config', 'I paste its config.json')]));
  $('plan-model').value = [was, 'model:Llama-3-8B'].find(v => [...$('plan-model').options].some(o => o.value === v)) ?? $('plan-model').options[0].value;
  show_plan_fields();
}
function show_plan_fields() {
  const load = $('plan-load').value;
  $('plan-config-line').hidden = $('plan-model').value !== 'config';
  for (const e of document.querySelectorAll('#plan .own')) e.hidden = $('plan-workload').value !== 'own';
  $('plan-rate-line').hidden = load !== 'rate';
  $('plan-users-line').hidden = $('plan-think-line').hidden = load !== 'users';
  for (const e of document.querySelectorAll('#plan .api')) e.hidden = $('plan-api').value !== 'own';
}

/* ---- devices ---- */

function add_plan_device(key) {
  const li = make('li'), kind = make('select'), count = make('input'), how = make('select'), price = make('input');
  const field = (text, e) => make('label', make('span.small.soft', text), e), cost = field('Dollars, each', price);
  for (const k of Object.keys(DEVICE_KINDS)) {
    const of = plan_lists.devices.filter(d => d.kind === k), g = make('optgroup', ...of.map(d => option(d.key, d.memory_bytes ? `${d.name}, ${sig(d.memory_bytes / 1e9, 3)} GB` : d.name, d.key === key)));
    g.label = DEVICE_KINDS[k];
    if (of.length) kind.append(g);
  }
  const others = plan_lists.devices.filter(d => !DEVICE_KINDS[d.kind]);
  if (others.length) kind.append(...others.map(d => option(d.key, d.name, d.key === key)));
  for (const e of [count, price]) e.type = 'number', e.inputMode = 'decimal';
  count.min = 1, count.max = 100000, count.step = 1, count.placeholder = 'as needed';
  price.min = .0001, price.max = 1e8, price.step = 'any';
  const known = () => plan_lists.devices.find(d => d.key === kind.value)?.usd_per_hour ?? null;
  const show_price = () => {
    const own = how.value !== '';
    price.disabled = price.parentNode.hidden = !own;
    price.required = own;
    if (!own) price.value = '';
  };
  const offer = () => {
    const was = how.value;
    how.replaceChildren(option('', known() === null ? 'price not known' : `rented at ${dollars(known())} an hour`), option('usd_per_hour', 'rented, for my own $ an hour'), option('usd', 'bought, for $'));
    how.value = was;
    count.disabled = kind.value === 'this';
    if (count.disabled) count.value = '';
    show_price();
  };
  kind.addEventListener('change', () => { how.value = ''; offer(); });
  how.addEventListener('change', () => { show_price(); if (!price.disabled) price.focus(); });
  const gone = button('Remove', null, () => { li.remove(); number_devices(); });
  li.append(field('Device', kind), field('How many', count), field('Price', how), cost, gone);
  li.fields = { kind, count, how, price, gone };
  offer();
  $('plan-devices').append(li);
  number_devices();
  return li;
}
function number_devices() {
  const all = [...$('plan-devices').children];
  all.forEach((li, i) => li.fields.gone.setAttribute('aria-label', `Remove device ${i + 1}`));
  for (const li of all) li.fields.gone.disabled = all.length === 1;
  $('plan-add').disabled = all.length >= PLAN_DEVICES;
}

/* ---- asking ---- */

/* What POST lathe/plan takes; an Error in words where a field cannot be sent. */
function plan_request() {
  const q = {}, number = id => $(id).value === '' ? 0 : Number($(id).value), [kind, ...name] = $('plan-model').value.split(':'), own = $('plan-workload').value === 'own', load = $('plan-load').value;
  if (kind === 'config') {
    try { q.config = JSON.parse($('plan-config').value); } catch (e) { throw new Error(`What was pasted as config.json is no JSON: ${e.message}`); }
  } else q[kind] = name.join(':');
  q.weights = $('plan-weights').value;
  q.workload = own ? 'chat' : $('plan-workload').value;
  if (own) q.prompt = $('plan-prompt').value.trim(), q.output = $('plan-output').value.trim();
  if (load === 'rate') q.rate = number('plan-rate');
  if (load === 'users') q.users = number('plan-users'), q.think = number('plan-think');
  q.ttft = number('plan-ttft'), q.tpot = number('plan-tpot') / 1000, q.e2e = number('plan-e2e');
  q.devices = [...$('plan-devices').children].map(li => {
    const { kind, count, how, price } = li.fields, d = { device: kind.value };
    if (count.value) d.count = Number(count.value);
    if (how.value) d[how.value] = Number(price.value);
    return d;
  });
  q.idle = number('plan-idle') / 100;
  q.versus = !plan_unpriced(q).length;
  if (q.versus) q.life = number('plan-life'), q.kwh = number('plan-kwh');
  if (q.versus && $('plan-api').value === 'own') q.api = [{ name: 'API (my price)', input: number('plan-api-in'), output: number('plan-api-out') }];
  return q;
}
/* Devices that nobody has said a price of. */
const plan_unpriced = q => q.devices.filter(d => !d.usd && !d.usd_per_hour && !plan_lists.devices.find(k => k.key === d.device)?.usd_per_hour).map(d => plan_lists.devices.find(k => k.key === d.device)?.name ?? d.device);

async function make_plan() {
  const begun = performance.now();
  $('plan-fault').replaceChildren();
  try {
    const q = plan_request();
    planning = new AbortController();
    $('plan-go').disabled = true, $('plan-stop').hidden = false;
    $('plan-state').textContent = q.devices.some(d => d.device === 'this') ? 'This machine is measured, which takes a while …' : 'Layouts are tried, and requests simulated on each …';
    const r = await (await ask('lathe/plan', { method: 'POST', body: JSON.stringify(q), signal: planning.signal })).json();
    $('plan-page').replaceChildren(...draw_plan(r, q));
    draw_costs();
    $('plan-state').textContent = `Done in ${seconds((performance.now() - begun) / 1000)}.`;
    $('plan-page').scrollIntoView({ block: 'start' });
  } catch (e) {
    $('plan-state').textContent = '';
    if (planning?.signal.aborted) $('plan-state').textContent = 'Stopped.';
    else $('plan-fault').replaceChildren(make('div.fault', e.message));
  }
  planning = null;
  $('plan-go').disabled = false, $('plan-stop').hidden = true;
}

/* ---- the table ---- */

function layout_of(p) {
  const l = p.layout, one = l.tp * l.pp, parts = [];
  if (one === 1) parts.push('the whole model on each');
  if (l.tp > 1) parts.push(`each layer over ${l.tp}`);
  if (l.pp > 1) parts.push(`${l.pp} stages of layers`);
  if (l.ep > 1) parts.push(`experts in ${l.ep} groups`);
  if (l.dp > 1) parts.push(one > 1 ? `${l.dp} such groups` : `${l.dp} of them`);
  return parts.join(', ');
}
/* How sure, in a word; under the table it stands as the program says it. */
const sure_of = p => make('td' + (!p.fitted || /not measured/.test(p.fitted) ? '.s1' : ''), !p.fitted ? 'data sheet only' : /not measured/.test(p.fitted) ? 'roughly' : 'measured');
const sure_list = plans => facts_list([...new Map(plans.filter(p => p.fits).map(p => [p.device, !p.fitted ? 'its data sheet alone' : p.fitted])).entries()]);
/* Why none is in time: the targets that even one request at a time misses. */
function too_slow(p, w) {
  const late = [], long = s => s < 120 ? seconds_of_token(s) : span_of(s);
  if (w.ttft_seconds > 0 && p.ttft_seconds.p99 > w.ttft_seconds) late.push(`the first token takes ${long(p.ttft_seconds.p99)}, and ${seconds(w.ttft_seconds)} are asked for`);
  if (w.tpot_seconds > 0 && p.tpot_seconds.p99 > w.tpot_seconds) late.push(`each further token takes ${long(p.tpot_seconds.p99)}, and ${seconds_of_token(w.tpot_seconds)} are asked for`);
  if (w.e2e_seconds > 0 && p.e2e_seconds.p99 > w.e2e_seconds) late.push(`an answer takes ${long(p.e2e_seconds.p99)}, and ${seconds(w.e2e_seconds)} are asked for`);
  return late.join('; ') || `only ${share(p.good_share)} of requests are in time`;
}
function plan_row(p, option, w, asks) {
  const missing = p.why?.match(/: ([^:]*? (?:is|are) missing)/)?.[1], both = (s, f) => s.p50 === null ? '–' : make('span', f(s.p50), make('span.soft', `99 of 100 within ${f(s.p99).replace(' ', '\u00a0')}`));
  if (!p.fits) return make('tr', head(p.device, 'row'), wide_cell('td.why', 8, make('b', missing ? `Does not fit: ${missing}` : 'Does not fit'), make('span.soft', p.why)));
  const name = make('th', `${p.devices.toLocaleString('en')} × ${p.device}`, make('span.soft', layout_of(p)));
  name.scope = 'row';
  if (!(p.capacity_requests_per_s > 0)) return make('tr', name, wide_cell('td.why', 7, make('b', 'Fits, but is too slow'), make('span.soft', `Even one request at a time: ${too_slow(p, w)}.`)), sure_of(p));
  const at = asks ? [make('span.soft', `${share(p.good_share / (1 - p.too_long_share || 1))} in time at ${sig(p.requests_per_s, 2)}`)] : [];
  return make('tr', name, make('td', make('b', sig(p.capacity_requests_per_s)), ...at), make('td', sig(p.output_tokens_per_s), ...(p.deployments_reach_tokens_per_s ? [make('span.soft', `such deployments ${sig(p.deployments_reach_tokens_per_s)}`)] : [])), make('td', both(p.ttft_seconds, seconds)), make('td', both(p.tpot_seconds, seconds_of_token)),
    make('td', dollars(option?.full?.usd_per_million_output_tokens ?? p.usd_per_million_output_tokens), ...(option?.full ? [make('span.soft', `mostly ${option.full.mostly}`)] : [])), make('td', isFinite(p.wh_per_million_output_tokens) && p.wh_per_million_output_tokens !== null ? `${sig(p.wh_per_million_output_tokens)} Wh` : '–'),
    make('td', p.weights), sure_of(p));
}
function wide_cell(what, columns, ...children) {
  const td = make(what, ...children);
  td.colSpan = columns;
  return td;
}
function draw_plan(r, q) {
  const m = r.model, w = r.workload, asks = !!(q.rate || q.users), bits = r.plans.find(p => p.fits)?.weights, name = q.config ? 'The model that was pasted' : q.served ?? m.name, unpriced = plan_unpriced(q);
  const of = q.weights === 'auto' && m.weight_bytes.files ? 'files' : m.weight_bytes[bits] ? bits : 'bf16', weights = `${gigabytes(m.weight_bytes[of])} ${of === 'files' ? 'in its files' : `in ${of}`}`;
  const facts = `${name} has ${large(m.parameters)} parameters${m.active_parameters < m.parameters ? `, of which a token uses ${large(m.active_parameters)}` : ''}. Its weights take ${weights}, and what a token leaves in memory ${sig(m.kv_bytes_per_token_bf16 / 1024, 3)} KiB in bf16. `;
  const asked = `Requests have ${sig(w.mean_prompt_tokens, 3)} tokens and get ${sig(w.mean_output_tokens, 3)} back, on average.`;
  const columns = ['Devices', 'Most requests a second', 'Tokens a second', 'First token', 'Each further token', '$ per million tokens out', 'Energy for these', 'Weights', 'How sure this is'];
  const table = side('What each can do', make('table', make('thead', make('tr', ...columns.map(t => head(t, 'col')))), make('tbody', ...r.plans.map((p, i) => plan_row(p, r.options?.[i], w, asks)))));
  const out = [make('h3', 'What each can do'), make('p', facts, asked), table,
    make('p.small.soft', 'The most requests a second of which 99 of 100 are in time, and times and costs at that load', asks ? '; with a load of your own, times are at that' : '', '. Found by simulating the server’s own scheduler on priced steps; beside tokens a second, what published deployments of such devices reach.')];
  if (r.plans.some(p => p.fits)) out.push(make('details', make('summary', 'How sure: what the times rest on, device by device'), sure_list(r.plans)));
  const long = r.plans.filter(p => p.fits && p.too_long_share > 0);
  if (long.length) out.push(make('p', `${[...new Set(long.map(p => share(p.too_long_share)))].join(' or ')} of such requests are longer than ${name} takes, or than a device has room for: they are refused, and not counted.`));
  if (r.said) out.push(make('p.small', r.said));
  if (!r.options) out.push(make('p.card', `What it costs over load is not shown: the price of ${unpriced.join(' and of ')} is not known. Say what it is rented or bought for, above.`));
  plan_costs = r.options ? { r, q } : null;
  if (plan_costs) out.push(...costs_parts(r, q));
  return out;
}

$('plan-form').addEventListener('submit', e => { e.preventDefault(); if (!planning) make_plan(); });
$('plan-stop').addEventListener('click', () => planning?.abort());
$('plan-add').addEventListener('click', () => add_plan_device(plan_lists.devices.find(d => ![...$('plan-devices').children].some(li => li.fields.kind.value === d.key))?.key).fields.kind.focus());
for (const id of ['plan-model', 'plan-workload', 'plan-load', 'plan-api']) $(id).addEventListener('change', show_plan_fields);
/* Who works overnight waits for nobody. */
$('plan-workload').addEventListener('change', () => {
  const batch = $('plan-workload').value === 'batch';
  if (batch) $('plan-ttft').value = $('plan-tpot').value = $('plan-e2e').value = '';
  else if (!$('plan-ttft').value && !$('plan-tpot').value && !$('plan-e2e').value) $('plan-ttft').value = 2, $('plan-tpot').value = 100;
});
$('keyline').addEventListener('submit', () => { if (document.body.dataset.view === 'plan') open_plan(); });
