
/* ---- build: files of somebody who does not program, up to a version (/lathe/workshop) ---- */

add_view('build', 'Build', () => read_shop());
const BUILD_S = 1;
let shop = null, project = null, curve = null;       /* what GET lathe/workshop says; the project that is shown; {next, loss: [[step, y]], valid, at: [[step, ms]]} of its training */
let bringing = null;                                  /* {to, done, n, bytes, all, stop, said} while files go up */
const KINDS = { nothing: 'no files yet', texts: 'texts', table: 'a table', images: 'images', mixed: 'files of several kinds' };
const ENDINGS = /\.(txt|md|markdown|html?|csv|tsv|jsonl|png|jpe?g|zip)$/i;
const shop_path = (what = '') => `lathe/workshop/${project.id}${what}`;
const plural = (n, one, many = one + 's') => `${Number(n).toLocaleString('en')} ${n === 1 ? one : many}`;
const post_shop = async (what, body = {}) => (await ask(shop_path(what), { method: 'POST', body: JSON.stringify(body) })).json();

/* Of several questions under way the last one counts. */
let shop_turn = 0;
async function find_shop(turn = ++shop_turn) {
  try {
    const now = await (await ask('lathe/workshop')).json();
    if (turn !== shop_turn) return;
    shop = now;
    offer_view('build', true);
    $('build-note').replaceChildren();
    $('build-new').hidden = false;
    const chosen = project?.id ?? kept.get('project');
    $('projects').replaceChildren(...shop.projects.toReversed().map(p => { const o = make('option', `${p.name} (${p.id})`); o.value = p.id; o.selected = p.id === chosen; return o; }));
    $('projects').hidden = !shop.projects.length;
  } catch (e) {
    shop = null;
    offer_view('build', e.status === 403);
    $('build-new').hidden = $('projects').hidden = true;
    $('build-page').replaceChildren();
    if (e.status === 403) $('build-note').replaceChildren(make('div.card.small', e.message, make('div.row', button('Use an admin key', null, () => want_key()))));
  }
}
async function read_shop() {
  const turn = ++shop_turn;
  await find_shop(turn);
  if (turn !== shop_turn) return;
  const id = $('projects').value;
  if (!shop || !id) { project = null; $('build-page').replaceChildren(); return; }
  await read_project(id);
}
async function read_project(id) {
  const turn = ++shop_turn;
  try {
    const p = await (await ask('lathe/workshop/' + id)).json();
    if (turn !== shop_turn) return;
    if (project?.id !== id) curve = null;
    project = p;
    kept.put('project', id);
    if (p.trained && !curve) await read_metrics().catch(() => {});
    if (turn === shop_turn) draw_project();
  } catch (e) {
    build_fault(e);
  }
}
function build_fault(e) { $('build-note').replaceChildren(make('div.fault', e.message)); }
/* Does something, and shows what came of it. */
async function shop_do(what, body) {
  $('build-note').replaceChildren();
  try {
    await post_shop(what, body);
    await read_project(project.id);
  } catch (e) {
    build_fault(e);
    $('build-note').scrollIntoView({ block: 'nearest' });
  }
}

/* ---- bringing files ---- */

