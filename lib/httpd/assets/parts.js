// parts.js - what several views are made of.

import { h, out } from './dom.js';
import { time } from './format.js';

export const STATES = {
  received: 'received', scheduled: 'scheduled', submitting: 'submitting', running: 'running', held: 'held', recovered: 'recovered',
  failed_again: 'failed again', ignored: 'ignored', refused: 'refused', superseded: 'superseded', deferred: 'deferred',
  cancelled: 'cancelled', dead: 'dead',
};
const LIVING = new Set(['received', 'scheduled', 'submitting', 'running', 'held']);
export const lives = (state) => LIVING.has(state);

export function badge(state) {
  return h('span', { class: `badge s-${state in STATES ? state : 'received'}` }, STATES[state] ?? state);
}

/** One table; columns: [{name, class?, cell(row) → node}]. On a narrow screen each row is a card, so that roles are said aloud. */
export function table({ caption, columns, rows, key, empty, hideCaption = false }) {
  if (rows.length === 0) return empty ?? h('p', { class: 'empty' }, 'Nothing here.');
  return h('table', { role: 'table' },
    h('caption', { class: hideCaption ? 'unseen' : null }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' },
      columns.map((c) => h('th', { role: 'columnheader', scope: 'col', class: c.class },
        c.hidden ? h('span', { class: 'unseen' }, c.name) : c.name)))),
    h('tbody', { role: 'rowgroup' }, rows.map((row, i) => h('tr', { role: 'row', 'data-key': key ? key(row) : `${i}` },
      columns.map((c) => h('td', { role: 'cell', class: c.class, 'data-label': c.hidden ? '' : c.name }, c.cell(row)))))));
}

export function empty(title, ...next) {
  return h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), next.length > 0 ? h('p', null, next) : null);
}

/** A button named by its verb; what it is about is said by the element that @about names. */
export function button(verb, onclick, { about, kind = '', busy = false } = {}) {
  return h('button', { type: 'button', class: kind, onclick, 'aria-describedby': about, disabled: busy, 'data-key': `b-${verb}` }, verb);
}

export function buildLabel(build) {
  if (!build) return '–';
  const id = build.id ?? '?';
  const text = build.number ? `#${build.number}` : id.slice(id.indexOf(':') + 1).slice(0, 8);
  return out(build.url, h('span', { class: 'mono', title: id }, text));
}

/** The build that a retry is about: its project, and where it came from. */
export function subject(r, id) {
  const from = r.branch ?? (r.pull_request ? `pull request ${r.pull_request}` : null) ?? (r.commit ? r.commit.slice(0, 8) : null);
  return h('div', { class: 'subject', id },
    h('a', { class: 'strong', href: `#/retries/${encodeURIComponent(r.id)}` }, r.project ?? 'unknown project'), ' ',
    buildLabel(r.build),
    from ? h('div', { class: 'minor clip', title: from }, from) : null);
}

export function failure(r) {
  const message = r.build?.message ?? '';
  return h('div', { class: 'failure' },
    h('span', { class: 'mono small' }, [r.build?.status, r.build?.phase].filter(Boolean).join(' in ') || 'not known yet'),
    message ? h('div', { class: 'minor clip', title: message }, message) : null);
}

/** What may be done with a retry in its state, for an operator. */
export function actions(r, ctx, about) {
  if (!ctx.operator) return [];
  const verbs = [];
  const add = (verb, path, kind) => verbs.push(button(verb, () => ctx.act(r, verb, path), { about, kind, busy: ctx.isBusy(r.id) }));
  if (r.state === 'held') {
    add('Approve', 'approve', 'go');
    add('Deny', 'deny', '');
  }
  if (r.state === 'dead') add('Requeue', 'requeue', 'go');
  if (lives(r.state) && r.state !== 'held') add('Cancel', 'cancel', '');
  if (!lives(r.state) && r.state !== 'recovered' && r.state !== 'dead') add('Retry', 'retry', '');
  return verbs;
}

export function attempt(r) {
  return r.limit > 0 ? `${r.attempt} of ${Math.max(r.limit, r.attempt)}` : `${r.attempt}`;
}

/** The columns that every list of retries has. */
export function retryColumns(ctx, when) {
  const columns = [
    { name: 'State', class: 'c-state', cell: (r) => badge(r.state) },
    { name: 'Build', class: 'c-build', cell: (r) => subject(r, `about-${r.id}`) },
    { name: 'Failure', class: 'c-failure', cell: failure },
    { name: 'Attempt', class: 'num c-attempt', cell: attempt },
    { name: when.name, class: 'c-time', cell: (r) => time(when.of(r)) },
  ];
  if (ctx.operator) {
    columns.push({ name: 'Actions', hidden: true, class: 'c-actions', cell: (r) => h('div', { class: 'buttons' }, actions(r, ctx, `about-${r.id}`)) });
  }
  return columns;
}

export function field(label, control, id) {
  control.setAttribute('id', id);
  return h('div', { class: 'field' }, h('label', { for: id }, label), control);
}

export const stat = (label, value, { href, kind = '', note } = {}) => {
  const inside = [h('span', { class: 'stat-value' }, value), h('span', { class: 'stat-label' }, label), note ? h('span', { class: 'stat-note' }, note) : null];
  return h('li', { class: `stat ${kind}` }, href ? h('a', { href }, inside) : h('div', null, inside));
};
