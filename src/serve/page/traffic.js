/* ---- traffic: what versions answered, by time ---- */

const OF_WINDOW = { '5m': ['5 min ago', 'the last 5 minutes'], '1h': ['an hour ago', 'the last hour'], '1d': ['a day ago', 'the last day'], '7d': ['a week ago', 'the last week'] };
const ARMS = { stable: '', candidate: 'as candidate', shadow: 'in the shadow' };

const arm_name = v => [`version ${v.version}`, ARMS[v.arm] ?? v.arm].filter(Boolean).join(', ');
/* Sums over a window, and means that count answers. */
function traffic_sums(v, seconds) {
  const sum = k => v.points.reduce((a, p) => a + p[k], 0), mean = k => { const p = v.points.filter(p => p[k] !== null); return p.length ? p.reduce((a, p) => a + p[k] * p.answers, 0) / p.reduce((a, p) => a + p.answers, 0) : undefined; };
  return { answers: sum('answers'), failed: sum('failed'), rate: sum('tokens') / seconds, first: mean('first_s'), token: mean('token_s') };
}
/* A line with a point for each step, zero where nothing was asked. */
function traffic_line(t, v, of) {
  const by = new Map(v.points.map(p => [p.at, p]));
  return { name: arm_name(v), points: Array.from({ length: t.steps }, (_, i) => [i, by.has(i) ? of(by.get(i)) : 0]) };
}
function draw_traffic(t, releases) {
  if (!t) return [make('p.soft', 'Nothing of answers is recorded here: lathe serve --record registry.')];
  t.versions.sort((a, b) => a.version - b.version || a.arm.localeCompare(b.arm));
  const seconds_of = t.step_s * t.steps, window = OF_WINDOW[$('traffic-window').value], all = t.versions.reduce((a, v) => a + traffic_sums(v, seconds_of).answers, 0);
  if (!all) return [make('p.soft', `No answer in ${window[1]}.`)];
  const share_of = v => releases.map(r => r.candidate === v.version && v.arm === 'candidate' ? r.share : r.stable === v.version && v.arm !== 'shadow' ? 1 - (r.candidate ? r.share : 0) : undefined).find(x => x !== undefined);
  const rows = t.versions.map(v => { const s = traffic_sums(v, seconds_of), meant = share_of(v);
    return make('tr', head(arm_name(v), 'row'), ...[meant === undefined ? '–' : part(meant), v.arm === 'shadow' ? '–' : part(s.answers / all), num(s.answers), s.rate < .05 ? '< 0.1' : num(s.rate), s.first === undefined ? '–' : seconds(s.first), s.token === undefined ? '–' : seconds_of_token(s.token)].map(x => make('td', x)),
      make('td' + (s.failed ? '.bad' : ''), s.failed ? `${num(s.failed)} (${part(s.failed / s.answers)})` : 'none')); });
  const table = side('Traffic by version', make('table', make('thead', make('tr', ...['', 'Share of users', 'Share of answers', 'Answers', 'Tokens/s', 'First token', 'Each further token', 'Failed'].map(x => head(x, 'col')))), make('tbody', ...rows)));
  const picture = (title, of, low) => { const f = new_figure(); draw_lines(f, title, t.versions.slice(0, 3).map(v => traffic_line(t, v, of)), { from: 0, to: t.steps - 1, low, left: window[0], right: 'now', over: window[1] }); return f; };
  return [table, make('div.pictures', picture('Answers a minute', p => p.answers * 60 / t.step_s), picture('Tokens/s', p => p.tokens / t.step_s))];
}
function seconds_of_token(s) { return s < .01 ? (s * 1000).toFixed(2) + ' ms' : seconds(s); }
