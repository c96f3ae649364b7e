// app.js - the page: who looks, which view, what is new, what is done.

import { ApiError, get, post, token } from './api.js';
import { h, patch } from './dom.js';
import { Feed } from './feed.js';
import { clockTime, tick } from './format.js';
import { STATES } from './parts.js';
import * as now from './now.js';
import * as retries from './retries.js';
import * as retry from './retry.js';

const REFRESH_MS = 20000;
const AFTER_EVENT_MS = 400;
const views = { now, retries };
const $ = (id) => document.getElementById(id);

let session = null;
let shown = null; // {name, data} in the view
let loading = null; // AbortController
let timer = null;
let soon = null;
const busy = new Set();

/* ---- what the views may do ---- */

const ctx = {
  operator: false, params: new URLSearchParams(), id: null,
  isBusy: (id) => busy.has(id),
  go: (hash) => { if (location.hash === hash) refresh(); else location.hash = hash; },
  refresh: () => refresh(),
  say, draw, confirm: ask,
  /** One verb on one retry; "retry" asks for its build once more. */
  act: (r, verb, path) => working(r.id, async () => {
    const answer = path === 'retry'
      ? await post('/v1/retries', { id: r.build.id, account: r.account ?? undefined, region: r.region ?? undefined })
      : await post(`/v1/retries/${encodeURIComponent(r.id)}/${path}`);
    say(`${verb}: ${answer.project ?? r.project} is ${STATES[answer.state] ?? answer.state}.`);
    if (path === 'retry') ctx.go(`#/retries/${encodeURIComponent(answer.id)}`);
  }),
  pause: (project) => working('pause', async () => {
    await post('/v1/pause', project ? { project } : {});
    say(project ? `${project} is paused.` : 'Everything is paused.');
  }),
  resume: (project) => working('pause', async () => {
    await post('/v1/resume', project ? { project } : {});
    say(project ? `${project} goes on.` : 'Everything goes on.');
  }),
  byHand: (event, form) => {
    event.preventDefault();
    const id = new FormData(form).get('id').trim();
    working('hand', async () => {
      const answer = await post('/v1/retries', { id });
      form.reset();
      ctx.go(`#/retries/${encodeURIComponent(answer.id)}`);
    });
  },
  working,
};

async function working(id, what) {
  if (busy.has(id)) return;
  busy.add(id);
  draw();
  try {
    await what();
  } catch (error) {
    if (!refused(error)) say(`That did not work: ${error.message}.`, true);
  }
  busy.delete(id);
  await refresh();
}

/* ---- words ---- */

let sayTimer = null;
function say(text, bad = false) {
  $('said').textContent = text;
  $('said').className = `said shown${bad ? ' bad' : ''}`;
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => { $('said').className = 'said'; $('said').textContent = ''; }, bad ? 12000 : 6000);
}

function away(text) {
  $('away').hidden = text === null;
  const words = text === null ? '' : text;
  if ($('away').textContent !== words) $('away').textContent = words;
}

/** @then runs when the person says yes. */
function ask(question, text, verb, then) {
  const dialog = h('dialog', { 'aria-labelledby': 'ask-title', class: 'ask' });
  const close = () => { dialog.close(); dialog.remove(); };
  dialog.append(h('h2', { id: 'ask-title' }, question), h('p', null, text),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', class: 'go', onclick: () => { close(); then(); } }, verb),
      h('button', { type: 'button', onclick: close }, 'Keep as it is')));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/* ---- who looks ---- */

function showLogin(message) {
  feed.stop();
  clearTimeout(timer);
  loading?.abort();
  session = null;
  shown = null;
  $('view').hidden = true;
  $('view').replaceChildren();
  $('login').hidden = false;
  $('logout').hidden = true;
  $('me').hidden = true;
  $('login-error').textContent = message ?? '';
  away(null);
  document.title = 'Log in · retrybuild';
  $('token').focus();
}

/** True when @error means that the token is not good any more. */
function refused(error) {
  if (!(error instanceof ApiError) || error.status !== 401) return false;
  token.clear();
  showLogin(session ? 'The token is no longer accepted. Log in with another one.'
    : 'This token is not known. It must be one of api.tokens in the configuration.');
  return true;
}

async function enter() {
  try {
    session = await get('/v1/session');
  } catch (error) {
    if (refused(error)) return;
    if (error.status === 0) {
      showLogin('The server does not answer. Is it running, and is this its address?');
      return;
    }
    showLogin(`That did not work: ${error.message}.`);
    return;
  }
  ctx.operator = session.role === 'operator';
  $('login').hidden = true;
  $('token').value = '';
  $('view').hidden = false;
  $('logout').hidden = false;
  $('me').hidden = false;
  $('me').textContent = `${session.name} (${session.role})`;
  feed.start();
  route();
}