async function send_file(file, path) {
  for (let at = 0, tries = 0; at < file.size;) {
    if (bringing.stop) return;
    const piece = file.slice(at, at + shop.piece);
    try {
      const came = await (await ask(`${bringing.to}/piece?path=${encodeURIComponent(path)}&from=${at}&size=${file.size}`, { method: 'POST', body: piece, headers: { 'Content-Type': 'application/octet-stream' } })).json();
      if (came.unpacked) bringing.unpacked.push({ path, ...came.unpacked });
      at += piece.size, bringing.bytes += piece.size, tries = 0;
      show_bringing();
    } catch (e) {
      if (e.status === 409 && at) bringing.bytes -= at, at = 0;                 /* from the beginning */
      else if (e.status || ++tries > 5) throw e;
      else await new Promise(r => setTimeout(r, 1000 * tries));                 /* the line is down */
    }
  }
}
function show_bringing() {
  const bar = $('bringing');
  if (!bar) return;
  bar.value = bringing.bytes / bringing.all;
  $('bringing-words').textContent = `${bringing.done} of ${plural(bringing.n, 'file')}, ${bytes(bringing.bytes)} of ${bytes(bringing.all)}`;
}
/* What did not come, and what archives had; nothing where all of it came. */
function came_words(good, left, b) {
  const some = (names, n) => names.slice(0, 5).join(', ') + (n > Math.min(5, names.length) ? ', …' : ''), out = [];
  if (left.length) out.push(`${plural(b.done, 'file')} came. ${plural(left.length, 'file')} did not, as nothing can be learned from ${left.length === 1 ? 'it' : 'them'} here (empty, or of another kind): ${some(left.map(([, p]) => p), left.length)}.`);
  for (const u of b.unpacked) out.push(`${u.path} was unpacked: ${plural(u.files, 'file')}, ${bytes(u.bytes)}.${u.left ? ` ${plural(u.left, 'file')} in it ${u.left === 1 ? 'was' : 'were'} left out, as nothing can be learned from ${u.left === 1 ? 'it' : 'them'} here: ${some(u.names, u.left)}.` : ''}`);
  return out.join(' ');
}
async function bring(list) {
  const files = [...list].map(f => [f, f.webkitRelativePath || f.path_below || f.name]).filter(([, path]) => !path.split('/').some(p => p.startsWith('.')));
  const good = files.filter(([f, path]) => ENDINGS.test(path) && f.size), left = files.filter(([f, path]) => !ENDINGS.test(path) || !f.size);
  if (!files.length || bringing) return;
  bringing = { to: shop_path(), done: 0, n: good.length, bytes: 0, all: good.reduce((n, [f]) => n + f.size, 0) || 1, unpacked: [], stop: false };
  draw_project();
  const queue = [...good];
  let fault = null;
  await Promise.all([1, 2, 3, 4].map(async () => {
    for (let next; !fault && !bringing.stop && (next = queue.shift());) {
      try { await send_file(next[0], next[1]); bringing.done++; show_bringing(); }
      catch (e) { fault ??= new Refused(e.status, `${next[1]}: ${e.message}`); }
    }
  }));
  const n = bringing.done, stopped = bringing.stop, words = came_words(good, left, bringing);
  bringing = null;
  await read_project(project.id);
  if (fault) build_fault(fault);
  else if (words) $('build-note').replaceChildren(make('div.card.small', words));
  say(stopped ? 'Stopped.' : `${plural(n, 'file')} came.`);
}
/* What is dropped may be folders. */
async function files_of(entry, below = '') {
  if (entry.isFile) return [await new Promise((yes, no) => entry.file(f => { f.path_below = below + f.name; yes(f); }, no))];
  const reader = entry.createReader(), out = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) return out;
    for (const e of some) out.push(...await files_of(e, below + entry.name + '/'));
  }
}
function chooser(text, folder) {
  const input = make('input'), b = button(text, null, () => input.click());
  input.type = 'file';
  input.multiple = true;
  input.hidden = true;
  input.className = folder ? 'folder' : 'files';
  input.tabIndex = -1;
  input.setAttribute('aria-label', text);
  if (folder) input.webkitdirectory = true;
  input.addEventListener('change', () => bring(input.files));
  return [b, input];
}
function draw_bringing(p) {
  if (bringing) {
    const bar = make('progress'), words = make('p.small');
    bar.id = 'bringing', words.id = 'bringing-words', bar.max = 1;
    bar.setAttribute('aria-label', 'Files that have come');
    queueMicrotask(show_bringing);
    return [bar, words, make('div.row', button('Stop', 'Stop bringing files', () => { bringing.stop = true; }))];
  }
  const seen = p.seen, drop = make('div.drop', make('p', seen.files ? 'Bring more, or drop them here' : 'Drop files or a folder here, or'), make('div.row', ...chooser('Choose files', false), ...chooser('Choose a folder', true)),
    make('p.small.soft', 'Texts (.txt, .md, .html), one table (.csv, .tsv, .jsonl), or images (.png, .jpg) in a folder for each class; or a .zip of these, which is unpacked.'));
  drop.addEventListener('dragover', e => { e.preventDefault(); drop.classList.add('over'); });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', async e => {
    e.preventDefault();
    drop.classList.remove('over');
    const entries = [...e.dataTransfer.items].map(i => i.webkitGetAsEntry()).filter(Boolean), all = [];
    for (const entry of entries) all.push(...await files_of(entry));
    bring(all);
  });
  const out = [drop];
  if (!seen.files && !seen.parts) return out;
  const list = make('ul.plain.small', ...seen.list.slice(0, 50).map(f => make('li', `${f.path}, ${bytes(f.bytes)}${f.part ? ' of it: it did not come whole' : ''} `, button('Remove', `Remove ${f.path}`, () => shop_do('/remove', { path: f.path })))));
  const more = make('details', make('summary.small', 'The files'), list, ...(seen.files > 50 ? [make('p.small.soft', `and ${seen.files - 50} more`)] : []));
  out.push(make('p', `${plural(seen.files, 'file')}, ${bytes(seen.bytes)}: ${KINDS[seen.kind]}${seen.kind === 'images' && seen.classes.length ? ` of ${plural(seen.classes.length, 'class', 'classes')}: ${seen.classes.slice(0, 20).map(c => `${c.name} (${c.files})`).join(', ')}` : ''}.`), more);
  if (seen.parts) out.push(make('p.fault', `${plural(seen.parts, 'file')} did not come whole. Bring ${seen.parts === 1 ? 'it' : 'them'} again, or remove ${seen.parts === 1 ? 'it' : 'them'} (The files).`));
  if (seen.more_classes) out.push(make('p.fault', 'The images lie in more than 1,000 folders. Each of them is a class, and a model here tells fewer apart.'));
  if (seen.kind === 'mixed') out.push(make('p.fault', 'These are files of several kinds. One model learns from one kind: remove the others.'));
  if (seen.bare) out.push(make('p.fault', `${plural(seen.bare, 'image')} ${seen.bare === 1 ? 'lies' : 'lie'} in no folder. The folder that an image is in says what it shows.`));
  return out;
}

