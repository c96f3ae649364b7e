// Deliveries as the official libraries of their senders sign them, good ones and bad ones; and those libraries' own verdict on what others signed.
// node senders_js.mjs make SETTINGS | check DELIVERIES | emit SETTINGS; prints JSON.
import {createHmac, createPrivateKey, sign as signBytes} from 'node:crypto';
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';

const require = createRequire(process.cwd() + '/');
const [, , what, file] = process.argv;
const given = JSON.parse(readFileSync(file, 'utf8'));
const octokit = await import(pathToFileURL('node_modules/@octokit/webhooks-methods/dist-node/index.js').href);
const {Webhook} = require('standardwebhooks');
const {Webhook: Svix} = require('svix');
const {verifyKey} = require('discord-interactions');
const {isValidSlackRequest} = require('@slack/bolt/dist/receivers/verify-request');
const {CloudEvent, HTTP, Mode, emitterFor, httpTransport} = require('cloudevents');

const FORM = 'application/x-www-form-urlencoded';
const now = Math.floor(Date.now() / 1000);
const out = [];
const add = (source, name, good, body, headers) => out.push({source, name, good, body, headers: {'Content-Type': 'application/json', ...headers}});

// ---- as the senders ----

async function github(body, secret) {
  const head = {'x-github-event': 'status', 'x-github-delivery': `d-${out.length}`};
  const form = 'payload=' + encodeURIComponent(body).replace(/%20/g, '+');
  const right = await octokit.sign(secret, body);
  const post = (name, good, signature, text = body, more = {}) => add('github', name, good, text, {...head, ...more, 'x-hub-signature-256': signature});
  post('json', true, right);
  post('form', true, await octokit.sign(secret, form), form, {'Content-Type': FORM});
  post('the JSON of a form signed', false, right, form, {'Content-Type': FORM});
  post('other bytes', false, right, body + ' ');
  post('other key', false, await octokit.sign('another', body));
  post('upper case', false, right.toUpperCase().replace('SHA256', 'sha256'));
  post('no prefix', false, right.slice(7));
  post('empty digest', false, 'sha256=');
}

function standard(source, secret, body, other, more = {}) {
  for (const [Kind, prefix] of [[Webhook, 'webhook'], [Svix, 'svix']]) {
    const post = (name, good, {at = now, key = secret, text = body, id = `msg_${source}_${out.length}`} = {}) =>
      add(source, `${prefix}: ${name}`, good, text, {...more, [`${prefix}-id`]: id, [`${prefix}-timestamp`]: String(at),
        [`${prefix}-signature`]: new Kind(key).sign(id, new Date(at * 1000), body)});
    post('now', true);
    post('four minutes old', true, {at: now - 240});
    post('stale', false, {at: now - 320});
    post('from the future', false, {at: now + 320});
    post('other key', false, {key: other});
    post('other bytes', false, {text: body + '\n'});
    add(source, `${prefix}: other id`, false, body, {...more, [`${prefix}-id`]: 'msg_other', [`${prefix}-timestamp`]: String(now),
      [`${prefix}-signature`]: new Kind(secret).sign('msg_one', new Date(now * 1000), body)});
  }
}

function slack(secret, body) {
  const post = (name, good, {at = now, key = secret, text = body, pick = (s) => s} = {}) => {
    const headers = {'x-slack-request-timestamp': String(at), 'x-slack-signature': pick('v0=' + createHmac('sha256', key).update(`v0:${at}:${body}`).digest('hex'))};
    const verdict = isValidSlackRequest({signingSecret: secret, body: text, headers: {...headers, 'x-slack-request-timestamp': at}});
    add('slack', name, good, text, {...headers, 'Content-Type': FORM});
    out.at(-1).verdict = verdict;
  };
  post('now', true);
  post('four minutes old', true, {at: now - 240});
  post('stale', false, {at: now - 320});
  post('from the future', false, {at: now + 320}); // the library lets this one through
  post('other key', false, {key: 'another'});
  post('other bytes', false, {text: body + '&user_id=UANN'});
  post('version 1', false, {pick: (s) => s.replace('v0', 'v1')});
  post('empty', false, {pick: () => 'v0='});
}

async function discord(seed, publicKey, body) {
  const keyOf = (hex) => createPrivateKey({key: Buffer.from('302e020100300506032b657004220420' + hex, 'hex'), format: 'der', type: 'pkcs8'});
  const post = async (name, good, {hex = seed, text = body, stamp = String(now), pick = (s) => s} = {}) => {
    const signature = pick(signBytes(null, Buffer.from(String(now) + body), keyOf(hex)).toString('hex'));
    add('discord', name, good, text, {'x-signature-ed25519': signature, 'x-signature-timestamp': stamp});
    out.at(-1).verdict = await verifyKey(text, signature, stamp, publicKey);
  };
  await post('now', true);
  await post('other key', false, {hex: 'ff'.repeat(32)});
  await post('other bytes', false, {text: body.replace('"1"', '"2"')});
  await post('other time', false, {stamp: String(now + 1)});
  await post('short', false, {pick: (s) => s.slice(2)});
}

// ---- the libraries' verdict on a delivery ----

async function verdict({source, body, headers, secret}) {
  const h = Object.fromEntries(Object.entries(headers).map(([k, v]) => [k.toLowerCase(), v]));
  try {
    switch (source) {
      case 'github': return await octokit.verify(secret, body, h['x-hub-signature-256']);
      case 'slack': return isValidSlackRequest({signingSecret: secret, body, headers: {...h, 'x-slack-request-timestamp': Number(h['x-slack-request-timestamp'])}});
      case 'discord': return await verifyKey(body, h['x-signature-ed25519'], h['x-signature-timestamp'], secret);
      case 'svix': return Boolean(new Svix(secret).verify(body, h));
      default: return Boolean(new Webhook(secret).verify(body, h));
    }
  } catch {
    return false;
  }
}

// ---- CloudEvents by the library's own transport ----

async function emit({url, key, events}) {
  const headers = {'x-retrybuild-key': key};
  const made = events.map((data, i) => new CloudEvent({id: `emitted-${i}`, type: 't', source: 'aws.codebuild', datacontenttype: 'application/json', data}));
  const answers = [];
  for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
    for (const event of made) {
      answers.push(JSON.parse((await emitterFor(httpTransport(url), {binding: HTTP, mode})(event, {headers})).body));
    }
  }
  const batch = {headers: {'content-type': 'application/cloudevents-batch+json'}, body: JSON.stringify(made)};
  answers.push(JSON.parse((await httpTransport(url)({...batch, headers: {...batch.headers, ...headers}})).body));
  answers.push(JSON.parse((await emitterFor(httpTransport(url))(made[0], {headers: {'x-retrybuild-key': 'another'}})).body));
  return answers;
}

if (what === 'make') {
  await github(given.status, given.secret);
  standard('gitlab', given.signing, given.pipeline, given.other, {'x-gitlab-event': 'Pipeline Hook'});
  standard('sw', given.signing, given.own, given.other);
  slack(given.secret, given.form);
  await discord(given.seed, given.public_key, given.interaction);
  console.log(JSON.stringify(out));
} else if (what === 'check') {
  console.log(JSON.stringify(await Promise.all(given.map(verdict))));
} else {
  console.log(JSON.stringify(await emit(given)));
}
