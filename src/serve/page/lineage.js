/* ---- lineage: data, training, version, evaluations, release, from left to right; and reports, which open from it ---- */

const EVIDENCE = { tasks: 'Tasks', compare: 'Comparison', audit: 'Audit of data', signature: 'Signature', reference: 'How answers were', file: 'File' };
const evidence_name = e => EVIDENCE[e.kind] ?? e.kind.replaceAll('_', ' ').replace(/^./, c => c.toUpperCase());

/* A report goes into a tab of its own, by an address that is good for some minutes: it cannot show a key. */
async function open_report(name, version, what) {
  try {
    const { url } = await (await ask(`lathe/registry/${encodeURIComponent(name)}/open?version=${version}&what=${what}`)).json(), a = make('a');
    a.href = url, a.target = '_blank', a.rel = 'noopener noreferrer';
    a.click();
  } catch (e) {
    $('book-note').replaceChildren(make('div.fault', e.message));
  }
}

/* Boxes { id, kind, title, sub, open } and lines [from, to, word]. */
function lineage_graph(l) {
  const boxes = new Map(), lines = [], of = new Map(l.nodes.map(n => [n.id, n])), add = b => { if (!boxes.has(b.id)) boxes.set(b.id, b); return b.id; };
  const open = (n, what) => n.number === undefined ? null : () => open_report(n.name, n.number, what);
  for (const n of l.nodes) {
    add({ id: n.id, kind: n.kind === 'data' ? 'data' : n.kind ? 'version' : 'data', title: n.id.length > 40 && n.id.includes('/') ? n.id.split('/').at(-1) : n.id, sub: n.kind === 'data' ? 'data' : n.kind ? 'model version' : 'not in the registry', whole: n.id, here: n.id === l.of });
    if (n.trained) add({ id: 'run ' + n.id, kind: 'run', title: 'Training run', sub: 'curves and settings', open: open(n, 'training') }), lines.push(['run ' + n.id, n.id, '']);
    const shown = n.evidence?.filter(e => n.id === l.of ? !['signature', 'reference'].includes(e.kind) : e.kind === 'audit') ?? [];
    for (const e of shown.slice(0, 8)) add({ id: n.id + e.blob, kind: 'evidence', title: evidence_name(e), sub: e.file, open: open(n, e.blob) }), lines.push([n.id, n.id + e.blob, '']);
    if (n.id === l.of) for (const a of n.aliases) {
      add({ id: 'alias ' + a, kind: 'release', title: a, sub: 'release' });
      const from = shown.filter(e => e.kind !== 'audit').slice(0, 8);
      for (const e of from) lines.push([n.id + e.blob, 'alias ' + a, '']);
      if (!from.length) lines.push([n.id, 'alias ' + a, '']);
    }
  }
  for (const e of l.edges) if (of.has(e.child) && of.has(e.parent)) lines.push([e.parent, of.get(e.child).trained && e.role === 'data' ? 'run ' + e.child : e.child, e.role]);
  return { boxes: [...boxes.values()], lines };
}
/* The column of each box: one behind the last of what it comes from. */
function lineage_columns({ boxes, lines }) {
  const at = new Map(boxes.map(b => [b.id, 0]));
  for (let i = 0; i < boxes.length; i++) {
    let moved = false;
    for (const [from, to] of lines) if (at.get(to) < at.get(from) + 1 && at.get(from) < boxes.length) at.set(to, at.get(from) + 1), moved = true;
    if (!moved) break;
  }
  return at;
}
const cut = (s, n) => s.length > n ? s.slice(0, n - 1) + '…' : s;
function lineage_picture(l) {
  const graph = lineage_graph(l), column = lineage_columns(graph), rows = [], place = new Map(), BW = 168, BH = 42, GX = 54, GY = 14, pic = $('chart').content.querySelector('svg').cloneNode();
  for (const b of graph.boxes) (rows[column.get(b.id)] ??= []).push(b);
  const high = Math.max(...rows.map(r => r.length)) * (BH + GY) + GY, wide = rows.length * (BW + GX) - GX + 4;
  rows.forEach((r, c) => r.forEach((b, i) => place.set(b.id, [2 + c * (BW + GX), (high - r.length * (BH + GY) + GY) / 2 + i * (BH + GY)])));
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: 'group', class: 'lineage', 'aria-label': `Lineage of ${l.of}: ${graph.lines.map(([a, b]) => { const t = id => graph.boxes.find(x => x.id === id).title; return `${t(a)} to ${t(b)}`; }).join(', ')}` })) pic.setAttribute(name, value);
  for (const [from, to, word] of graph.lines) {
    const [x, y] = place.get(from), [z, w] = place.get(to), a = x + BW, m = (a + z) / 2;
    svg(pic, 'path', { class: 'line', d: `M${a} ${y + BH / 2}C${m} ${y + BH / 2} ${m} ${w + BH / 2} ${z} ${w + BH / 2}` });
    if (word && word !== 'data') svg(pic, 'text', { x: m, y: (y + w + BH) / 2 - 4, 'text-anchor': 'middle' }, cut(word, 9));
  }
  for (const b of graph.boxes) {
    const [x, y] = place.get(b.id), g = svg(pic, 'g', { class: `box ${b.kind}${b.here ? ' here' : ''}${b.open ? ' opens' : ''}`, transform: `translate(${x} ${y})`, 'aria-label': b.open ? `Open: ${b.title}, ${b.sub}` : `${b.title}, ${b.sub}`, role: b.open ? 'button' : 'img' });
    svg(g, 'title', {}, `${b.whole ?? b.title}, ${b.sub}`);
    svg(g, 'rect', { width: BW, height: BH, rx: 7 });
    svg(g, 'text', { class: 'name', x: 10, y: 18 }, cut(b.title, 22));
    svg(g, 'text', { x: 10, y: 33 }, cut(b.sub, b.open ? 24 : 27));
    if (!b.open) continue;
    svg(g, 'text', { class: 'arrow', x: BW - 10, y: 26, 'text-anchor': 'end' }, '↗');
    g.setAttribute('tabindex', 0);
    g.addEventListener('click', b.open);
    g.addEventListener('keydown', e => { if (e.key === 'Enter' || e.key === ' ') e.preventDefault(), b.open(); });
  }
  return pic;
}
function draw_lineage(l) {
  const words = l.edges.length ? '' : ' Nothing was said of what it comes from: lathe registry add --from.';
  return [make('p.small.soft', `What ${l.of} was made of, how it was examined, and where it went. What has an arrow opens as a page.${words}`), side('Lineage', lineage_picture(l))];
}