/* ---- what should come of it ---- */

function chosen(id, label, options, value) {
  const s = make('select');
  s.id = id;
  for (const [v, text] of options) { const o = make('option', text); o.value = v; o.selected = v === value; s.append(o); }
  return make('label.field', label + ' ', s);
}
const LICENCES = [['', 'not known'], ['LicenseRef-own', 'it is mine, or ours'], ['CC0-1.0', 'public domain (CC0)'], ['CC-BY-4.0', 'CC BY 4.0'], ['CC-BY-SA-4.0', 'CC BY-SA 4.0'], ['CC-BY-NC-4.0', 'CC BY-NC 4.0, not for business'], ['MIT', 'MIT'], ['Apache-2.0', 'Apache 2.0']];
/* The column of the longest texts, and the one of few different values. */
function guess_columns(columns) {
  const usable = columns.filter(c => c.usable), text = usable.toSorted((a, b) => b.length - a.length)[0]?.name ?? '';
  const labels = usable.filter(c => c.name !== text && c.values > 1 && !c.more);
  return [text, (labels.find(c => /label|class|kind|category|mood|sentiment|target|topic/i.test(c.name)) ?? labels.toSorted((a, b) => a.values - b.values)[0])?.name ?? ''];
}
function preview(t) {
  const table = make('table', make('thead', make('tr', ...t.columns.map(c => head(c.name || '(no name)', 'col')))), make('tbody', ...t.first.map(r => make('tr', ...r.map(v => make('td', v.length > 120 ? v.slice(0, 120) + '…' : v))))));
  const out = make('div.side', table);
  out.tabIndex = 0;
  out.setAttribute('role', 'region');
  out.setAttribute('aria-label', 'The first rows');
  return out;
}
function draw_goal(p) {
  const { seen } = p, t = seen.table, out = [];
  if (!['texts', 'table', 'images'].includes(seen.kind)) return [];
  const [text, label] = t ? guess_columns(t.columns) : ['', ''], fields = [];
  if (t) {
    const of = t.columns.filter(c => c.usable).map(c => [c.name, c.name + (c.more ? '' : ` (${plural(c.values, 'value')})`)]);
    fields.push(chosen('goal', 'It should', [['classes', 'tell the label of a text'], ['texts', 'write such texts']], p.goal || (label ? 'classes' : 'texts')), chosen('column-text', 'The texts are in', of, p.text || text),
      chosen('column-label', 'The labels are in', [['', 'no column'], ...of], p.label || label));
    out.push(make('p', `${t.whole ? plural(t.rows, 'row') : 'More rows than are looked at here'}; the first:`), preview(t));
    if (t.fault) out.push(make('p.fault', `In the table: ${t.fault}.`));
  } else {
    out.push(make('p', seen.kind === 'texts' ? 'It will learn to write such texts.' : `It will learn to tell ${plural(seen.classes.length, 'class', 'classes')} of images apart, from nothing.`));
  }
  if (seen.kind !== 'images' && shop.bases.length) fields.push(chosen('base', 'It should begin with', [['', 'nothing: a small model of its own'], ...shop.bases.map(b => [b.name, b.said])], p.base || ''));
  fields.push(chosen('licence', 'Licence of all this', LICENCES, p.licence || ''));
  const go = button(p.step === 'files' ? 'Look at it' : 'Look at it again', null, () => shop_do('/look', { goal: $('goal')?.value ?? seen.kind, text: $('column-text')?.value ?? '', label: $('goal')?.value === 'classes' ? $('column-label').value : '', licence: $('licence').value, base: $('base')?.value ?? '' }));
  go.className = 'go';
  return [...out, make('div.grid', ...fields), make('div.row', go, make('span.small.soft', 'reads everything, and learns nothing yet'))];
}

/* ---- the audit in words ---- */

