
/* ---- releases: what /lathe/registry says, and two things that are changed there ---- */

add_view('releases', 'Releases', () => read_book());
const BOOK_S = 5;
let books = null, book = null;           /* the registry's list; what is shown of a name: { view, recorded } */
const when = t => { const e = make('time', new Date(t).toLocaleString()); e.dateTime = t; return e; };
const part = x => num(x * 100) + ' %';
const at_alias = r => `${r.name}@${r.alias}`;

async function find_books() {
  try {
    books = await (await ask('lathe/registry')).json();
    show_books('');
  } catch (e) {
    books = null;
    if (e.status === 403) show_books(e.message);
    else if (e.status !== 404) $('book-note').replaceChildren(make('div.fault', e.message));
  }
}
function show_books(why) {
  const names = books?.names.filter(n => n.kind === 'model' && n.versions) ?? [];
  offer_view('releases', true);
  choose('book', names.map(n => [n.name, n.name]));
  $('book').hidden = !names.length;
  const use = button('Use an admin key', null, () => want_key());
  const admin = !why && books.admin, says = why || (!names.length ? 'The registry has no model yet: lathe registry add.' : admin ? '' : 'You may look. To promote or roll back, use the key of an administrator.');
  $('book-note').replaceChildren(...(says ? [make('div.card.small', says, make('div.row', ...(admin ? [] : [use])))] : []));
  if (!names.length) $('book-page').hidden = true;
}
/* The options of a select, [value, text] each: what was chosen stays so, else the first that is. */
function choose(id, options, first) {
  const was = $(id).value, text = JSON.stringify(options);
  if ($(id).dataset.options === text) return;
  $(id).dataset.options = text;
  $(id).replaceChildren(...options.map(([value, text]) => { const o = make('option', text); o.value = value; return o; }));
  const now = [was, first, options[0]?.[0]].find(v => options.some(o => String(o[0]) === String(v)));
  if (now !== undefined) $(id).value = now;
}
let book_reads = 0, book_shown = 0;            // answers that come late do not replace later ones
async function read_book() {
  if (document.body.dataset.view !== 'releases' || document.hidden || $('change').open || !$('keyline').hidden) return;
  await find_books();
  if (!books || !$('book').value) return;
  const name = $('book').value, of = 'lathe/registry/' + encodeURIComponent(name), get = async path => (await ask(of + path)).json(), maybe = (path, why) => get(path).catch(e => { why[0] = e.message; return null; });
  try {
    const mine = ++book_reads, past = await get('/history?n=30'), view = await get('');      // who gets what is at least as new as the history beside it
    if (name !== $('book').value || $('change').open) return;
    const numbers = view.versions.map(v => [v.number, String(v.number)]), stable = view.releases.find(r => r.alias === 'production') ?? view.releases[0];
    if (book?.view.name !== name) $('drift-of').value = $('lineage-of').value = '';
    choose('drift-of', numbers, stable?.candidate || stable?.stable);
    choose('lineage-of', numbers, stable?.candidate || stable?.stable);
    const why = [''], [recorded, traffic, drift, lineage] = await Promise.all([books.records ? maybe('/events?window=1h', []) : null, books.records ? maybe('/traffic?window=' + $('traffic-window').value, []) : null,
      maybe('/drift?version=' + $('drift-of').value, why), get('/lineage?version=' + $('lineage-of').value)]);
    if (name !== $('book').value || $('change').open || mine < book_shown) return;
    book_shown = mine;
    book = { view, recorded };
    $('book-page').hidden = false;
    redraw('book-who', [view.releases, books.admin], ([releases]) => releases.length ? releases.map(release_card) : [make('p.soft', 'Nothing is released yet.')]);
    redraw('book-traffic', [traffic, view.releases], ([t, releases]) => draw_traffic(t, releases));
    redraw('book-drift', [drift, why[0]], ([d, why]) => draw_drift(d, why));
    redraw('book-versions', [view, recorded, books.admin], ([view]) => [versions_table(view), ...(view.more ? [make('p.small.soft', `${view.more} older versions are not shown.`)] : [])]);
    redraw('book-lineage', lineage, draw_lineage);
    redraw('book-past', past.records, records => { const list = make('ol', ...records.map(past_line)); list.id = 'past'; return [list]; });
  } catch (e) {
    $('book-note').replaceChildren(make('div.fault', e.message));
  }
}
/* What says the same stays in the document; else what was focused and how far it was scrolled. */
const drawn = {};
function redraw(id, data, draw) {
  const box = $(id), text = JSON.stringify(data), focused = box.contains(document.activeElement) && document.activeElement.getAttribute('aria-label'), scrolled = box.querySelector('.side')?.scrollLeft ?? 0;
  if (drawn[id] === text) return;
  drawn[id] = text;
  box.replaceChildren(...draw(data));
  if (scrolled) box.querySelector('.side').scrollLeft = scrolled;
  if (focused) [...box.querySelectorAll('[aria-label]')].find(e => e.getAttribute('aria-label') === focused)?.focus({ preventScroll: true });
}

