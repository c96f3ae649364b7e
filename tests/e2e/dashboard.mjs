// dashboard.mjs - the dashboard in a headless Chromium, step by step. test_dashboard.py starts it, and does in the world what it asks
// for: a line {"do": …} on stdout is answered by a line on stdin. The last line is {"checks": [[name, error or null], …]}.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.cwd()}/x.js`);
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const { url, operator, viewer, shots, patience, evil, browser: program } = JSON.parse(process.argv[2]);
const WAIT = 8000 * patience;
const VIEWS = [['now', 'Now'], ['retries', 'Retries'], ['projects', 'Projects'], ['rules', 'Rules'], ['sources', 'Sources'], ['destinations', 'Destinations'], ['dead', 'Dead letters']];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function world(action) {
  process.stdout.write(`${JSON.stringify(action)}\n`);
  return JSON.parse((await answers.next()).value);
}

const checks = [];
async function check(name, what) {
  const started = Date.now();
  try {
    await what();
    checks.push([name, null]);
  } catch (error) {
    checks.push([name, `${error.message}`.slice(0, 1500)]);
  }
  const [, error] = checks[checks.length - 1];
  console.error(`  ${error === null ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)${error === null ? '' : `: ${error}`}`);
}

function must(truth, words) {
  if (!truth) throw new Error(words);
}

const chrome = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server'] });

async function opened({ width, height, theme }) {
  const context = await chrome.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT);
  const wrong = [];
  page.on('dialog', (d) => { wrong.push(`dialog: ${d.message()}`); d.dismiss(); });
  page.on('pageerror', (e) => wrong.push(`error: ${e.message}`));
  page.on('console', (m) => { if (/Content Security Policy|Trusted/i.test(m.text())) wrong.push(m.text()); });
  page.on('request', (r) => { if (!r.url().startsWith(url) && !r.url().startsWith('data:')) wrong.push(`request to ${r.url()}`); });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
  });
  await page.goto(`${url}/`);
  return { page, wrong, close: () => context.close() };
}

async function logIn(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#view h1').waitFor();
}

async function show(page, name, heading) {
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: heading, exact: true }).click();
  await page.locator(`#view h1:text-is("${heading}")`).waitFor();
  must(await page.locator(`.top nav a[aria-current="page"]`).textContent() === heading, 'the view is not marked as current');
}

async function accessible(page, where) {
  if (!await page.evaluate('typeof axe === "object"')) await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], resultTypes: ['violations'] })
    .then((r) => r.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `${v.id}: ${v.nodes.slice(0, 2).map((n) => `${n.html.slice(0, 140)} ${n.any[0]?.message ?? ''}`).join(' | ')}`)));
  must(found.length === 0, `${where}: ${found.join('; ')}`);
  await fits(page, where);
}

async function fits(page, where) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  must(wide <= 0, `${where}: ${wide} px wider than the screen`);
}

async function innocent(page, wrong) {
  const violations = await page.evaluate(() => window.violations);
  must(wrong.length === 0 && violations.length === 0, [...wrong, ...violations].join('; '));
  const found = await page.evaluate(() => ({
    scripts: document.querySelectorAll('script').length, images: document.querySelectorAll('#view img, #view iframe, #view object').length,
    handlers: [...document.querySelectorAll('#view *')].filter((n) => [...n.attributes].some((a) => a.name.startsWith('on') || a.name === 'style')).map((n) => n.outerHTML.slice(0, 200)),
    links: [...document.querySelectorAll('a[href]')].map((a) => a.href).filter((h) => !h.startsWith(location.origin) && !h.startsWith('https://')),
  }));
  must(found.scripts === 1 && found.images === 0 && found.handlers.length === 0 && found.links.length === 0, JSON.stringify(found));
}

/* ---- one screen: what a person does there ---- */

