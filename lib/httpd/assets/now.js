// now.js - what happens at this moment: trouble in one sentence, who waits for a person, what runs, what ended last.

import { get, query } from './api.js';
import { h } from './dom.js';
import { duration, number } from './format.js';
import { badge, button, empty, failure, retryColumns, stat, subject, table } from './parts.js';

const LATE_MS = 60000;
const STATES = ['held', 'running', 'submitting', 'scheduled', 'received'];
let standing = { at: 0, stats: null }; // breakers and the incident: asked for less often

async function stats(signal) {
  if (standing.stats === null || Date.now() - standing.at > 15000) {
    standing = { at: Date.now(), stats: await get('/v1/stats', signal) };
  }
  return standing.stats;
}

export function load(ctx, signal) {
  const list = (values) => get(`/v1/retries${query(values)}`, signal).then((page) => page.retries);
  return Promise.all([
    get('/v1/overview', signal), stats(signal), list({ limit: 15 }),
    ...STATES.map((state) => list({ state, limit: state === 'held' ? 20 : 15 })),
  ]).then(([overview, whole, latest, held, ...moving]) => ({ overview, stats: whole, latest, held, moving: moving.flat() }));
}

/** Sentences about what is wrong, the worst first: {kind, text, next}. */
export function trouble({ overview, stats: whole }) {
  const found = [];
  const { states, tasks, paused, time } = overview;
  const say = (kind, text, next) => found.push({ kind, text, next });
  for (const task of tasks) {
    const late = task.oldest_due_at ? Date.parse(time) - Date.parse(task.oldest_due_at) : 0;
    if (late > LATE_MS) {
      say('bad', `${task.kind === 'report' ? 'Reports are' : `The queue “${task.kind}” is`} ${duration(late)} late.`,
        'Is a worker running, and does the other side answer? The log says what fails; “retrybuild doctor” looks at everything.');
    }
  }
  if (whole.incident) {
    say('bad', `Several projects fail in ${whole.incident.phase} at once: automatic retries of it wait.`,
      'They go on by themselves when a probe recovers. “Resume” lets them go now.');
  }
  for (const b of whole.breakers.filter((x) => x.state !== 'closed')) {
    say('warn', `The breaker of ${b.scope.replace(':', ' ')} is ${b.state.replace('_', ' ')}: its retries keep failing (${number(b.failed)} failed, ${number(b.recovered)} recovered).`,
      'Something is really broken there. Retries wait until a probe recovers.');
  }
  if (states.dead > 0) {
    say('warn', `${number(states.dead)} ${states.dead === 1 ? 'retry is' : 'retries are'} dead: given up after the last attempt.`,
      h('a', { href: '#/dead' }, 'Look at the dead letters.'));
  }
  if (paused.length > 0) {
    say('warn', paused.includes('*') ? 'Everything is paused: nothing is submitted.' : `Paused: ${paused.join(', ')}.`, 'Failures are still accepted and wait.');
  }
  if (states.held > 0) {
    say('ask', `${number(states.held)} ${states.held === 1 ? 'retry waits' : 'retries wait'} for a person.`, null);
  }
  return found;
}

function sentence(data, ctx) {
  const found = trouble(data);
  const canResume = ctx.operator && (data.overview.paused.includes('*') || data.stats.incident);
  const first = found[0] ?? { kind: 'good', text: 'All is well: nothing is held, dead or late.', next: null };
  return h('section', { class: `trouble t-${first.kind}`, 'aria-label': 'Trouble', 'data-key': 'trouble' },
    h('p', null, h('strong', null, first.text), ' ', first.next),
    found.length > 1 ? h('ul', null, found.slice(1, 8).map((f) => h('li', null, f.text, ' ', f.next))) : null,
    canResume ? button('Resume', () => ctx.resume(null), { kind: 'go' }) : null);
}

function heldSection(data, ctx) {
  if (data.held.length === 0) return null;
  return h('section', { 'aria-labelledby': 'h-held', 'data-key': 'held' },
    h('h2', { id: 'h-held' }, 'Held: a person is asked'),
    h('ul', { class: 'cards' }, data.held.map((r) => h('li', { class: 'card', 'data-key': r.id },
      h('div', { class: 'card-head' }, subject(r, `held-${r.id}`), badge(r.state)),
      failure(r),
      h('p', { class: 'minor' }, r.decision?.reason ?? ''),
      ctx.operator ? h('div', { class: 'buttons' },
        button('Approve', () => ctx.act(r, 'Approve', 'approve'), { about: `held-${r.id}`, kind: 'go', busy: ctx.isBusy(r.id) }),
        button('Deny', () => ctx.act(r, 'Deny', 'deny'), { about: `held-${r.id}`, busy: ctx.isBusy(r.id) })) : null))));
}