/* What an alias gives now, and to whom. */
function release_card(r) {
  const split = make('div.split'), words = r.candidate && { canary: `${part(r.share)} of users get version ${r.candidate}, the others version ${r.stable}.`, ab: `An experiment: ${part(r.share)} of users get version ${r.candidate}, the others version ${r.stable}.`,
    shadow: `All requests are answered by version ${r.stable}. Version ${r.candidate} is asked too, compared, and never shown.`, green: `Version ${r.candidate} takes over from version ${r.stable} as soon as a server has it ready.` }[r.mode];
  const shares = r.candidate && r.share ? [1 - r.share, r.share] : [1];
  split.setAttribute('aria-hidden', 'true');
  for (const s of shares) { const i = make('i'); i.style.width = s * 100 + '%'; split.append(i); }
  const out = make('div.card', make('b', r.alias), make('p', words || `All requests are answered by version ${r.stable}.`), split);
  const servers = make('p.small.soft', ...r.servers.filter(s => s.state !== 'gone').map(s => make('span', `On ${s.server} version ${s.number} is ${s.state}${s.message ? `: ${s.message}` : ''}. `)));
  if (servers.firstChild) out.append(servers);
  if (r.candidate || r.previous) {
    const b = button('Roll back', `Roll back ${at_alias(r)}`, () => open_change(r, 0));
    b.disabled = !books.admin;
    out.append(make('div.row', b, make('span.small.soft', r.candidate ? `takes version ${r.candidate} away` : `to version ${r.previous}`)));
  }
  return out;
}
/* Versions side by side: a column for each, a row for each figure. */
function versions_table(view) {
  const rows = [], versions = view.versions, production = view.releases.find(r => r.alias === 'production'), facts = v => v.facts ?? {};
  const row = (name, of) => { const cells = versions.map(of); if (cells.some(c => c !== undefined && c !== null && c !== '')) rows.push(make('tr', head(name, 'row'), ...cells.map(c => make('td', c ?? '–')))); };
  row('Added', v => when(v.t));
  row('By', v => v.actor);
  row('Why', v => v.reason);
  row('Made from', v => v.parents.map(p => `${p.parent} (${p.role})`).join(', '));
  row('Size', v => bytes(v.bytes));
  row('Parameters', v => isFinite(facts(v).parameters) ? num(facts(v).parameters) : undefined);
  const base = versions.find(v => v.number === (production?.stable ?? 0)), figure = (v, f) => v?.figures.find(g => g.figure === f)?.value, short = x => String(Number(x.toPrecision(4)));
  for (const f of new Set(versions.flatMap(v => v.figures.map(f => f.figure)))) row(f, v => {
    const x = figure(v, f), was = figure(base, f), more = x - was;
    return x === undefined ? undefined : was === undefined || v === base ? short(x) : make('span', short(x), make('span.soft', ` ${more > 0 ? '+' : more < 0 ? '−' : '±'}${short(Math.abs(more))}`));
  });
  row('Reports', v => {
    const of = (text, what) => button(text, `Open: ${text} of version ${v.number}`, () => open_report(view.name, v.number, what)), some = v.evidence.filter(e => e.kind !== 'signature');
    const all = some.filter(e => e.evaluation).length > 1 ? [of('All evaluations', 'evaluations')] : [];
    return some.length ? make('div.reports', ...all, ...some.map(e => of(`${evidence_name(e)}: ${e.file}`, e.blob))) : undefined;
  });
  for (const [name, of] of [['Answers, last hour', a => num(a.answers) + (a.failed ? `, ${num(a.failed)} failed` : '')], ['Prompts, mean NLL', a => a.prompt_nll?.toFixed(3)], ['First token', a => a.first_s && seconds(a.first_s)], ['Whole answer', a => a.total_s && seconds(a.total_s)]])
    row(name, v => book.recorded?.versions.filter(a => a.version === v.number).map(a => (a.arm ? a.arm + ' ' : '') + (of(a) ?? '–')).join('; '));
  rows.push(make('tr', head('', 'row'), ...versions.map(v => {
    const b = button('Promote', `Promote version ${v.number}`, () => open_change(production ?? { name: view.name, alias: 'production', stable: 0, candidate: 0 }, v.number));
    b.disabled = !books.admin || production?.stable === v.number;
    return make('td', b);
  })));
  return side('Versions', make('table', make('thead', make('tr', head('Version', 'col'), ...versions.map(v => head([v.number, ...v.aliases.map(a => ` · ${a}`)].join(''), 'col')))), make('tbody', ...rows)));
}
/* What may be wider than the window, and then scrolls by itself. */
function side(label, what) {
  const out = make('div.side', what);
  out.tabIndex = 0;
  out.setAttribute('role', 'region');
  out.setAttribute('aria-label', label);
  return out;
}
function head(text, scope) {
  const e = make('th', text);
  e.scope = scope;
  return e;
}
const DONE = { add: 'added', evidence: 'put evidence beside', lineage: 'said what it comes from:', alias: 'named', unalias: 'took the name away:', promote: 'promoted', rollback: 'rolled back', withdraw: 'took the candidate away:', settle: 'settled',
  policy: 'set the policy of', create: 'made the name', say: 'described' };
