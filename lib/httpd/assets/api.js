// api.js - calls of the service with the token of who looks; the token stays in this tab.

const KEY = 'retrybuild.token';

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  clear: () => sessionStorage.removeItem(KEY),
};

/** status 0: the server did not answer at all. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function reason(answer) {
  try {
    const problem = await answer.json();
    if (typeof problem.detail === 'string') return problem.detail;
  } catch { /* no problem document: the status says it */ }
  return `the server answered ${answer.status}`;
}

export async function call(method, path, body, signal) {
  const headers = { Authorization: `Bearer ${token.get() ?? ''}` };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, signal, cache: 'no-store', credentials: 'omit', redirect: 'error',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'the server does not answer');
  }
  if (!answer.ok) throw new ApiError(answer.status, await reason(answer));
  try {
    return await answer.json();
  } catch {
    throw new ApiError(0, 'the answer of the server was cut off');
  }
}

export const get = (path, signal) => call('GET', path, undefined, signal);
export const post = (path, body) => call('POST', path, body ?? {});

/** A query string of what has a value. */
export function query(values) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== '') q.set(name, value);
  }
  const text = q.toString();
  return text === '' ? '' : `?${text}`;
}
