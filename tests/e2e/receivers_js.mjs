// What the vendors' own libraries, types and descriptions say about requests that were made, and about the stand-in that took them.
// node receivers_js.mjs check FILE | octokit URL KEY SHA; prints JSON: {checked: {…}, wrong: […]} or what Octokit got.
import {spawnSync} from 'node:child_process';
import {createRequire} from 'node:module';
import {readFileSync, writeFileSync} from 'node:fs';

const require = createRequire(process.cwd() + '/');
const [, , what, ...args] = process.argv;
const wrong = [];
const checked = {};

function count(kind) {
  checked[kind] = (checked[kind] ?? 0) + 1;
}

// ---- GitHub's description of its API ----

function checkGitHub(requests) {
  const Ajv = require('ajv').default;
  const schemas = JSON.parse(readFileSync(require.resolve('@octokit/openapi/generated/api.github.com.deref.json')));
  const ajv = new Ajv({strict: false, allErrors: true});
  require('ajv-formats').default(ajv);
  const paths = Object.entries(schemas.paths).map(([path, operations]) => ({
    expression: new RegExp('^' + path.replace(/[.]/g, '\\.').replace(/\{[^}]+\}/g, '[^/]+') + '$'), literal: path.replace(/\{[^}]+\}/g, '').length, operations,
  })).sort((a, b) => b.literal - a.literal);
  for (const {method, path, body} of requests) {
    const url = new URL(path, 'https://api.github.com');
    const operation = paths.filter((p) => p.expression.test(url.pathname)).map((p) => p.operations[method.toLowerCase()]).find((o) => o);
    if (!operation) {
      wrong.push(`GitHub has no ${method} ${url.pathname}`);
      continue;
    }
    const known = (operation.parameters ?? []).filter((p) => p.in === 'query').map((p) => p.name);
    [...url.searchParams.keys()].filter((k) => !known.includes(k)).forEach((k) => wrong.push(`${operation.operationId} has no parameter ${k}`));
    const schema = operation.requestBody?.content['application/json'].schema;
    if (schema) {
      const validate = ajv.compile(schema);
      if (!validate(body)) {
        wrong.push(`${operation.operationId}: ${ajv.errorsText(validate.errors)}`);
      }
      const members = Object.keys(schema.properties ?? {});
      Object.keys(body).filter((k) => members.length > 0 && !members.includes(k)).forEach((k) => wrong.push(`${operation.operationId} has no member ${k}`));
    }
    count(operation.operationId);
  }
}

// ---- webhooks and cards ----

function checkWebhooks(requests, secrets) {
  const {Webhook} = require('standardwebhooks');
  for (const {headers, text} of requests) {
    for (const secret of secrets) {
      try {
        new Webhook(secret).verify(text, headers);
        count('standardwebhooks');
      } catch (e) {
        wrong.push(`standardwebhooks: ${e.message}`);
      }
    }
    try {
      new Webhook(secrets[0]).verify(text.replace('retry.', 'retri.'), headers);
      wrong.push('standardwebhooks takes another body');
    } catch {
      count('forgeries refused');
    }
  }
}

function checkCloudEvents(requests) {
  const {HTTP} = require('cloudevents');
  for (const {headers, text} of requests) {
    const event = HTTP.toEvent({headers, body: text});
    if (!event.validate() || event.id !== headers['webhook-id'] || !event.type.startsWith('retry.')) {
      wrong.push(`cloudevents: ${text.slice(0, 200)}`);
    }
    count('cloudevents');
  }
}

function checkCards(requests) {
  const {AdaptiveCard, SerializationContext, Versions} = require('adaptivecards/dist/adaptivecards.js');
  for (const {body} of requests) {
    const context = new SerializationContext(Versions.v1_4);
    const card = new AdaptiveCard();
    const {contentType, content} = body.attachments[0];
    card.parse(content, context);
    const events = [...Array(context.eventCount).keys()].map((i) => context.getEventAt(i)).concat(card.validateProperties().validationEvents);
    events.forEach((e) => wrong.push(`adaptivecards: ${e.message}`));
    if (body.type !== 'message' || contentType !== 'application/vnd.microsoft.card.adaptive' || card.getItemCount() < 2 || JSON.stringify(body).length > 28000) {
      wrong.push('a Teams message is no card');
    }
    count('adaptivecards');
  }
}

// ---- limits of Slack's blocks ----

function tooLong(text, most, where) {
  if (text.length > most) {
    wrong.push(`Slack: ${where} has ${text.length} characters of ${most}`);
  }
}

