/* ---- models ---- */

let served = [], looked = false;
const model_id = () => $('models').value || served[0]?.id || '';
const model_facts = () => served.find(m => m.id === model_id());

async function look() {
  const chosen = $('models').value || kept.get('model');
  served = (await (await ask('v1/models')).json()).data;
  $('models').replaceChildren(...served.map(m => { const o = make('option', m.id); o.value = m.id; o.selected = m.id === chosen; return o; }));
  $('models').hidden = served.length < 2;
  $('model').textContent = served.length === 1 ? served[0].id : served.length ? `${served.length} models` : 'no model';
  document.title = `${$('model').textContent} · lathe`;
  looked = true;
  show_task();
  $('served').replaceChildren(...served.flatMap(m => [make('h3', m.id), facts_list([['Digest', m.digest && make('code', m.digest)], ['Fingerprint', m.system_fingerprint && make('code', m.system_fingerprint)],
    ['Build', last?.stats.build], ['Since', m.created && time_of(m.created)], ['Context', m.max_model_len && m.max_model_len.toLocaleString('en') + ' tokens'], ['Weights', m.meta?.size && bytes(m.meta.size)]])]));
}
const OTHERS = { embed: 'makes vectors of texts: POST /v1/embeddings. There is nothing to chat with.', classify: 'tells classes: POST /classify. There is nothing to chat with.' };
/* A model that makes no texts, or none that this key may ask, leaves nothing to write. */
function show_task() {
  const m = model_facts(), other = m && OTHERS[m.task];
  $('empty').textContent = other ? `${m.id} ${other}` : m || !looked ? 'Nothing said yet. What you write stays in this tab.' : 'This key may ask no model here.';
  $('composer').hidden = !!other || (!m && looked);
  $('set').hidden = $('composer').hidden;
}
function is(how, text) {
  $('dot').className = how;
  if ($('state').textContent !== text) $('state').textContent = text;
}

/* ---- live ---- */

const EVERY_S = 2, KEPT = 150;
const samples = {};              /* of each model: rates over the last interval, shares in percent, latencies in ms */
let last = null, seen = '', paused = false;          /* last: {now: {id: model}, at, stats} */

/* What /lathe/stats says of a model, and what came since the time before. */
function sample(now, before, at, old) {
  const over = before && at > before.at ? at - before.at : NaN, was = before?.now[now.id], rate = name => Math.max(0, (now[name] - was?.[name]) / over);
  const asked = now.prefix.asked - was?.prefix.asked, ms = (q, p) => q.n ? q[p] * 1000 : NaN;
  return { at, made: rate('generation_tokens'), prompt: rate('prompt_tokens'), running: now.running, waiting: now.waiting, kv: now.kv.use * 100, hits: asked > 0 ? (now.prefix.found - was.prefix.found) / asked * 100 : old?.hits,
    ttft50: ms(now.ttft_s, 'p50'), ttft95: ms(now.ttft_s, 'p95'), ttft99: ms(now.ttft_s, 'p99'), tpot50: ms(now.tpot_s, 'p50'), tpot95: ms(now.tpot_s, 'p95'), tpot99: ms(now.tpot_s, 'p99') };
}
async function poll() {
  if (document.hidden || paused || !$('keyline').hidden) return;
  try {
    const stats = await (await ask('lathe/stats')).json(), at = performance.now() / 1000, now = Object.fromEntries(stats.models.map(m => [m.id, m]));
    for (const m of stats.models) {
      const of = samples[m.id] ??= [];
      of.push(sample(m, last, at, of.at(-1)));
      if (of.length > KEPT) of.shift();
    }
    last = { now, at, stats };
    const versions = stats.models.map(m => m.id + m.since).join();
    if (versions !== seen) await look(), seen = versions;
    is('good', 'ready');
    draw_live();
  } catch (e) {
    last = null;
    is('bad', e.status === 401 ? 'wants a key' : e.message);
  }
}
const ms = q => q.n ? seconds(q.p50) : '–', quantiles = q => q.n ? `median; p99 ${seconds(q.p99)}` : 'of 5 minutes';

function draw_live() {
  const m = last?.now[model_id()] ?? last?.stats.models[0];
  if (!m) return;
  const { ended } = m, tiles = [['Tokens/s', num(samples[m.id].at(-1).made), `${num(m.generation_tokens)} made in all`], ['Under way', num(m.running), `${num(m.waiting)} waiting`],
    ['First token', ms(m.ttft_s), quantiles(m.ttft_s)], ['Time per token', ms(m.tpot_s), quantiles(m.tpot_s)],
    ['KV cache', share(m.kv.pages ? m.kv.use : NaN), `${num(m.kv.held)} of ${num(m.kv.pages)} pages held`], ['Prefix hits', share(m.prefix.found / m.prefix.asked), `of ${num(m.prefix.asked)} tokens`],
    ['Answered', num(ended.stop + ended.length), `${num(ended.abort)} given up, ${num(ended.error)} failed`], ['Up', span_of(last.stats.uptime_s), m.preemptions ? `${num(m.preemptions)} put aside` : 'none put aside']];
  $('tiles').replaceChildren(...tiles.map(([name, value, more]) => make('div', make('dt', name), make('dd', value, make('span', more)))));
  for (const c of CHARTS) draw_chart(c, samples[m.id]);
}
const CHARTS = [
  { title: 'Throughput, tokens/s', lines: [['made', 'made'], ['prompt', 'of prompts']] },
  { title: 'Requests', lines: [['running', 'under way'], ['waiting', 'waiting']], low: 4 },
  { title: 'Time to first token, ms', lines: [['ttft50', 'p50'], ['ttft95', 'p95'], ['ttft99', 'p99']], low: 10 },
  { title: 'Time per token, ms', lines: [['tpot50', 'p50'], ['tpot95', 'p95'], ['tpot99', 'p99']], low: 10 },
  { title: 'Cache, %', lines: [['kv', 'KV pages held'], ['hits', 'prefix hits']], max: 100 },
];
function draw_chart(c, samples) {
  if (!c.figure) $('charts').append(c.figure = new_figure());
  const to = samples.at(-1)?.at ?? 0, lines = c.lines.map(([k, name]) => ({ name, points: samples.filter(s => isFinite(s[k])).map(s => [s.at, s[k]]) }));
  draw_lines(c.figure, c.title, lines, { from: to - EVERY_S * (KEPT - 1), to, top: c.max, low: c.low, left: '5 min ago', right: 'now', over: 'the last five minutes' });
}

$('models').addEventListener('change', () => { kept.put('model', model_id()); show_task(); draw_live(); });
$('pause').addEventListener('click', () => {
  paused = !paused;
  last = null;
  $('pause').setAttribute('aria-pressed', paused);
  poll();
});
$('keyline').addEventListener('submit', poll);

recall();
show_unlikely();
show_task();
draw();
to_end();
poll();
setInterval(poll, EVERY_S * 1000);

