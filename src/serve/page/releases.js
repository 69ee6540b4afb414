
/* ---- releases: what /lathe/registry says, and two things that are changed there ---- */

add_view('releases', 'Releases', () => read_book());
const BOOK_S = 5;
let books = null, book = null;           /* the registry's list; what is shown of a name: {view, past, recorded} */
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
  const names = books?.names.filter(n => n.kind === 'model' && n.versions) ?? [], chosen = $('book').value;
  offer_view('releases', true);
  $('book').replaceChildren(...names.map(n => { const o = make('option', n.name); o.value = n.name; o.selected = n.name === chosen; return o; }));
  $('book').hidden = !names.length;
  const use = button('Use an admin key', null, () => want_key());
  const admin = !why && books.admin, says = why || (!names.length ? 'The registry has no model yet: lathe registry add.' : admin ? '' : 'You may look. To promote or roll back, use the key of an administrator.');
  $('book-note').replaceChildren(...(says ? [make('div.card.small', says, make('div.row', ...(admin ? [] : [use])))] : []));
  if (!names.length) $('book-page').replaceChildren();
}
async function read_book() {
  if (document.body.dataset.view !== 'releases' || document.hidden || $('change').open || !$('keyline').hidden) return;
  await find_books();
  if (!books || !$('book').value) return;
  const name = $('book').value, of = 'lathe/registry/' + encodeURIComponent(name), get = async path => (await ask(path)).json();
  try {
    const [view, past, recorded] = await Promise.all([get(of), get(of + '/history?n=30'), books.records ? get(of + '/events?window=1h').catch(() => null) : null]);
    if (name !== $('book').value || $('change').open) return;
    const text = JSON.stringify([view, past, recorded, books.admin]);
    if (book?.text === text) return;
    book = { view, past: past.records, recorded, text };
    draw_book();
  } catch (e) {
    $('book-note').replaceChildren(make('div.fault', e.message));
  }
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
  for (const f of new Set(versions.flatMap(v => v.figures.map(f => f.figure)))) row(f, v => { const x = v.figures.find(g => g.figure === f)?.value; return x === undefined ? undefined : String(Number(x.toPrecision(4))); });
  row('Evidence', v => v.evidence.map(e => `${e.kind}: ${e.file}`).join(', '));
  for (const [name, of] of [['Answers, last hour', a => num(a.answers) + (a.failed ? `, ${num(a.failed)} failed` : '')], ['Prompts, mean NLL', a => a.prompt_nll?.toFixed(3)], ['First token', a => a.first_s && seconds(a.first_s)], ['Whole answer', a => a.total_s && seconds(a.total_s)]])
    row(name, v => book.recorded?.versions.filter(a => a.version === v.number).map(a => (a.arm ? a.arm + ' ' : '') + (of(a) ?? '–')).join('; '));
  rows.push(make('tr', head('', 'row'), ...versions.map(v => {
    const b = button('Promote', `Promote version ${v.number}`, () => open_change(production ?? { name: view.name, alias: 'production', stable: 0, candidate: 0 }, v.number));
    b.disabled = !books.admin || production?.stable === v.number;
    return make('td', b);
  })));
  const table = make('table', make('thead', make('tr', head('Version', 'col'), ...versions.map(v => head([v.number, ...v.aliases.map(a => ` · ${a}`)].join(''), 'col')))), make('tbody', ...rows)), out = make('div.side', table);
  out.tabIndex = 0;
  out.setAttribute('role', 'region');
  out.setAttribute('aria-label', 'Versions');
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
function draw_book() {
  const { view, past } = book, list = make('ol', ...past.map(past_line)), focused = document.activeElement?.getAttribute('aria-label');
  const had = $('book-page').contains(document.activeElement), scrolled = $('book-page').querySelector('.side')?.scrollLeft ?? 0;
  list.id = 'past';
  $('book-page').replaceChildren(make('h3', 'Who gets what'), ...(view.releases.length ? view.releases.map(release_card) : [make('p.soft', 'Nothing is released yet.')]),
    make('h3', 'Versions'), versions_table(view), ...(view.more ? [make('p.small.soft', `${view.more} older versions are not shown.`)] : []), make('h3', 'History'), list);
  $('book-page').querySelector('.side').scrollLeft = scrolled;
  if (had && focused) [...$('book-page').querySelectorAll('[aria-label]')].find(e => e.getAttribute('aria-label') === focused)?.focus({ preventScroll: true });
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
    await ask(`lathe/registry/${encodeURIComponent(release.name)}/${version ? 'promote' : 'rollback'}`, { method: 'POST', body: JSON.stringify(body) });
    say(version ? `Version ${version} is promoted.` : 'Rolled back.');
    $('change').close();
  } catch (e) {
    $('change-fault').textContent = e.message;
  }
  $('change-do').disabled = false;
});
$('book').addEventListener('change', read_book);
$('keyline').addEventListener('submit', () => find_books());
find_books();
setInterval(read_book, BOOK_S * 1000);
