// sources.js - the ways in: what is configured, when each delivered last, what it sent in vain.

import { get } from './api.js';
import { h } from './dom.js';
import { number, time } from './format.js';
import { empty, table } from './parts.js';

export const title = 'Sources';
export const live = true;

export const load = (ctx, signal) => get('/v1/sources', signal);

const standing = (s) => {
  const bad = s.last_failed_at && (!s.last_at || s.last_failed_at > s.last_at);
  if (bad) return h('span', { class: 'badge s-bad' }, 'failing');
  return s.last_at ? h('span', { class: 'badge s-good' }, 'delivers') : h('span', { class: 'badge' }, 'silent so far');
};

export function render(data) {
  const hooks = data.sources.filter((s) => s.path.startsWith('/v1/hooks/'));
  return h('div', null,
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'Sources')),
    hooks.length === 0 ? empty('No source is configured: failures come in by the API alone.', 'Add one under ', h('code', null, 'sources:'), ' in the configuration, such as ',
      h('code', null, '{name: eventbridge, type: eventbridge, secrets: [{file: eventbridge.key}]}'), ', and send SIGHUP.') : null,
    table({
      caption: 'Configured sources', rows: data.sources, key: (s) => s.name,
      columns: [
        { name: 'Source', class: 'c-build', cell: (s) => [h('a', { class: 'strong', href: `#/retries?source=${encodeURIComponent(s.name)}` }, s.name), h('div', { class: 'minor' }, s.type)] },
        { name: 'Standing', class: 'c-mid', cell: standing },
        { name: 'Address', cell: (s) => h('span', { class: 'mono' }, `${location.origin}${s.path}`) },
        { name: 'Deliveries', class: 'num c-one', cell: (s) => number(s.used) },
        { name: 'Last', class: 'c-time', cell: (s) => time(s.last_at) },
        { name: 'In vain', class: 'num c-attempt', cell: (s) => number(s.failed) },
        { name: 'Last in vain', class: 'c-wide', cell: (s) => (s.last_failed_at ? [time(s.last_failed_at), h('div', { class: 'minor' }, s.last_error ?? '')] : h('span', { class: 'none' }, '–')) },
      ],
    }),
    h('p', { class: 'minor below' }, 'The address is that of this page; senders outside may know the service by another name. '
      + '“retrybuild send --source TYPE” signs and posts a payload as that sender would.'));
}