function checkBlocks(requests) {
  for (const {body} of requests.filter((r) => r.body.blocks)) {
    tooLong(body.text, 40000, 'text');
    if (body.blocks.length > 50) {
      wrong.push('Slack: over 50 blocks');
    }
    for (const block of body.blocks) {
      tooLong(block.block_id ?? '', 255, 'block_id');
      tooLong(block.text?.text ?? '', 3000, 'a section');
      const elements = block.elements ?? [];
      if (elements.length > (block.type === 'context' ? 10 : 25)) {
        wrong.push(`Slack: ${elements.length} elements`);
      }
      for (const element of elements.filter((e) => e.type === 'button')) {
        tooLong(element.text.text, 75, 'a button');
        tooLong(element.value, 2000, 'a value');
        tooLong(element.action_id, 255, 'an action_id');
        count(element.action_id);
      }
    }
    count('messages of blocks');
  }
}

// ---- vendors' types: what has a member too many, too few or of another kind does not compile ----

const TYPES = {
  'chat.postMessage': ['ChatPostMessageArguments', '@slack/web-api'], 'chat.update': ['ChatUpdateArguments', '@slack/web-api'],
  discord: ['RESTPostAPIWebhookWithTokenJSONBody', 'discord-api-types/v10'], gitea: ['CreateStatusOption', 'gitea-js'],
};

function checkTypes(groups) {
  const imports = Object.values(TYPES).map(([type, from]) => `import type {${type}} from '${from}' with {'resolution-mode': 'import'};`);
  const told = Object.entries(groups).flatMap(([kind, requests]) => requests.map(({body}, i) => `export const ${kind.replace('.', '_')}${i}: ${TYPES[kind][0]} = ${JSON.stringify(body)};`));
  const bad = ['// @ts-expect-error: one member too many', `export const bad: ${TYPES.discord[0]} = {"content": "x", "contents": 1};`];
  writeFileSync('told.ts', [...imports, ...told, ...bad, ''].join('\n'));
  const tsc = require.resolve('typescript/bin/tsc');
  const done = spawnSync('node', [tsc, '--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext', '--moduleResolution', 'nodenext', 'told.ts'], {encoding: 'utf8'});
  if (done.status !== 0) {
    wrong.push(done.stdout);
  }
  checked.types = told.length;
}

function check(file) {
  const told = JSON.parse(readFileSync(file, 'utf8'));
  checkGitHub(told.github);
  checkWebhooks(told.webhook, told.secrets);
  checkCloudEvents(told.cloudevents);
  checkCards(told.teams);
  checkBlocks([...told['chat.postMessage'], ...told['chat.update'], ...told.slackhook]);
  checkTypes({'chat.postMessage': told['chat.postMessage'], 'chat.update': told['chat.update'], discord: told.discord, gitea: told.gitea});
  for (const [kind, most] of [['mattermost', 16383], ['rocketchat', 5000], ['googlechat', 4096]]) {
    told[kind].forEach(({body}) => (body.text.length > 0 && [...body.text].length <= most ? count(kind) : wrong.push(`${kind}: ${body.text.length} characters`)));
  }
  return {checked, wrong};
}

// ---- Octokit, against the stand-in ----

async function octokit(baseUrl, key, sha) {
  const {Octokit} = await import(require.resolve('@octokit/core'));
  const {createAppAuth} = await import(require.resolve('@octokit/auth-app'));
  const client = new Octokit({authStrategy: createAppAuth, auth: {appId: 4711, privateKey: readFileSync(key, 'utf8'), installationId: 99}, baseUrl});
  const headers = {accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28'};
  const status = (description) => client.request('POST /repos/{owner}/{repo}/statuses/{sha}', {owner: 'acme', repo: 'web', sha, state: 'success', context: 'octokit', description, headers});
  const good = await status('fine');
  const long = await status('x'.repeat(141)).catch((e) => e);
  const made = await client.request('POST /repos/{owner}/{repo}/issues/{issue_number}/comments', {owner: 'acme', repo: 'web', issue_number: 12, body: 'hello', headers});
  await client.request('PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}', {owner: 'acme', repo: 'web', comment_id: made.data.id, body: 'hello again', headers});
  const listed = await client.request('GET /repos/{owner}/{repo}/issues/{issue_number}/comments', {owner: 'acme', repo: 'web', issue_number: 12, headers});
  return {good: good.status, long: long.status, made: made.status, body: listed.data[0].body};
}

console.log(JSON.stringify(what === 'check' ? check(args[0]) : await octokit(...args)));
