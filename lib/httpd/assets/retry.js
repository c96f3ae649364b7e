// retry.js - one retry: what is known of it, and its chain as a timeline from the failure to the outcome.

import { get } from './api.js';
import { h, out } from './dom.js';
import { time } from './format.js';
import { actions, attempt, badge, buildLabel, STATES } from './parts.js';

export const title = 'Retry';
export const live = true;

export async function load(ctx, signal) {
  const id = encodeURIComponent(ctx.id);
  const [retry, chain] = await Promise.all([get(`/v1/retries/${id}`, signal), get(`/v1/retries/${id}/chain`, signal)]);
  return { retry, chain: chain.retries };
}

const REPORT = { pending: 'waits to be delivered', delivered: 'delivered', superseded: 'replaced by a later report', dead: 'given up' };
const STAGE_OF = { held: ['held'], started: ['running'], finished: ['recovered', 'failed_again', 'dead', 'cancelled'], refused: ['refused', 'superseded', 'deferred'] };

function deliveryEntries(r) {
  return r.deliveries.map((d, i) => ({
    at: d.at, kind: 'in', order: 0,
    what: [i === 0 ? 'The failure arrived through ' : 'The same failure arrived again through ', h('b', null, d.source ?? '?'), ` (${d.type ?? '?'})`],
    more: d.key ? h('span', { class: 'mono' }, d.key) : null,
  }));
}

const CALLED = { submitting: 'The call to CodeBuild is on its way', running: 'CodeBuild started the new build ' };

function historyEntries(r) {
  let before = null;
  return r.history.map((e) => {
    const same = e.state === before;
    before = e.state;
    return {
      at: e.at, state: e.state, kind: e.state, order: 2, same,
      what: same ? [e.note ?? STATES[e.state]]
        : e.state === 'running' && r.child ? [badge(e.state), ' ', CALLED.running, buildLabel(r.child)]
          : [badge(e.state), ' ', CALLED[e.state] ?? ''],
      more: same ? null : e.note,
    };
  });
}

function decisionEntry(r) {
  if (!r.decision) return [];
  return [{
    at: r.created_at, kind: 'decision', order: 1,
    what: ['Decision: ', h('b', null, r.decision.action ?? '?'), ' by rule ', h('b', null, r.decision.rule ?? '–')], more: r.decision.reason,
  }];
}

function reportEntries(r) {
  return r.reports.map((p) => {
    const entry = r.history.find((e) => (STAGE_OF[p.stage] ?? []).includes(e.state));
    return {
      at: entry?.at ?? r.finished_at ?? r.created_at, untimed: true, kind: p.state === 'dead' ? 'dead' : 'out', order: 3,
      what: ['Report ', h('b', null, p.stage), ' to ', h('b', null, p.destination), `: ${REPORT[p.state] ?? p.state}`,
        p.attempts > 1 ? ` after ${p.attempts} attempts` : ''],
      more: p.last_error,
    };
  });
}

function entries(r) {
  const all = [...deliveryEntries(r), ...decisionEntry(r), ...historyEntries(r), ...reportEntries(r)];
  return all.map((e, i) => ({ ...e, i })).sort((a, b) => (Date.parse(a.at) - Date.parse(b.at)) || a.order - b.order || a.i - b.i);
}

function attemptSection(r, current) {
  const hidden = r.duplicates + 1 - r.deliveries.length;
  return h('li', { class: `attempt${current ? ' current' : ''}`, 'data-key': r.id },
    h('h3', null, `Attempt ${r.attempt}: build `, buildLabel(r.build), r.child ? [' → ', buildLabel(r.child)] : null, ' ', badge(r.state),
      current ? null : [' ', h('a', { class: 'small', href: `#/retries/${encodeURIComponent(r.id)}` }, 'open')]),
    h('ol', { class: 'timeline' }, entries(r).map((e, i) => h('li', { class: `k-${e.kind}${e.same ? ' same' : ''}`, 'data-key': `${i}` },
      h('div', { class: 'when' }, e.untimed ? null : time(e.at)),
      h('div', { class: 'what' }, h('div', null, e.what), e.more ? h('div', { class: 'minor' }, e.more) : null)))),
    hidden > 0 ? h('p', { class: 'minor' }, `and ${hidden} more deliveries of the same failure`) : null);
}

function facts(r) {
  const rows = [
    ['Failure', [r.build.status ?? 'not known yet', r.build.phase ? ` in ${r.build.phase}` : '']],
    ['Message', r.build.message], ['Repository', r.repository ? out(r.repository, r.repository) : null], ['Branch', r.branch],
    ['Pull request', r.pull_request], ['Commit', r.commit ? h('span', { class: 'mono' }, r.commit) : null],
    ['Decision', r.decision ? [`${r.decision.action ?? ''} by `, h('b', null, r.decision.rule ?? '–'), r.decision.reason ? `: ${r.decision.reason}` : ''] : null],
    ['Requested by', r.requested_by], ['Build', h('span', { class: 'mono' }, r.build.id)],
    ['New build', r.child ? [h('span', { class: 'mono' }, r.child.id), r.child.status ? ` ${r.child.status}` : ''] : null],
    ['Account, region', [r.account, r.region].filter(Boolean).join(', ')],
    ['Due', r.due_at && !r.finished_at ? time(r.due_at) : null], ['Created', time(r.created_at)], ['Ended', r.finished_at ? time(r.finished_at) : null],
  ];
  return h('dl', { class: 'facts' }, rows.filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => h('div', { 'data-key': name }, h('dt', null, name), h('dd', null, value))));
}

export function render({ retry, chain }, ctx) {
  return h('div', null,
    h('p', { class: 'crumbs' }, h('a', { href: '#/retries' }, 'Retries'), ' / ', h('span', { class: 'mono' }, retry.id)),
    h('div', { class: 'title' },
      h('h1', { tabindex: '-1' }, retry.project ?? 'unknown project', ' ', buildLabel(retry.build)),
      badge(retry.state), h('span', { class: 'minor', id: 'about-this' }, `attempt ${attempt(retry)}`),
      h('div', { class: 'buttons' }, actions(retry, ctx, 'about-this'))),
    facts(retry),
    h('section', { 'aria-labelledby': 'h-chain' },
      h('h2', { id: 'h-chain' }, 'From the failure to the outcome'),
      h('ol', { class: 'chain' }, chain.map((r) => attemptSection(r, r.id === retry.id)))));
}