const DROPPED = { dup_exact: ['is the same as another', 'are the same as others'], dup_near: ['is nearly the same as another', 'are nearly the same as others'], empty: ['is empty', 'are empty'], not_utf8: ['is no readable text', 'are no readable text'],
  no_field: ['lacks the column', 'lack the column'], bad_row: ['is a damaged row', 'are damaged rows'], bad_json: ['is a damaged line', 'are damaged lines'], bad_image: ['is no image that can be read', 'are no images that can be read'],
  too_long: ['is too long', 'are too long'], poison: ['looks poisoned', 'look poisoned'], contaminated: ['belongs to a test', 'belong to a test'], licence: ['has a licence that forbids it', 'have a licence that forbids it'] };
const PII = { EMAIL_ADDRESS: 'mail address', PHONE_NUMBER: 'telephone number', URL: 'web address', IP_ADDRESS: 'network address', CREDIT_CARD: 'card number', IBAN_CODE: 'account number', US_SSN: 'social security number' };
const counted = (n, name) => `${plural(n, name, name.endsWith('ss') ? name + 'es' : name + 's')}`;
function languages(of) {
  let name = c => c;
  try { const names = new Intl.DisplayNames('en', { type: 'language' }); name = c => names.of(c); } catch { /* codes */ }
  const all = Object.entries(of ?? {}).filter(([c]) => c && c !== 'un').sort((a, b) => b[1] - a[1]), sum = all.reduce((n, [, k]) => n + k, 0);
  return all.slice(0, 3).map(([c, n]) => { try { return `${name(c)} ${part(n / sum)}`; } catch { return c; } }).join(', ');
}
function audit_words(p) {
  const a = p.audit, t = a.totals, images = p.goal === 'images', one = images ? 'image' : 'text', out = [`${plural(t.records, one)} ${t.records === 1 ? 'was' : 'were'} read${t.words ? `, ${plural(t.words, 'word')}` : ''}. ${plural(t.kept, one)} can be used.`];
  for (const [why, n] of Object.entries(t.dropped)) out.push(`${plural(n, one)} ${(DROPPED[why] ?? [`is left out: ${why.replaceAll('_', ' ')}`, `are left out: ${why.replaceAll('_', ' ')}`])[n === 1 ? 0 : 1]}, and ${n === 1 ? 'is' : 'are'} left out.`);
  if (p.unlabelled) out.push(`${plural(p.unlabelled, 'text')} ${p.unlabelled === 1 ? 'has' : 'have'} no label, and ${p.unlabelled === 1 ? 'is' : 'are'} left out.`);
  if (p.rare) out.push(`${plural(p.rare, 'text')} ${p.rare === 1 ? 'has a label' : 'have labels'} that fewer than 5 texts have, and ${p.rare === 1 ? 'is' : 'are'} left out.`);
  const pii = Object.entries(a.pii?.entities ?? {}).sort((x, y) => y[1].n - x[1].n);
  if (!images) out.push(pii.length ? `Personal data: ${pii.slice(0, 6).map(([k, e]) => counted(e.n, PII[k] ?? k.toLowerCase().replaceAll('_', ' '))).join(', ')}${pii.length > 6 ? ' and others' : ''}. Each is replaced by its kind before anything is learned.` : 'Personal data: none was found.');
  if (!images && a.secrets) out.push(a.secrets.n ? `${plural(a.secrets.n, 'password or key', 'passwords or keys')} ${a.secrets.n === 1 ? 'was' : 'were'} found and will be replaced. Change ${a.secrets.n === 1 ? 'it' : 'them'}.` : 'Passwords and keys: none was found.');
  const l = a.licences?.sources?.[0];
  out.push(!l?.expression ? 'Licence: none is stated. Ask whoever owns this before you give the model to others.' : l.allowed ? `Licence: ${l.expression}, which allows to learn from it.` : `Licence: ${l.expression}. It is not known to allow this: ask whoever owns it.`);
  if (!images && languages(a.languages)) out.push(`Language: ${languages(a.languages)}.`);
  const labels = a.labels?.sources?.[0];
  if (labels?.classes) out.push(`Labels: ${labels.classes.slice(0, 12).map(c => `${c.label} (${c.n})`).join(', ')}${labels.classes.length > 12 ? ', …' : ''}.${labels.imbalance > 5 ? ' Some are rare: the model will know them less well.' : ''}${labels.noise?.issues ? ` ${plural(labels.noise.issues, 'label')} ${labels.noise.issues === 1 ? 'is' : 'are'} not what the other ${one}s would suggest; some may be wrong (the report has examples).` : ''}`);
  if (images && a.images) out.push(`Sizes: ${Object.entries(a.images.sizes).sort((x, y) => y[1] - x[1]).slice(0, 4).map(([s, n]) => `${s.split('x').slice(0, 2).join(' by ')} (${n})`).join(', ')}.${a.images.alike?.records ? ` ${plural(a.images.alike.records, 'image')} look much like others.` : ''}`);
  if (p.train) out.push(`${plural(p.train, one)} to learn from; ${plural(p.valid, p.goal === 'texts' ? 'passage' : one)} ${p.valid === 1 ? 'is' : 'are'} held out, to judge the model by what it has not seen.`);
  return out;
}
/* A page of another kind cannot be shown in this one: it is saved. */
async function save_file(path, name) {
  try {
    const url = URL.createObjectURL(await (await ask(shop_path('/file?path=' + encodeURIComponent(path)))).blob()), a = make('a');
    a.href = url, a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } catch (e) { build_fault(e); }
}
const saver = (text, path, name) => button(text, null, () => save_file(path, name));
function draw_audit(p) {
  if (!p.audit) return [];
  return [make('ul.plain', ...audit_words(p).map(w => make('li', w))), make('div.row', saver('Save the full report', 'audit.html', `${p.id}-audit.html`))];
}

