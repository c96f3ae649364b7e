// destinations.js - the ways out: when each was told last, what failed, and a test message.

import { get, post } from './api.js';
import { h } from './dom.js';
import { number, time } from './format.js';
import { button, empty, table } from './parts.js';

export const title = 'Destinations';
export const live = true;

export const load = (ctx, signal) => get('/v1/destinations', signal);

const WORDS = { failing: ['s-bad', 'failing'], off: ['s-bad', 'switched off'] };

function standing(d) {
  const [kind, word] = WORDS[d.standing] ?? (d.last_failed_at && (!d.last_at || d.last_failed_at > d.last_at) ? ['s-warn', 'failed last'] : d.last_at ? ['s-good', 'works'] : ['', 'not used yet']);
  return h('span', { class: `badge ${kind}` }, word);
}

function test(d, ctx) {
  return ctx.working(`test ${d.name}`, async () => {
    const said = await post(`/v1/destinations/${encodeURIComponent(d.name)}/test`);
    ctx.say(said.delivered ? `${d.name}: the test message was delivered.` : `${d.name}: not delivered: ${said.error}`, !said.delivered);
  });
}

export function render(data, ctx) {
  return h('div', null,
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'Destinations')),
    table({
      caption: 'Configured destinations', rows: data.destinations, key: (d) => d.name,
      columns: [
        { name: 'Destination', class: 'c-build', cell: (d) => h('div', { id: `d-${d.name}` }, h('span', { class: 'strong' }, d.name), h('div', { class: 'minor' }, d.type)) },
        { name: 'Standing', class: 'c-mid', cell: standing },
        { name: 'Told when', cell: (d) => h('span', { class: 'minor' }, d.stages.join(', ')) },
        { name: 'Delivered', class: 'num c-one', cell: (d) => number(d.used) },
        { name: 'Last', class: 'c-time', cell: (d) => time(d.last_at) },
        { name: 'Failed', class: 'num c-attempt', cell: (d) => number(d.failed) },
        { name: 'Last failure', class: 'c-wide', cell: (d) => (d.last_failed_at ? [time(d.last_failed_at), h('div', { class: 'minor' }, d.last_error ?? '')] : h('span', { class: 'none' }, '–')) },
        ...(ctx.operator ? [{ name: 'Actions', hidden: true, class: 'c-actions c-one', cell: (d) => h('div', { class: 'buttons' },
          button('Test', () => test(d, ctx), { about: `d-${d.name}`, busy: ctx.isBusy(`test ${d.name}`) })) }] : []),
      ],
      empty: empty('No destination is configured: nobody is told how retries end.', 'Add one under ', h('code', null, 'destinations:'), ' in the configuration, such as ',
        h('code', null, '{name: ci, type: slack, url_file: slack.url, stages: [held, finished]}'), ', and send SIGHUP.'),
    }),
    data.destinations.length > 0 && ctx.operator ? h('p', { class: 'minor below' }, '“Test” sends a message that says of itself that it is a test.') : null);
}
