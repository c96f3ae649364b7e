// rules.js - the rules in the order in which they are tried: matched, recovered, wasted.

import { get } from './api.js';
import { h } from './dom.js';
import { number, percent, time } from './format.js';
import { table } from './parts.js';

export const title = 'Rules';
export const live = false;

export const load = (ctx, signal) => get('/v1/rules', signal);

function share(r) {
  if (r.retries === 0) return h('span', { class: 'none' }, '–');
  return h('span', { class: 'share' }, h('progress', { max: r.retries, value: r.recovered, 'aria-label': 'recovered' }), ' ', percent(r.recovered, r.retries));
}

export function render(data) {
  const shadowed = data.rules.some((r) => r.shadowed > 0);
  return h('div', null,
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'Rules')),
    h('p', { class: 'minor' }, 'The first one that matches a failure decides. Wasted are retries that failed again: a rule with many of them costs more than it saves. '
      + '“retrybuild explain” shows for a failure which conditions held.'),
    table({
      caption: 'Rules in the order in which they are tried', rows: data.rules, key: (r) => r.rule,
      columns: [
        { name: 'Rule', class: 'c-build', cell: (r) => [h('span', { class: 'strong' }, r.rule),
          h('div', { class: 'minor' }, { configured: 'of the configuration', 'built-in': 'built in', other: 'not in the list of rules (any more)' }[r.origin] ?? r.origin)] },
        { name: 'Says', cell: (r) => (r.then ? [r.then, r.then === 'retry' && r.limit !== null ? h('span', { class: 'minor' }, ` at most ${number(r.limit)}`) : null] : '–') },
        { name: 'Matched', class: 'num', cell: (r) => number(r.used) },
        { name: 'Retries', class: 'num', cell: (r) => number(r.retries) },
        { name: 'Recovered', class: 'num', cell: (r) => number(r.recovered) },
        { name: 'Wasted', class: 'num', cell: (r) => number(r.wasted) },
        { name: 'Worth it', class: 'c-share', cell: share },
        ...(shadowed ? [{ name: 'Shadowed', class: 'num', cell: (r) => `${number(r.shadow_recovered)} of ${number(r.shadowed)}` }] : []),
        { name: 'Last match', class: 'c-time', cell: (r) => time(r.last_at) },
      ],
    }));
}