/* ---- recipes ---- */

const money = { watts: Number(kept.get('watts', localStorage)) || 0, price: Number(kept.get('price', localStorage)) || 0 };
function plan_facts(r) {
  const { plan } = r, s = plan.step_seconds_expected > 0 ? plan.step_seconds_expected * r.steps : plan.expected_seconds, kwh = money.watts * s / 3.6e6;
  const small = x => x < 0.001 ? 'under 0.001' : x.toPrecision(2);
  return [['Size', `${num(plan.parameters)} parameters`], ['Time', `about ${span_of(Math.max(1, s))}, ${plural(r.steps, 'step')}`], ['Memory', bytes(plan.planned_bytes + 20e6)], ['Energy', money.watts ? `${small(kwh)} kWh` : 'say below what the machine draws'], ['Cost', money.watts && money.price ? small(kwh * money.price) : undefined]];
}
function recipe_card(p, r) {
  const b = button('Train', `Train ${r.title}`, () => { curve = null; shop_do('/train', { recipe: r.name }); });
  b.className = 'go';
  b.disabled = !r.plan;
  return make('div.recipe', make('b', r.title), make('p.small', r.sentence), r.plan ? facts_list(plan_facts(r)) : make('p.fault', r.why ?? 'There can be no plan of it.'), make('div.row', b, saver('Save its settings', `recipes/${r.name}.yaml`, `${r.name}.yaml`)));
}
function number_field(id, label, value, set) {
  const i = make('input');
  i.id = id, i.type = 'number', i.min = 0, i.step = 'any', i.inputMode = 'decimal', i.value = value || '';
  i.addEventListener('change', () => { set(Number(i.value) || 0); draw_recipes(); });
  return make('label.field', label + ' ', i);
}
function draw_recipes() { $('recipes')?.replaceChildren(...project.plans.map(r => recipe_card(project, r))); }
function draw_choice(p) {
  if (!p.plans) return [];
  const list = make('div');
  list.id = 'recipes';
  queueMicrotask(draw_recipes);
  return [make('p', p.base ? `Two ways to go on from ${p.base}. Begin with the first: it needs less, and forgets less.` : 'Three sizes. Begin with the smallest: it shows in a moment whether more is worth it.'), list,
    make('div.grid', number_field('watts', 'The machine draws, in watts', money.watts, v => { money.watts = v; kept.put('watts', String(v), localStorage); }), number_field('price', 'A kilowatt-hour costs', money.price, v => { money.price = v; kept.put('price', String(v), localStorage); })),
    make('p.small.soft', 'How sure: a step of each was tried on this machine just now. It takes longer while the server answers others or the machine has other work. Energy and cost follow from your two numbers.')];
}

/* ---- while it works ---- */