/* ---- views ---- */

function place() {
  const [path, search] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, id] = path.split('/');
  ctx.params = new URLSearchParams(search ?? '');
  let plain = null;
  try {
    plain = id ? decodeURIComponent(id) : null;
  } catch { /* a broken escape names nothing */ }
  ctx.id = plain;
  if (name === 'retries' && plain) return ['retry', retry];
  return views[name] ? [name, views[name]] : ['now', now];
}

function mark(name) {
  const current = name === 'retry' ? 'retries' : name;
  for (const a of document.querySelectorAll('.top nav a')) {
    if (a.getAttribute('href') === `#/${current}`) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
}

function draw() {
  if (!shown) return;
  patch($('view'), h('div', null, shown.view.render(shown.data, ctx)));
}

function broken(error) {
  if (error.status === 0 || error.status === 503) {
    away(`The server ${error.status === 0 ? 'does not answer' : `says: ${error.message}`}. Trying again; what is shown here is of ${clockTime(shown?.at ?? Date.now())}.`);
    return;
  }
  const gone = error.status === 404;
  patch($('view'), h('div', null, h('h1', { tabindex: '-1' }, gone ? 'Not there' : 'That did not work'),
    h('p', null, gone ? 'This retry is not in the store (any more). ' : `${error.message}. `, h('a', { href: '#/retries' }, 'Look at the retries.'))));
  shown = null;
}

async function refresh() {
  if (!session) return;
  clearTimeout(timer);
  clearTimeout(soon);
  soon = null;
  loading?.abort();
  const mine = new AbortController();
  loading = mine;
  const [name, view] = place();
  const there = `${location.hash}`;
  try {
    const data = await view.load(ctx, mine.signal);
    if (mine.signal.aborted) return;
    const fresh = shown?.there !== there;
    shown = { name, view, data, there, at: Date.now() };
    away(null);
    draw();
    if (fresh) arrive(view);
  } catch (error) {
    if (error.name === 'AbortError' || mine.signal.aborted) return;
    if (refused(error)) return;
    broken(error);
  }
  timer = setTimeout(refresh, $('away').hidden ? REFRESH_MS : 3000);
}

let arrived = false;
function arrive(view) {
  document.title = `${view.title} · retrybuild`;
  if (arrived) {
    window.scrollTo(0, 0);
    document.querySelector('#view h1')?.focus({ preventScroll: true });
  }
  arrived = true;
}

function route() {
  if (!session) return;
  const [name] = place();
  mark(name);
  refresh();
}

/* ---- what is new ---- */

function later() {
  if (soon === null) soon = setTimeout(refresh, AFTER_EVENT_MS);
}

const TOLD = new Set(['held', 'recovered', 'failed_again', 'dead']);
let toldAt = 0;

function onEvent({ type, data }) {
  if (type === 'retry' && TOLD.has(data.state) && Date.now() - toldAt > 3000) {
    toldAt = Date.now();
    $('news').textContent = `${data.retry?.project ?? 'A build'}: ${STATES[data.state]}`;
  }
  if (shown?.view.live) later();
}

function onState(state) {
  const words = { live: 'live', waiting: 'reconnecting', off: '' };
  $('feed').hidden = state === 'off';
  $('feed').setAttribute('data-state', state);
  $('feed').textContent = words[state];
}

const feed = new Feed(onEvent, onState);

/* ---- light and dark ---- */

const THEMES = ['system', 'light', 'dark'];
const THEME_KEY = 'retrybuild.theme';

function theme(name) {
  const known = THEMES.includes(name) ? name : 'system';
  if (known === 'system') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', known);
  $('theme').textContent = `Theme: ${known}`;
  return known;
}

/* ---- start ---- */

let current = theme(localStorage.getItem(THEME_KEY));
$('theme').addEventListener('click', () => {
  current = theme(THEMES[(THEMES.indexOf(current) + 1) % THEMES.length]);
  localStorage.setItem(THEME_KEY, current);
});
$('skip').addEventListener('click', (event) => {
  event.preventDefault();
  $('main').focus();
});
$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  token.set($('token').value.trim());
  enter();
});
$('logout').addEventListener('click', () => {
  token.clear();
  showLogin('');
});
window.addEventListener('hashchange', route);
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
setInterval(tick, 1000);
if (token.get()) enter();
else showLogin('');
