// Requests as the official libraries of their senders make them; and SNS's own check of messages that a test signed.
// node machines_js.mjs make SECRET EVENT | check MESSAGES CERTIFICATE; prints JSON.
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import {EventEmitter} from 'node:events';

const require = createRequire(process.cwd() + '/');
const [, , what, first, second] = process.argv;

function make(secret, text) {
  const {Webhook} = require('standardwebhooks');
  const {Webhook: Svix} = require('svix');
  const {CloudEvent, HTTP} = require('cloudevents');
  const body = JSON.stringify({type: 'build.failed', data: {build: JSON.parse(text).detail['build-id']}});
  const now = new Date();
  const stamp = String(Math.floor(now.getTime() / 1000));
  const event = new CloudEvent({type: 'build.failed', source: 'aws.codebuild', data: JSON.parse(text), datacontenttype: 'application/json'});
  return [
    {source: 'sw', body, headers: {'webhook-id': 'msg_official', 'webhook-timestamp': stamp, 'webhook-signature': new Webhook(secret).sign('msg_official', now, body)}},
    {source: 'sw', body, headers: {'svix-id': 'msg_svix', 'svix-timestamp': stamp, 'svix-signature': new Svix(secret).sign('msg_svix', now, body)}},
    {source: 'ce', ...HTTP.binary(event)},
    {source: 'ce', ...HTTP.structured(event)},
  ].map((r) => ({...r, body: typeof r.body === 'string' ? r.body : JSON.stringify(r.body)}));
}

function check(messages, certificate) {
  const https = require('https');
  https.get = (url, done) => {
    const answer = new EventEmitter();
    answer.statusCode = 200;
    answer.setEncoding = () => {};
    queueMicrotask(() => {
      done(answer);
      answer.emit('data', certificate);
      answer.emit('end');
    });
    return new EventEmitter();
  };
  const Validator = require('sns-validator');
  return Promise.all(messages.map((m) => new Promise((give) => {
    new Validator().validate(m, (e) => give(e ? e.message : 'good'));
  })));
}

const result = what === 'make' ? make(first, readFileSync(second, 'utf8'))
  : await check(JSON.parse(readFileSync(first, 'utf8')), readFileSync(second, 'utf8'));
console.log(JSON.stringify(result));
