// feed.js - GET /v1/events followed for as long as the page is open. EventSource cannot send a token, so the stream is read here.

import { token } from './api.js';

const SILENT_MS = 40000; // the server says something every 15 s
const LONGEST_PAUSE_MS = 15000;

/** The events in @text that are whole, and the rest. */
export function parse(text) {
  const blocks = text.split('\n\n');
  const rest = blocks.pop();
  const events = [];
  for (const block of blocks) {
    const event = { id: null, type: 'message', data: '' };
    for (const line of block.split('\n')) {
      const colon = line.indexOf(': ');
      if (colon <= 0) continue;
      const [name, value] = [line.slice(0, colon), line.slice(colon + 2)];
      if (name === 'id') event.id = value;
      else if (name === 'event') event.type = value;
      else if (name === 'data') event.data += value;
    }
    if (event.data !== '') events.push(event);
  }
  return { events, rest };
}

export class Feed {
  /** @onEvent({type, data}), @onState('live' | 'waiting' | 'off') */
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.last = null;
    this.abort = null;
    this.running = false;
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.follow();
  }

  stop() {
    this.running = false;
    this.last = null;
    this.abort?.abort();
    this.onState('off');
  }

  async follow() {
    let pause = 500;
    while (this.running) {
      this.abort = new AbortController();
      const began = Date.now();
      await this.read().catch(() => {});
      if (!this.running) return;
      this.onState('waiting');
      pause = Date.now() - began > SILENT_MS ? 500 : Math.min(pause * 2, LONGEST_PAUSE_MS);
      await new Promise((done) => { setTimeout(done, pause); });
    }
  }

  async read() {
    const headers = { Authorization: `Bearer ${token.get() ?? ''}` };
    if (this.last !== null) headers['Last-Event-ID'] = this.last;
    const answer = await fetch('/v1/events', { headers, signal: this.abort.signal, cache: 'no-store', credentials: 'omit' });
    if (!answer.ok) throw new Error(`events answered ${answer.status}`);
    this.onState('live');
    this.onEvent({ type: 'joined', data: {} });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const silence = setTimeout(() => this.abort.abort(), SILENT_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      const { events, rest } = parse(text + value);
      text = rest;
      for (const event of events) {
        this.last = event.id ?? this.last;
        try {
          this.onEvent({ type: event.type, data: JSON.parse(event.data) });
        } catch { /* an event that does not read is not worth the others */ }
      }
    }
  }
}
