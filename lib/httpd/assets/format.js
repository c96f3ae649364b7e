// format.js - times, durations and numbers for people.

import { h } from './dom.js';

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const full = new Intl.DateTimeFormat(undefined, {
  weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit',
  hourCycle: 'h23', timeZoneName: 'short',
});
const plain = new Intl.NumberFormat(undefined);
const oneDigit = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const number = (n) => plain.format(n);
export const decimal = (n) => oneDigit.format(n);
export const percent = (part, whole) => (whole > 0 ? `${Math.round((100 * part) / whole)} %` : '–');

const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  for (let i = 0; i < UNITS.length; i++) {
    const [size, name] = UNITS[i];
    if (seconds < size && size > 1) continue;
    const count = Math.floor(seconds / size);
    const left = seconds % size;
    const next = UNITS[i + 1];
    const more = next && count < 10 ? Math.floor(left / next[0]) : 0;
    return more > 0 ? `${count} ${name} ${more} ${next[1]}` : `${count} ${name}`;
  }
  return '0 s';
}

export function minutes(value) {
  if (value >= 600) return `${number(Math.round(value / 60))} h`;
  return `${value >= 10 ? number(Math.round(value)) : decimal(value)} min`;
}

/** "3 min ago", "in 20 s". */
export function relative(at, now = Date.now()) {
  const ms = now - at;
  if (Math.abs(ms) < 1500) return 'now';
  const seconds = Math.abs(ms) / 1000;
  const [size, name] = UNITS.find(([unit]) => seconds >= unit) ?? UNITS[3];
  const text = `${Math.floor(seconds / size)} ${name}`;
  return ms > 0 ? `${text} ago` : `in ${text}`;
}

const today = (at, now) => new Date(at).toDateString() === new Date(now).toDateString();

/** A <time> that says both; the relative part is kept true by tick(). */
export function time(iso) {
  if (!iso) return h('span', { class: 'none' }, '–');
  const at = Date.parse(iso);
  const now = Date.now();
  return h('time', { datetime: iso, title: `${full.format(at)} (${iso})` },
    h('span', { class: 'at' }, (today(at, now) ? clock : short).format(at)), ' ',
    h('span', { class: 'ago', 'data-at': at }, relative(at, now)));
}

export function tick() {
  const now = Date.now();
  for (const node of document.querySelectorAll('.ago[data-at]')) {
    const text = relative(Number(node.getAttribute('data-at')), now);
    if (node.textContent !== text) node.textContent = text;
  }
}

export const clockTime = (at) => clock.format(at);
export const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