const STAGE = { audit: 'reading everything', card: 'writing the report', build: 'making it ready', train: 'learning', merge: 'putting what it learned into the model', errors: 'trying it on what was held out', 'held-out': 'trying it on what was held out', sample: 'writing something', data: 'keeping the data', register: 'keeping the model' };
function take_metrics(text) {
  for (const line of text.split('\n')) {
    if (!line) continue;
    const m = JSON.parse(line);
    if (isFinite(m.valid_loss ?? NaN)) curve.valid.push([m.step, m.valid_loss]);
    else if (isFinite(m.loss ?? NaN)) curve.loss.push([m.step, m.loss]), curve.at.push([m.step, m.unix_ms]);
  }
  if (curve.at.length > 200) curve.at = curve.at.slice(-100);
}
async function read_metrics() {
  curve ??= { next: 0, loss: [], valid: [], at: [] };
  for (;;) {
    const m = await (await ask(shop_path('/metrics?from=' + curve.next))).json();
    if (m.from < curve.next) { curve = null; return; }                           /* begun anew */
    take_metrics(m.lines);
    curve.next = m.next;
    if (m.next === m.from) return;
  }
}
const steps_of = p => p.plans?.find(r => r.name === p.recipe)?.steps ?? curve?.loss.at(-1)?.[0] ?? 1;
function time_left(p) {
  const a = curve?.at.at(-Math.min(50, curve.at.length)), z = curve?.at.at(-1);
  return a && z && z[0] > a[0] ? (steps_of(p) - z[0]) * (z[1] - a[1]) / (z[0] - a[0]) / 1000 : NaN;
}
/* At most 300 points: each the mean of its steps. */
function thin(points) {
  const per = Math.ceil(points.length / 300), out = [];
  for (let i = 0; i < points.length; i += per) { const some = points.slice(i, i + per); out.push([some.at(-1)[0], some.reduce((n, s) => n + s[1], 0) / some.length]); }
  return out;
}
function draw_curve(p) {
  const f = $('chart').content.cloneNode(true).firstChild, pic = f.lastElementChild, all = [...curve.loss, ...curve.valid].map(x => x[1]), top = nice(Math.max(0.01, ...all)), end = Math.max(steps_of(p), curve.loss.at(-1)?.[0] ?? 1);
  const L = 34, W = 338, T = 6, H = 80, x = s => L + (W - L) * s / end, y = v => H - (H - T) * Math.min(v, top) / top;
  f.classList.add('curve');
  for (const v of [0, top / 2, top]) { svg(pic, 'line', { class: 'rule', x1: L, x2: W, y1: y(v), y2: y(v) }); svg(pic, 'text', { x: L - 5, y: y(v) + 4, 'text-anchor': 'end' }, num(v)); }
  svg(pic, 'text', { x: L, y: 94 }, 'step 1');
  svg(pic, 'text', { x: W, y: 94, 'text-anchor': 'end' }, `step ${end.toLocaleString('en')}`);
  [thin(curve.loss), curve.valid].forEach((points, i) => { if (points.length) svg(pic, 'polyline', { class: 's' + i, ...(i && { 'stroke-dasharray': '5 2' }), points: points.map(([s, v]) => `${x(s).toFixed(1)},${y(v).toFixed(1)}`).join(' ') }); });
  const last = points => points.at(-1)?.[1]?.toFixed(3) ?? '–';
  f.firstElementChild.replaceChildren('Loss: the lower, the better it knows', make('span.key', make('span.s0', `— on what it learns ${last(curve.loss)}`), make('span.s1', `╌ held out ${last(curve.valid)}`)));
  pic.setAttribute('aria-label', `Loss by step. On what it learns now ${last(curve.loss)}, held out ${last(curve.valid)}.`);
  return f;
}
function draw_working(p) {
  const now = p.stages.findLast(s => s.state === 'running')?.name, words = p.stopping ? 'stopping: it saves first' : STAGE[now] ?? (p.step === 'look' ? 'finding out how long each recipe would take' : 'beginning'), out = [make('p', make('b', `It works: ${words}.`))];
  const at = curve?.loss.at(-1)?.[0];
  if (now === 'train' && at) {
    const bar = make('progress'), left = time_left(p);
    bar.max = steps_of(p), bar.value = at;
    bar.setAttribute('aria-label', 'Steps');
    out.push(bar, make('p.small', `Step ${at.toLocaleString('en')} of ${steps_of(p).toLocaleString('en')}${isFinite(left) ? `, about ${span_of(Math.max(1, left))} left` : ''}.`), draw_curve(p));
  }
  const stop = button('Stop', 'Stop the work', () => shop_do('/stop'));
  stop.disabled = !!p.stopping;
  return [...out, make('div.row', stop, make('span.small.soft', 'It goes on even when this page is closed.'))];
}

/* ---- what came of it ---- */