function past_line(r) {
  if (r.damaged !== undefined) return make('li', 'A record that cannot be read: lathe registry verify says more.');
  const to = r.release, beside = r.action === 'promote' && to?.candidate;      /* number is the one that stays */
  const what = beside ? `put version ${to.candidate} beside version ${r.number} of ${r.alias} (${to.mode}${to.share ? `, ${part(to.share / 1000)} of users` : ''})`
    : [DONE[r.action] ?? r.action, r.alias && r.number ? `${r.alias}:` : r.alias, r.number ? `version ${r.number}` : ''].filter(Boolean).join(' ');
  return make('li', when(r.t), ' · ', make('b', r.actor || 'nobody named'), ` ${what}`, r.reason ? ` – ${r.reason}` : '');
}
/* ---- a change: said in words, with a reason, and confirmed ---- */

let changing = null;             /* {release, version}; version 0: back */
function show_share() { $('change-part').hidden = $('change-how').hidden || !['canary', 'ab'].includes($('change-mode').value); }
function open_change(release, version) {
  changing = { release, version };
  $('change-title').textContent = version ? `Promote version ${version}` : `Roll back ${release.alias}`;
  $('change-what').textContent = version ? (release.stable ? `${at_alias(release)} is version ${release.stable} now.` : `${at_alias(release)} is nothing yet.`)
    : release.candidate ? `Version ${release.candidate} goes; all requests are answered by version ${release.stable}.` : `All requests are answered by version ${release.previous} again, instead of version ${release.stable}.`;
  $('change-how').hidden = !version || !release.stable;
  $('change-mode').value = 'none';
  $('change-reason').value = $('change-fault').textContent = '';
  $('change-do').textContent = version ? 'Promote' : 'Roll back';
  show_share();
  $('change').showModal();
  $('change-reason').focus();
}
$('change-mode').addEventListener('change', show_share);
$('change-not').addEventListener('click', () => $('change').close());
$('change').addEventListener('close', () => { changing = null; read_book(); });
$('change').querySelector('form').addEventListener('submit', async e => {
  e.preventDefault();
  if (!$('change-reason').value.trim()) { $('change-fault').textContent = 'Say why: the reason stays in the history.'; return; }
  $('change-fault').textContent = '';
  const { release, version } = changing, body = { alias: release.alias, reason: $('change-reason').value.trim(), seq: release.seq };
  if (version) body.version = version, body.mode = $('change-mode').value;
  if (!$('change-part').hidden) body.share = Number($('change-share').value) / 100;
  $('change-do').disabled = true;
  try {
    const now = await (await ask(`lathe/registry/${encodeURIComponent(release.name)}/${version ? 'promote' : 'rollback'}`, { method: 'POST', body: JSON.stringify(body) })).json();
    say(!version ? 'Rolled back.' : now.mode === 'green' ? `Version ${version} takes over when it is loaded.` : `Version ${version} is promoted.`);
    $('change').close();
  } catch (e) {
    $('change-fault').textContent = e.message;
  }
  $('change-do').disabled = false;
});
for (const id of ['book', 'traffic-window', 'drift-of', 'lineage-of']) $(id).addEventListener('change', read_book);
$('keyline').addEventListener('submit', () => find_books());
find_books();
setInterval(read_book, BOOK_S * 1000);
