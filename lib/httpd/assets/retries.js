// retries.js - all retries: search, filters, pages.

import { get, query } from './api.js';
import { h } from './dom.js';
import { empty, field, retryColumns, STATES, table } from './parts.js';

const SINCE = [['', 'any time'], ['1h', 'the last hour'], ['24h', 'the last day'], ['7d', 'the last week'], ['30d', 'the last 30 days']];
const FILTERS = ['q', 'state', 'project', 'source', 'since'];

export const title = 'Retries';
export const live = true;

export function load(ctx, signal) {
  const values = Object.fromEntries([...FILTERS, 'cursor'].map((name) => [name, ctx.params.get(name)]));
  return get(`/v1/retries${query({ ...values, limit: 50 })}`, signal);
}

function apply(event, form, ctx) {
  event.preventDefault();
  const values = Object.fromEntries(new FormData(form));
  const text = (values.q ?? '').trim();
  if (/^rty_[0-9A-Za-z]{26}$/.test(text)) ctx.go(`#/retries/${text}`);
  else ctx.go(`#/retries${query({ ...values, q: text })}`);
}

function select(name, options, value) {
  return h('select', { name }, options.map(([v, label]) => h('option', { value: v, selected: v === value }, label)));
}

function filters(ctx) {
  const value = (name) => ctx.params.get(name) ?? '';
  return h('form', { class: 'filters', role: 'search', 'aria-label': 'Filter retries', onsubmit: (event, form) => apply(event, form, ctx) },
    field('Search: id, branch, commit, message, rule', h('input', { type: 'search', name: 'q', value: value('q'), spellcheck: 'false' }), 'f-q'),
    field('State', select('state', [['', 'any'], ...Object.entries(STATES)], value('state')), 'f-state'),
    field('Project', h('input', { name: 'project', value: value('project'), spellcheck: 'false' }), 'f-project'),
    field('Source', h('input', { name: 'source', value: value('source'), spellcheck: 'false' }), 'f-source'),
    field('Since', select('since', SINCE, value('since')), 'f-since'),
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'go' }, 'Filter'),
      FILTERS.some((name) => value(name) !== '') ? h('a', { class: 'button', href: '#/retries' }, 'Clear') : null));
}

function pager(page, ctx) {
  const kept = Object.fromEntries(FILTERS.map((name) => [name, ctx.params.get(name)]));
  const first = ctx.params.get('cursor') === null;
  if (first && !page.next) return null;
  return h('nav', { class: 'pager', 'aria-label': 'Pages' },
    first ? null : h('a', { class: 'button', href: `#/retries${query(kept)}` }, 'Newest'),
    page.next ? h('a', { class: 'button', href: `#/retries${query({ ...kept, cursor: page.next })}` }, kept.q ? 'Search older ones' : 'Older') : null);
}

export function render(page, ctx) {
  const filtered = FILTERS.some((name) => ctx.params.get(name));
  const nothing = page.next ? empty('Nothing among the retries looked at.', 'The search goes on with “Search older ones”.')
    : filtered ? empty('No retry fits.', h('a', { href: '#/retries' }, 'Show all'), ' or widen the time.')
      : empty('No retry yet.', 'Connect a source, or ask for a build by hand under ', h('a', { href: '#/now' }, 'Now'), '.');
  return h('div', null,
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'Retries')),
    filters(ctx),
    table({
      caption: 'Retries, newest first', hideCaption: true, rows: page.retries, key: (r) => r.id,
      columns: retryColumns(ctx, { name: 'Created', of: (r) => r.created_at }), empty: nothing,
    }),
    pager(page, ctx));
}