const percents = x => (100 * x).toFixed(x > .1 && x < .995 ? 0 : 1) + ' %';
async function show_image(img, path) {
  try {
    const blob = await (await ask(shop_path('/file?path=' + encodeURIComponent(path)))).blob(), r = new FileReader();
    r.onload = () => { img.src = r.result; };
    r.readAsDataURL(blob);
  } catch { img.alt += ' (cannot be shown)'; }
}
function wrong_card(e, c) {
  const some = e.wrong.filter(w => w.is === c.is && w.said === c.said), out = make('div.wrong', make('b', `${c.is}, taken for ${c.said}: ${plural(c.n, 'time')}`)), shots = make('div.shots');
  for (const w of some) {
    const sure = `${percents(w.p)} sure`;
    if (w.text !== undefined) { out.append(make('blockquote', w.text), make('p.small.soft', sure)); continue; }
    const img = make('img');
    img.alt = `${c.is}, taken for ${c.said}`;
    show_image(img, w.file);
    shots.append(make('figure', img, make('figcaption', sure)));
  }
  if (shots.firstChild) out.append(shots);
  return out;
}
function draw_errors(p) {
  const e = p.errors, f = e.figures[0], one = p.goal === 'images' ? 'image' : 'text', out = [make('p', make('b', `${percents(f.value)} right: `), `of ${plural(e.n, one)} that it had not seen it tells ${e.right.toLocaleString('en')}. Of all there are it is likely between ${percents(f.low)} and ${percents(f.high)} (95 % interval).`)];
  out.push(make('p.small.soft', `Guessing among ${e.classes.length} would be right in ${percents(1 / e.classes.length)}.${e.cut ? ` Of ${plural(e.cut, 'text')} only the beginning was read.` : ''}`));
  out.push(make('h4', 'Where it errs'), ...(e.confusions.length ? e.confusions.slice(0, 12).map(c => wrong_card(e, c)) : [make('p', 'Nowhere, on what was held out. Try it on texts or images of another source.')]));
  return out;
}
function draw_writer(p) {
  const bits = p.held_out?.results?.['held-out']?.['bits_per_byte,none'], out = [];
  if (isFinite(bits)) out.push(make('p', make('b', `${bits.toFixed(2)} bits: `), 'so much it needs for each byte, about a letter, of text that it had not seen. 8 would be blind guessing; the less, the better it knows what comes next.'));
  if (p.sample) out.push(make('h4', 'Something that it writes'), make('blockquote', p.sample.text));
  if (p.hardest?.length) out.push(make('h4', 'Where it errs most'), ...p.hardest.map(h => make('div.wrong', make('b', `${h.bits.toFixed(2)} bits`), make('blockquote', h.text))));
  return out;
}
function draw_result(p) {
  if (!p.trained) return [];
  const out = p.errors ? draw_errors(p) : draw_writer(p), held = curve?.valid.map(x => x[1]) ?? [];
  if (held.length > 2 && held.at(-1) > 1.1 * Math.min(...held)) out.push(make('p.fault', 'Towards the end it became better on what it learned and worse on what was held out: it began to learn by heart. A smaller recipe, or more to learn from, may do better.'));
  return [...out, ...(curve?.loss.length ? [draw_curve(p)] : []), make('div.row', saver('Save the report of the training', 'train.html', `${p.id}-train.html`), saver('Save life.yaml', 'life.yaml', 'life.yaml')), make('p.small.soft', `life.yaml does all of it again: lathe run life.yaml in the folder ${p.id} of the workshop.`)];
}
async function promote_project(p) {
  let release = { name: p.version_name, alias: 'production', stable: 0, candidate: 0 };
  try {
    const view = await (await ask('lathe/registry/' + encodeURIComponent(p.version_name))).json();
    release = view.releases.find(r => r.alias === 'production') ?? release;
    await find_books();
    $('book').value = p.version_name;
    show_view('releases');
    open_change(release, p.number);
  } catch (e) { build_fault(e); }
}
function draw_register(p) {
  if (!shop.registry) return [make('p.soft', 'This server has no registry: lathe serve --registry.')];
  const out = [];
  if (p.step === 'register' && p.state === 'done') {
    const go = button('Promote it', null, () => promote_project(p));
    go.className = 'go';
    out.push(make('p', make('b', `${p.version_name}, version ${p.number}, is in the registry`), ', with what it was learned from, its audit and its errors. Promoting makes it the one that servers of that name answer with.'), make('div.row', go, make('span.small.soft', `lathe serve ${p.version_name}@production is a server that follows it.`)));
  }
  const name = make('input'), reason = make('textarea'), form = make('form', make('div.grid', make('label.field', 'Name, in letters, digits, . _ - ', name), make('label.field', 'Why it is worth keeping, for the history ', reason))), go = make('button.go', 'Register');
  name.id = 'version-name', reason.id = 'version-reason', name.maxLength = 90, reason.maxLength = 900, reason.rows = 1, name.required = reason.required = true, name.pattern = '[A-Za-z0-9._\\-]+';
  name.value = p.version_name ?? p.name.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-').replaceAll(/^-+|-+$/g, '');
  form.append(make('div.row', go));
  form.addEventListener('submit', e => { e.preventDefault(); shop_do('/register', { name: name.value.trim(), reason: reason.value.trim() }); });
  return [...out, form];
}

/* ---- all of it ---- */