function pauseControl(data, ctx) {
  if (!ctx.operator || data.overview.paused.includes('*')) return null;
  return button('Pause', () => ctx.confirm('Pause everything?', 'Failures are still accepted, but nothing is submitted to CodeBuild until you resume.', 'Pause everything', () => ctx.pause(null)));
}

function byHand(ctx) {
  if (!ctx.operator) return null;
  return h('section', { 'aria-labelledby': 'h-hand', 'data-key': 'hand' },
    h('h2', { id: 'h-hand' }, 'Retry a build by hand'),
    h('form', { class: 'inline', onsubmit: (event, form) => ctx.byHand(event, form) },
      h('div', { class: 'field wide' }, h('label', { for: 'hand-id' }, 'Build id (project:uuid) or ARN'),
        h('input', { id: 'hand-id', name: 'id', required: true, spellcheck: 'false', autocomplete: 'off' })),
      h('button', { type: 'submit', class: 'go' }, 'Retry')));
}

export function render(data, ctx) {
  const { states } = data.overview;
  const moving = states.received + states.scheduled + states.submitting + states.running;
  const ended = data.latest.filter((r) => !STATES.includes(r.state)).slice(0, 12);
  const noRetries = Object.values(states).every((n) => n === 0);
  const mode = data.overview.mode;
  return h('div', null,
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'Now'), pauseControl(data, ctx)),
    mode === 'auto' ? null : h('p', { class: 'minor' }, mode === 'shadow'
      ? 'Mode “shadow”: decisions are recorded, nothing is retried.' : 'Mode “ask”: every retry asks a person first.'),
    sentence(data, ctx),
    h('ul', { class: 'stats', 'aria-label': 'Retries by state' },
      stat('waiting', number(states.received + states.scheduled), { href: '#/retries?state=scheduled' }),
      stat('submitting', number(states.submitting), { href: '#/retries?state=submitting' }),
      stat('running', number(states.running), { href: '#/retries?state=running', kind: 'k-running' }),
      stat('held', number(states.held), { href: '#/retries?state=held', kind: states.held > 0 ? 'k-held' : '' }),
      stat('recovered', number(states.recovered), { href: '#/retries?state=recovered', kind: 'k-good' }),
      stat('failed again', number(states.failed_again), { href: '#/retries?state=failed_again' }),
      stat('dead', number(states.dead), { href: '#/dead', kind: states.dead > 0 ? 'k-bad' : '' })),
    heldSection(data, ctx),
    h('section', { 'aria-labelledby': 'h-queue', 'data-key': 'queue' },
      h('h2', { id: 'h-queue' }, 'Queue and running'),
      table({
        caption: 'Retries that are waiting, being submitted or running', hideCaption: true, rows: data.moving, key: (r) => r.id,
        columns: retryColumns(ctx, { name: 'Since', of: (r) => r.submitted_at ?? (r.state === 'scheduled' ? r.due_at : r.created_at) }),
        empty: empty('Nothing is waiting or running.', noRetries
          ? ['A failure appears here as soon as a source delivers one. ', h('a', { href: '#/sources' }, 'See the sources'), ' for the address to send to.'] : 'Failures appear here as they arrive.'),
      }),
      moving > data.moving.length ? h('p', { class: 'minor' }, `${number(data.moving.length)} of ${number(moving)} shown. `, h('a', { href: '#/retries?state=scheduled' }, 'All that are scheduled')) : null),
    h('section', { 'aria-labelledby': 'h-ended', 'data-key': 'ended' },
      h('h2', { id: 'h-ended' }, 'Ended last'),
      table({
        caption: 'The newest retries that have ended', hideCaption: true, rows: ended, key: (r) => r.id,
        columns: retryColumns(ctx, { name: 'Ended', of: (r) => r.finished_at }), empty: empty('Nothing has ended yet.'),
      })),
    byHand(ctx));
}

export const title = 'Now';
export const live = true;
