// projects.js - how each project went: failures and flakes over time, what retries saved, budget and breaker.

import { get, query } from './api.js';
import { h } from './dom.js';
import { minutes, number, percent, time } from './format.js';
import { bars, filled, label, spark, sum } from './plot.js';
import { button, empty, stat, table } from './parts.js';

export const title = 'Projects';
export const live = false;

export async function load(ctx, signal) {
  const [projects, overview] = await Promise.all([get('/v1/projects', signal), get('/v1/overview', signal)]);
  return { projects: projects.projects, paused: overview.paused };
}

const keyOf = (p) => `${p.account ?? '-'}/${p.region ?? '-'}/${p.project}`;
const flakes = (p) => percent(p.recovered, p.recovered + p.failed_again);

function pauseButton(p, paused, ctx, about) {
  if (!ctx.operator) return null;
  return paused.includes(p.project) ? button('Resume', () => ctx.resume(p.project), { about, kind: 'go' })
    : button('Pause', () => ctx.pause(p.project), { about });
}

function breaker(p) {
  const word = { closed: 'closed', open: 'open', half_open: 'half open', 'half-open': 'half open' }[p.breaker.state] ?? p.breaker.state;
  return h('span', { class: `badge ${p.breaker.state === 'closed' ? '' : 's-warn'}` }, word);
}

const budget = (p) => (p.budget.limit === null ? 'no limit' : `${number(p.budget.left)} of ${number(p.budget.limit)} left`);

function whole(projects) {
  const hours = projects.every((p) => p.step === 'hour');
  const step = hours ? 'hour' : 'day';
  const trend = filled(sum(projects.map((p) => p.trend), step), step);
  const add = (name) => projects.reduce((n, p) => n + p[name], 0);
  const [recovered, again] = [add('recovered'), add('failed_again')];
  return [
    h('ul', { class: 'stats', 'aria-label': 'All projects, the last 35 days' },
      stat('failed builds', number(add('failed')), { note: `${percent(add('failed'), add('builds'))} of ${number(add('builds'))} ended` }),
      stat('recovered', number(recovered), { kind: 'k-good' }), stat('failed again', number(again)),
      stat('of retries recovered', percent(recovered, recovered + again)),
      stat('saved', minutes(add('minutes_saved')), { note: 'that nobody had to start again' }), stat('lost', minutes(add('minutes_lost')), { note: 'to flaky and repeated builds' })),
    h('section', { class: 'plots', 'aria-label': 'Over time' },
      h('div', null, h('h2', null, `Ended builds by ${step}`), bars(trend, step, ['failed', 'builds'], 'Ended builds')),
      h('div', null, h('h2', null, `Retries by ${step}`), bars(trend, step, ['recovered', 'failed_again'], 'Retries'))),
  ];
}

function list(data, ctx) {
  const about = (p) => `p-${keyOf(p)}`.replace(/[^\w-]/g, '_');
  return table({
    caption: 'Projects with a failure in the last seven days', rows: data.projects, key: keyOf,
    columns: [
      { name: 'Project', class: 'c-build', cell: (p) => h('div', { id: about(p) },
        h('a', { class: 'strong', href: `#/projects/${encodeURIComponent(keyOf(p))}` }, p.project ?? '?'),
        data.paused.includes(p.project) ? [' ', h('span', { class: 'badge s-warn' }, 'paused')] : null,
        h('div', { class: 'minor clip' }, [p.account, p.region].filter(Boolean).join(', '))) },
      { name: 'Failures', class: 'c-spark', cell: (p) => spark(filled(p.trend, p.step)) },
      { name: 'Failed', class: 'num', cell: (p) => number(p.failed) },
      { name: 'Failure rate', class: 'num', cell: (p) => percent(p.failed, p.builds) },
      { name: 'Recovered', class: 'num', cell: (p) => number(p.recovered) },
      { name: 'Flake rate', class: 'num', cell: flakes },
      { name: 'Saved', class: 'num', cell: (p) => minutes(p.minutes_saved) },
      { name: 'Budget, hour', class: 'num c-mid', cell: budget },
      { name: 'Breaker', class: 'c-one', cell: breaker },
      ...(ctx.operator ? [{ name: 'Actions', hidden: true, class: 'c-actions c-one', cell: (p) => h('div', { class: 'buttons' }, pauseButton(p, data.paused, ctx, about(p))) }] : []),
    ],
    empty: empty('No project has failed in the last seven days.', 'A project appears with its first failure. ', h('a', { href: '#/sources' }, 'See the sources'), ' for how failures get here.'),
  });
}

function one(p, data, ctx) {
  const trend = filled(p.trend, p.step);
  const recent = trend.filter((s) => s.builds + s.recovered + s.failed_again > 0).reverse();
  return h('div', null,
    h('p', { class: 'crumbs' }, h('a', { href: '#/projects' }, 'Projects')),
    h('div', { class: 'title' }, h('h1', { tabindex: '-1', id: 'about-project' }, p.project), breaker(p), h('span', { class: 'minor' }, [p.account, p.region].filter(Boolean).join(', ')),
      h('div', { class: 'buttons' }, h('a', { class: 'button', href: `#/retries${query({ project: p.project })}` }, 'Its retries'), pauseButton(p, data.paused, ctx, 'about-project'))),
    h('ul', { class: 'stats', 'aria-label': 'The last 35 days' },
      stat('failed builds', number(p.failed), { note: `${percent(p.failed, p.builds)} of ${number(p.builds)} ended` }),
      stat('recovered', number(p.recovered), { kind: 'k-good' }), stat('failed again', number(p.failed_again)), stat('flake rate', flakes(p)),
      stat('saved', minutes(p.minutes_saved)), stat('lost', minutes(p.minutes_lost)), stat('budget of the hour', budget(p))),
    h('section', { class: 'plots', 'aria-label': 'Over time' },
      h('div', null, h('h2', null, `Ended builds by ${p.step}`), bars(trend, p.step, ['failed', 'builds'], 'Ended builds')),
      h('div', null, h('h2', null, `Retries by ${p.step}`), bars(trend, p.step, ['recovered', 'failed_again'], 'Retries'))),
    h('details', null, h('summary', null, 'The same as a table'),
      table({
        caption: `By ${p.step}, newest first`, rows: recent, key: (s) => s.at,
        columns: [
          { name: p.step === 'hour' ? 'Hour' : 'Day', cell: (s) => label(s.at, p.step) },
          ...[['Ended', 'builds'], ['Failed', 'failed'], ['Recovered', 'recovered'], ['Failed again', 'failed_again']]
            .map(([name, of]) => ({ name, class: 'num', cell: (s) => number(s[of]) })),
          { name: 'Saved', class: 'num', cell: (s) => minutes(s.minutes_saved) },
        ],
      })),
    h('p', { class: 'minor' }, 'Last failure ', time(p.last_at)));
}

export function render(data, ctx) {
  const p = ctx.id === null ? null : data.projects.find((x) => keyOf(x) === ctx.id);
  if (p) return one(p, data, ctx);
  return h('div', null,
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'Projects')),
    ctx.id !== null ? h('p', null, 'This project had no failure in the last seven days.') : null,
    data.projects.length > 0 ? whole(data.projects) : null,
    list(data, ctx));
}