async function everyday(page, screen) {
  await show(page, 'now', 'Now');
  await check(`${screen}: a failure arrives and recovers before one's eyes`, async () => {
    const project = await world({ do: 'fail', as: 'recovers' });
    const row = page.locator('tr', { hasText: project.number }).filter({ hasText: project.name }).first();
    await row.waitFor();
    await row.locator('.badge:text-is("recovered")').waitFor();
    must(!await page.getByText('does not answer').isVisible(), 'the server is said to be away');
  });
  await check(`${screen}: a held retry is approved and recovers`, async () => {
    const held = await world({ do: 'fail', as: 'asks' });
    const card = page.locator('.card', { hasText: held.name }).filter({ hasText: held.number }).first();
    await card.getByRole('button', { name: 'Approve', exact: true }).click();
    await page.locator('tr', { hasText: held.name }).filter({ hasText: held.number }).locator('.badge:text-is("recovered")').waitFor();
    must(await page.locator('.card', { hasText: held.number }).count() === 0, 'it is still asked for');
  });
  await check(`${screen}: a held retry is denied`, async () => {
    const held = await world({ do: 'fail', as: 'asks' });
    await page.locator('.card', { hasText: held.number }).getByRole('button', { name: 'Deny', exact: true }).click();
    await page.locator('tr', { hasText: held.name }).filter({ hasText: held.number }).locator('.badge:text-is("cancelled")').waitFor();
  });
  await check(`${screen}: a dead letter is requeued and recovers`, async () => {
    const dead = await world({ do: 'fail', as: 'dies' });
    await show(page, 'dead', 'Dead letters');
    const row = page.locator('tbody tr', { hasText: dead.number });
    await row.waitFor();
    await page.screenshot({ path: `${shots}/${screen}-dead-one.png`, fullPage: true });
    await row.getByRole('button', { name: 'Requeue', exact: true }).click();
    await row.waitFor({ state: 'detached' });
    await world({ do: 'reached', id: dead.id, state: 'recovered' });
  });
}

async function bulk(page) {
  await check('dead letters: some, then all', async () => {
    const dead = [];
    for (let i = 0; i < 3; i++) dead.push(await world({ do: 'fail', as: 'dies' }));
    await show(page, 'dead', 'Dead letters');
    await page.locator('tbody tr').nth(2).waitFor();
    await page.locator('tbody tr', { hasText: dead[0].number }).getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Requeue chosen (1)' }).click();
    await page.locator('tbody tr', { hasText: dead[0].number }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Requeue all' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Requeue all' }).click();
    await page.getByText('No dead letters.').waitFor();
    for (const d of dead) await world({ do: 'reached', id: d.id, state: 'recovered' });
  });
}

// Colours are those of the theme and the layout is that of the size, so that axe has seen all of both after two screens.
async function tour(page, screen, wrong, look) {
  await check(`${screen}: every view${look === accessible ? ' is accessible' : ''}`, async () => {
    for (const [name, heading] of VIEWS) {
      await show(page, name, heading);
      await page.screenshot({ path: `${shots}/${screen}-${name}.png`, fullPage: true });
      await look(page, name);
    }
    await page.goto(`${url}/#/retries?project=recovers`);
    await page.locator('tbody a.strong').first().click();
    await page.locator('.timeline .badge').first().waitFor();
    await page.screenshot({ path: `${shots}/${screen}-retry.png`, fullPage: true });
    await look(page, 'a retry');
    await page.goto(`${url}/#/projects`);
    await page.locator('tbody a.strong').first().click();
    await page.locator('.plot svg').first().waitFor();
    await page.screenshot({ path: `${shots}/${screen}-project.png`, fullPage: true });
    await look(page, 'a project');
  });
  await check(`${screen}: what the senders wrote stays text`, () => innocent(page, wrong));
}

async function payloads(page, wrong) {
  await check('payloads in every field of an event stay text', async () => {
    const r = await world({ do: 'evil' });
    await page.goto(`${url}/#/retries/${r.id}`);
    await page.locator('.timeline').first().waitFor();
    for (const text of [evil, 'javascript:alert']) must((await page.locator('#view').innerText()).includes(text), `${text} is not shown as it was sent`);
    await page.screenshot({ path: `${shots}/payloads.png`, fullPage: true });
    for (const [name, heading] of VIEWS) await show(page, name, heading);
    await page.goto(`${url}/#/retries?q=${encodeURIComponent(evil.slice(0, 20))}&project=${encodeURIComponent(evil)}`);
    await page.getByText('No retry fits.').waitFor();
    await page.goto(`${url}/#/retries/${encodeURIComponent(evil)}`);
    await page.locator('h1:text-is("Not there")').waitFor();
    await innocent(page, wrong);
  });
}