const FAILED = { look: 'It could not be looked at', train: 'It could not be trained', register: 'It could not be registered' };
function draw_state(p) {
  if (p.state === 'running') return [make('div.card', ...draw_working(p))];
  const again = (text, go) => { const b = button(text, null, go); b.className = 'go'; return make('div.row', b); };
  if (p.state === 'failed') return [make('div.fault', make('b', `${FAILED[p.step] ?? 'It failed'}: `), `${p.message}.`)];
  if (p.state !== 'stopped') return [];
  const goes_on = { look: () => shop_do('/look', { goal: p.goal, text: p.text, label: p.label, licence: p.licence, base: p.base ?? '' }), train: () => shop_do('/train', { recipe: p.recipe }), register: () => shop_do('/register', { name: p.version_name, reason: p.reason }) };
  return [make('div.card', make('p', make('b', 'Stopped'), `: ${p.message}.`), again('Go on', goes_on[p.step]))];
}
/* A part of the page, closed where it is behind us; what somebody opened or closed stays so. */
const opened = {};
function section_of(name, title, open, nodes) {
  const d = make('details', make('summary', make('h3', title)), make('div.card', ...nodes)), at = `${project.id} ${project.step} ${project.state} ${name}`;
  d.open = opened[at] ?? open;
  d.addEventListener('toggle', () => { opened[at] = d.open; });
  return d;
}
function draw_project() {
  const p = project, busy = p.state === 'running', parts = [], looked = p.step !== 'files' && !(p.step === 'look' && p.state !== 'done'), done = { files: 0, look: p.state === 'done' ? 2 : 1, train: p.state === 'done' ? 5 : 3, register: 5 }[p.step];
  const add = (name, title, open, nodes) => { if (nodes.length) parts.push(section_of(name, title, open, nodes)); };
  parts.push(make('ol.steps', ...['1 Bring', '2 Look', '3 Choose', '4 Train', '5 Errors', '6 Register'].map((t, i) => { const li = make('li', t); if (i === done) li.setAttribute('aria-current', 'step'); return li; })), ...draw_state(p));
  if (!busy) {
    add('bring', `Bring what it is to learn from${looked ? `: ${plural(p.seen.files, 'file')}, ${bytes(p.seen.bytes)}` : ''}`, !looked, draw_bringing(p));
    if (!bringing) add('goal', 'What should come of it', !looked, draw_goal(p));
  }
  if (!bringing) {
    add('found', 'What was found', !p.trained, draw_audit(p));
    if (!busy) {
      add('choose', 'Choose a recipe', !p.trained, draw_choice(p));
      add('result', `What it can do${p.recipe ? `: ${p.plans?.find(r => r.name === p.recipe)?.title}` : ''}`, true, draw_result(p));
      if (p.trained) add('keep', 'Keep it', true, draw_register(p));
    }
  }
  const remove = button('Remove this project', null, async () => {
    if (remove.dataset.sure) { await shop_do_remove(); return; }
    remove.dataset.sure = 'yes', remove.textContent = 'Yes, remove its files and what it learned';
  });
  if (!busy && !bringing) parts.push(make('div.row', remove));
  $('build-page').replaceChildren(...parts);
}
async function shop_do_remove() {
  try { await post_shop('/remove'); project = null, curve = null; kept.put('project', null); await read_shop(); } catch (e) { build_fault(e); }
}
async function watch_project() {
  if (document.body.dataset.view !== 'build' || document.hidden || !project || project.state !== 'running') return;
  const id = project.id;
  try {
    const now = await (await ask(shop_path('/state'))).json();
    if (now.step === 'train' && now.stages.some(s => s.name === 'train')) await read_metrics();
    if (project?.id !== id) return;
    if (now.state !== 'running') { await read_project(id); say(now.state === 'done' ? 'Done.' : `${FAILED[now.step] ?? now.state}.`); return; }
    project = { ...project, ...now };
    const focused = document.activeElement?.getAttribute('aria-label'), had = $('build-page').contains(document.activeElement);
    draw_project();
    if (had && focused) [...$('build-page').querySelectorAll('[aria-label]')].find(e => e.getAttribute('aria-label') === focused)?.focus({ preventScroll: true });
  } catch (e) {
    if (e.status !== 401) build_fault(e);
  }
}
$('projects').addEventListener('change', () => { project = null, curve = null; $('build-note').replaceChildren(); read_project($('projects').value); });
$('build-new').addEventListener('submit', async e => {
  e.preventDefault();
  try {
    kept.put('project', (await (await ask('lathe/workshop', { method: 'POST', body: JSON.stringify({ name: $('build-name').value.trim() }) })).json()).id);
    $('build-name').value = '';
    project = curve = null;
    $('build-page').replaceChildren();
    await read_shop();
  } catch (e) { build_fault(e); }
});
$('keyline').addEventListener('submit', () => document.body.dataset.view === 'build' ? read_shop() : find_shop());
find_shop();
setInterval(watch_project, BUILD_S * 1000);
