// plot.js - bars over time as inline SVG. What a plot shows stands in a table too, for those who do not see it.

import { h, svg } from './dom.js';
import { day, number } from './format.js';

const HEIGHT = 88;
const STEP = { hour: 3600000, day: 86400000 };
const COUNT = { hour: 48, day: 30 };
const hourOf = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

export const KINDS = {
  failed: ['failed builds', 'bar-failed'], recovered: ['recovered', 'bar-good'], failed_again: ['failed again', 'bar-flaky'], builds: ['other ended builds', 'bar-rest'],
};

/** The steps of a trend without gaps, up to now. */
export function filled(trend, step, now = Date.now()) {
  const width = STEP[step];
  const known = new Map(trend.map((s) => [Date.parse(s.at), s]));
  const last = now - (now % width);
  return Array.from({ length: COUNT[step] }, (_, i) => {
    const at = last - (COUNT[step] - 1 - i) * width;
    return known.get(at) ?? { at: new Date(at).toISOString(), builds: 0, failed: 0, recovered: 0, failed_again: 0, minutes_saved: 0, minutes_lost: 0 };
  });
}

/** Adds trends of several projects up, as steps of @step. */
export function sum(trends, step) {
  const all = new Map();
  for (const s of trends.flat()) {
    const at = new Date(Math.floor(Date.parse(s.at) / STEP[step]) * STEP[step]).toISOString();
    const into = all.get(at) ?? { at, builds: 0, failed: 0, recovered: 0, failed_again: 0, minutes_saved: 0, minutes_lost: 0 };
    for (const name of Object.keys(into)) if (name !== 'at') into[name] += s[name];
    all.set(at, into);
  }
  return [...all.values()];
}

export const label = (at, step) => (step === 'hour' ? hourOf : day).format(Date.parse(at));

/** Stacked bars; series: names in KINDS, from the bottom up. */
export function bars(steps, step, series, what) {
  const of = (s, name) => (name === 'builds' ? Math.max(0, s.builds - s.failed) : s[name]);
  const top = Math.max(1, ...steps.map((s) => series.reduce((total, name) => total + of(s, name), 0)));
  const width = 100 / steps.length;
  const rects = [];
  steps.forEach((s, i) => {
    let y = HEIGHT;
    const group = [];
    for (const name of series) {
      const value = of(s, name);
      if (value === 0) continue;
      const tall = Math.max(1.5, (value / top) * (HEIGHT - 4));
      y -= tall;
      group.push(svg('rect', { class: KINDS[name][1], x: `${i * width + width * 0.12}%`, y, width: `${width * 0.76}%`, height: tall }));
    }
    const words = series.map((name) => `${KINDS[name][0]} ${number(of(s, name))}`).join(', ');
    rects.push(svg('g', null, svg('title', null, `${label(s.at, step)}: ${words}`),
      svg('rect', { class: 'bar-room', x: `${i * width}%`, y: 0, width: `${width}%`, height: HEIGHT }), group));
  });
  const total = (name) => number(steps.reduce((n, s) => n + of(s, name), 0));
  return h('figure', { class: 'plot' },
    svg('svg', { role: 'img', 'aria-label': `${what}: ${series.map((name) => `${total(name)} ${KINDS[name][0]}`).join(', ')}`, width: '100%', height: HEIGHT },
      svg('line', { class: 'grid', x1: 0, x2: '100%', y1: 2, y2: 2 }), svg('line', { class: 'grid', x1: 0, x2: '100%', y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }), rects),
    h('figcaption', null,
      h('span', { class: 'axis' }, h('span', null, label(steps[0].at, step)), h('span', null, `most: ${number(top)}`), h('span', null, label(steps[steps.length - 1].at, step))),
      h('span', { class: 'legend' }, series.map((name) => h('span', null, h('span', { class: `key ${KINDS[name][1]}`, 'aria-hidden': 'true' }), `${KINDS[name][0]} ${total(name)}`)))));
}

/** Small bars beside a row's numbers; the numbers say it, so that the plot is hidden from readers. */
export function spark(steps) {
  const top = Math.max(1, ...steps.map((s) => s.failed));
  const width = 100 / steps.length;
  return svg('svg', { class: 'spark', 'aria-hidden': 'true', width: '100%', height: 24, preserveAspectRatio: 'none' },
    svg('line', { class: 'grid', x1: 0, x2: '100%', y1: 23.5, y2: 23.5 }),
    steps.map((s, i) => (s.failed === 0 ? null : svg('rect', {
      class: 'bar-failed', x: `${i * width}%`, width: `${width * 0.8}%`, y: 23 - Math.max(1.5, (s.failed / top) * 22), height: Math.max(1.5, (s.failed / top) * 22),
    }))));
}
