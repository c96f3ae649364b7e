// dead.js - what was given up after its last attempt: requeue one, some, all.

import { get, post, query } from './api.js';
import { h } from './dom.js';
import { number, time } from './format.js';
import { badge, button, empty, failure, subject, table } from './parts.js';

const PAGE = 100;
const chosen = new Set();
let progress = null; // {done, failed, of, stop}

export const title = 'Dead letters';
export const live = true;

export async function load(ctx, signal) {
  const [page, overview] = await Promise.all([
    get(`/v1/retries${query({ state: 'dead', limit: PAGE, cursor: ctx.params.get('cursor') })}`, signal), get('/v1/overview', signal)]);
  const here = new Set(page.retries.map((r) => r.id));
  for (const id of chosen) if (!here.has(id)) chosen.delete(id);
  return { ...page, total: overview.states.dead };
}

const lastNote = (r) => r.history.findLast((e) => e.note)?.note ?? '';

async function requeue(ids, ctx, of) {
  progress ??= { done: 0, failed: 0, of, stop: false };
  let why = '';
  for (const id of ids) {
    if (progress.stop) return why;
    try {
      await post(`/v1/retries/${encodeURIComponent(id)}/requeue`);
      progress.done++;
      chosen.delete(id);
    } catch (error) {
      if (error.status === 401 || error.status === 0) throw error;
      progress.failed++;
      why = error.message;
    }
    if ((progress.done + progress.failed) % 10 === 0) ctx.draw();
  }
  return why;
}

function tell(ctx, why) {
  const p = progress;
  ctx.say(`${number(p.done)} requeued${p.failed > 0 ? `, ${number(p.failed)} not: ${why}` : ''}${p.stop ? ', then stopped' : ''}.`, p.failed > 0);
}

function some(ids, ctx) {
  return ctx.working('dead', async () => {
    try {
      tell(ctx, await requeue(ids, ctx, ids.length));
    } finally {
      progress = null;
    }
  });
}

/** Page by page from the newest. What was requeued is in the list no more, what could not be is passed over by the cursor. */
function all(ctx, total) {
  return ctx.working('dead', async () => {
    let [why, cursor] = ['', null];
    try {
      do {
        const page = await get(`/v1/retries${query({ state: 'dead', limit: PAGE, cursor })}`);
        why = (await requeue(page.retries.map((r) => r.id), ctx, total)) || why;
        cursor = page.next;
      } while (cursor && !progress?.stop);
      if (progress) tell(ctx, why);
    } finally {
      progress = null;
    }
  });
}

function tick(id, ctx) {
  if (chosen.has(id)) chosen.delete(id);
  else chosen.add(id);
  ctx.draw();
}

function toolbar(data, ctx) {
  if (!ctx.operator || data.total === 0) return null;
  if (progress) {
    return h('div', { class: 'buttons' }, h('progress', { max: progress.of, value: progress.done + progress.failed, 'aria-label': 'requeued' }),
      h('span', { class: 'minor' }, `${number(progress.done)} of ${number(progress.of)}`), h('button', { type: 'button', onclick: () => { progress.stop = true; } }, 'Stop'));
  }
  const ids = data.retries.map((r) => r.id);
  return h('div', { class: 'buttons' },
    h('button', { type: 'button', disabled: chosen.size === 0, onclick: () => some([...chosen], ctx), 'data-key': 'some' }, `Requeue chosen (${number(chosen.size)})`),
    h('button', { type: 'button', 'data-key': 'all', onclick: () => ctx.confirm(`Requeue all ${number(data.total)} dead letters?`,
      'Each is looked at again and, if its build is still the newest, retried. Budgets and breakers hold.', 'Requeue all', () => all(ctx, data.total)) }, 'Requeue all'),
    ids.length > 1 ? h('button', { type: 'button', 'data-key': 'choose', onclick: () => { const full = chosen.size === ids.length; chosen.clear(); if (!full) ids.forEach((id) => chosen.add(id)); ctx.draw(); } },
      chosen.size === ids.length ? 'Choose none' : 'Choose these') : null);
}

export function render(data, ctx) {
  const columns = [
    ...(ctx.operator ? [{ name: 'Choose', hidden: true, class: 'c-tick', cell: (r) => h('input', {
      type: 'checkbox', checked: chosen.has(r.id), 'aria-label': `Choose ${r.project ?? ''} ${r.build?.number ? `#${r.build.number}` : r.id}`, onchange: () => tick(r.id, ctx) }) }] : []),
    { name: 'State', class: 'c-state', cell: (r) => badge(r.state) },
    { name: 'Build', class: 'c-build', cell: (r) => subject(r, `about-${r.id}`) },
    { name: 'Failure', class: 'c-failure', cell: failure },
    { name: 'Why it was given up', class: 'c-wide', cell: (r) => h('span', { class: 'minor' }, lastNote(r)) },
    { name: 'Ended', class: 'c-time', cell: (r) => time(r.finished_at) },
    ...(ctx.operator ? [{ name: 'Actions', hidden: true, class: 'c-actions c-one', cell: (r) => h('div', { class: 'buttons' },
      button('Requeue', () => ctx.act(r, 'Requeue', 'requeue'), { about: `about-${r.id}`, kind: 'go', busy: ctx.isBusy(r.id) || progress !== null })) }] : []),
  ];
  return h('div', null,
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'Dead letters'), h('span', { class: 'minor' }, number(data.total)), toolbar(data, ctx)),
    table({
      caption: 'Retries that were given up, newest first', hideCaption: true, rows: data.retries, key: (r) => r.id, columns,
      empty: empty('No dead letters.', 'A retry ends here when its outcome cannot be known or its last attempt failed for a reason of ours. Requeue gives it another life.'),
    }),
    data.next ? h('nav', { class: 'pager', 'aria-label': 'Pages' }, h('a', { class: 'button', href: `#/dead${query({ cursor: data.next })}` }, 'Older')) : null);
}