async function found(page) {
  await check('search and filters find, and say so when there is nothing', async () => {
    await show(page, 'retries', 'Retries');
    await page.getByLabel('Project').fill('recovers');
    await page.getByLabel('State').selectOption('recovered');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.waitForFunction(() => document.querySelectorAll('tbody .badge').length > 0 && [...document.querySelectorAll('tbody .badge')].every((b) => b.textContent === 'recovered'));
    await page.getByRole('link', { name: 'Clear' }).click();
    await page.getByLabel('Search').fill('no such words anywhere');
    await page.keyboard.press('Enter');
    await page.getByText('No retry fits.').waitFor();
    await page.goBack();
    await page.locator('tbody tr').first().waitFor();
  });
}

async function byKeyboard(page) {
  await check('the keyboard reaches everything', async () => {
    await page.goto(`${url}/`);
    await page.locator('#view h1').waitFor();
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('Tab');
    must(await page.evaluate(() => document.activeElement.id) === 'skip', 'the first stop is no skip link');
    await page.keyboard.press('Enter');
    must(await page.evaluate(() => document.activeElement.id) === 'main', 'the skip link does not skip');
    const theme = page.getByRole('button', { name: /^Theme/ });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await ground();
    await theme.focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    must(await page.evaluate(() => document.documentElement.dataset.theme) === 'dark' && await ground() !== before, 'the switch does not switch');
    await page.reload();
    must(await page.evaluate(() => document.documentElement.dataset.theme) === 'dark', 'the theme is forgotten');
    await theme.click();
  });
}

async function asViewer() {
  const { page, wrong, close } = await opened({ width: 1280, height: 800, theme: 'light' });
  await check('a wrong token is refused with what to do', async () => {
    await accessible(page, 'log in');
    await page.getByLabel('Token').fill('nobody-knows-this-token');
    await page.keyboard.press('Enter');
    await page.getByText('This token is not known.').waitFor();
    await page.screenshot({ path: `${shots}/login-refused.png` });
  });
  await check('a viewer sees everything and may do nothing', async () => {
    await world({ do: 'fail', as: 'asks' });
    await logIn(page, viewer);
    await page.locator('.card').first().waitFor();
    for (const [name, heading] of VIEWS) {
      await show(page, name, heading);
      const verbs = await page.locator('#view').getByRole('button', { name: /^(Approve|Deny|Requeue|Retry|Cancel|Test|Pause|Resume)/ }).count();
      must(verbs === 0, `${heading} offers ${verbs} actions to a viewer`);
    }
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor();
    must(await page.evaluate(() => sessionStorage.length) === 0, 'the token is kept after logging out');
    await innocent(page, wrong);
  });
  await close();
}

async function outage(page) {
  await check('a server that is away is said, and what is known stays', async () => {
    await show(page, 'retries', 'Retries');
    await page.locator('tbody tr').first().waitFor();
    await world({ do: 'stop' });
    await page.getByRole('alert').filter({ hasText: 'does not answer' }).waitFor({ timeout: 30000 * patience });
    must(await page.locator('tbody tr').count() > 0, 'what was shown is gone');
    await page.screenshot({ path: `${shots}/away.png` });
  });
}

const SCREENS = [['desktop-light', 1280, 860, 'light'], ['phone-dark', 390, 844, 'dark'], ['desktop-dark', 1280, 860, 'dark'], ['phone-light', 390, 844, 'light']];
let last = null;
for (const [screen, width, height, theme] of SCREENS) {
  const one = await opened({ width, height, theme });
  await check(`${screen}: log in`, () => logIn(one.page, operator));
  if (screen === 'desktop-light' || screen === 'phone-dark') await everyday(one.page, screen);
  if (screen === 'desktop-light') {
    await bulk(one.page);
    await payloads(one.page, one.wrong);
    await found(one.page);
    await byKeyboard(one.page);
    await asViewer();
  }
  const whole = screen === 'desktop-light' || screen === 'phone-dark';
  await tour(one.page, screen, one.wrong, whole ? accessible : fits);
  if (last) await last.close();
  last = one;
}
await outage(last.page);
await chrome.close();
process.stdout.write(`${JSON.stringify({ checks })}\n`);
process.exit(0);
