#!/usr/bin/env node
// The pages of a real Tally in headless Chromium: every state, light and dark, wide and narrow.
// Speaks TAP; leaves a screenshot of each state.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { FakeBackend, Stack } from './stack.js';
import { assertContrast, assertFits, assertValid, desktop, openPage, phone, screenshot, visit }
  from './look.js';

const HOSTILE = '<script>alert(1)</script>';
const AWKWARD = ['"><img src=x onerror=alert(2)>', '&amp; &lt;b&gt;', "O'Brien", 'Zoë 🦊', 'x'.repeat(255)];
const SEEDED = ['Bob', 'Jay', 'Matt', 'Ferg', 'Mo'];
const environments = ['develop', 'green', 'blue'];

const stack = new Stack();
const addresses = {};
let browser;

const numberOf = async (page) => Number(await page.locator('#counter').textContent());

async function withPage(options, act) {
  const page = await openPage(browser, options);
  try { await act(page); } finally { await page.context().close(); }
}

/** The same address in light and dark, wide and narrow. */
async function inEachLook(name, address, status, check) {
  for (const scheme of ['light', 'dark']) {
    for (const [width, viewport] of [['wide', desktop], ['phone', phone]]) {
      await withPage({ scheme, viewport }, async (page) => {
        await visit(page, address, status);
        await check?.(page);
        await assertFits(page);
        await assertContrast(page);
        await screenshot(page, `${name}-${scheme}-${width}`);
      });
    }
  }
}

const tests = {
  async 'a page shows number, pod, version and users'() {
    await withPage({}, async (page) => {
      await visit(page, `${addresses.green}/`);
      assert.ok(await numberOf(page) > 0);
      assert.equal(await page.locator('#pod_name').textContent(), 'tally-7d9c5-x2x4q');
      assert.equal(await page.locator('#version').textContent(), '1.4.0');
      assert.equal(await page.getByRole('heading', { name: 'Here are our users:' }).count(), 1);
      const users = await page.locator('.users p').allTextContents();
      assert.deepEqual(users, [...SEEDED, HOSTILE, ...AWKWARD]);
    });
  },
  async 'the number grows by one on each reload'() {
    await withPage({}, async (page) => {
      await visit(page, `${addresses.green}/`);
      const first = await numberOf(page);
      for (let i = 1; i <= 3; i++) {
        await visit(page, `${addresses.green}/`);
        assert.equal(await numberOf(page), first + i);
      }
    });
  },
  async 'a user named like a script is text'() {
    await withPage({}, async (page) => {
      await visit(page, `${addresses.green}/`);
      assert.equal(await page.getByText(HOSTILE, { exact: true }).count(), 1);
      assert.equal(await page.locator('script, img').count(), 0);
    });
  },
  async 'the page has title, language and landmarks'() {
    await withPage({}, async (page) => {
      await visit(page, `${addresses.green}/`);
      assert.equal(await page.title(), 'Tally');
      assert.equal(await page.locator('html').getAttribute('lang'), 'en');
      for (const role of ['banner', 'main', 'contentinfo'])
        assert.equal(await page.getByRole(role).count(), 1, role);
      assert.equal(await page.locator('h1').count(), 1);
    });
  },
  async 'the style is allowed by its hash, and nothing else is'() {
    await withPage({}, async (page) => {
      const response = await visit(page, `${addresses.green}/`);
      const policy = response.headers()['content-security-policy'];
      assert.match(policy, /default-src 'none'; style-src 'sha256-[^']+'/);
      assert.doesNotMatch(policy, /unsafe|\*|http/);
      assert.equal(await page.evaluate(() => document.styleSheets.length), 1);
      const radius = await page.locator('.visit').evaluate((e) => getComputedStyle(e).borderRadius);
      assert.notEqual(radius, '0px');
    });
  },
  async 'the page needs no script'() {
    await withPage({ scripts: false }, async (page) => {
      await visit(page, `${addresses.green}/`);
      assert.ok(await numberOf(page) > 0);
    });
  },
  async 'each environment has its colour, in light and dark, wide and narrow'() {
    const accents = new Set();
    for (const environment of environments) {
      await inEachLook(environment, `${addresses[environment]}/`, 200, async (page) => {
        assert.equal(await page.locator('.environment').textContent(), environment);
        accents.add(await page.locator('#counter').evaluate((e) => getComputedStyle(e).color));
      });
    }
    assert.equal(accents.size, 2 * environments.length);
  },
  async 'an empty table is said in words'() {
    await inEachLook('no-users-yet', `${addresses.empty}/`, 200, async (page) => {
      assert.equal(await page.locator('.users p').count(), 0);
      assert.equal(await page.getByText('There are no users yet.').count(), 1);
    });
  },
  async 'many users fit'() {
    await inEachLook('many-users', `${addresses.many}/`, 200, async (page) => {
      assert.equal(await page.locator('.users p').count(), 60);
    });
  },
  async 'without a backend there is no users section'() {
    await inEachLook('counter-alone', `${addresses.alone}/`, 200, async (page) => {
      assert.equal(await page.locator('.users').count(), 0);
    });
  },
  async 'what is not there is said on a page of the same style'() {
    await inEachLook('not-found', `${addresses.green}/nothing`, 404, async (page) => {
      assert.equal(await page.getByRole('heading', { name: '404' }).count(), 1);
      const radius = await page.locator('section').evaluate((e) => getComputedStyle(e).borderRadius);
      assert.notEqual(radius, '0px');
    });
  },
  async 'without the backend the number is shown'() {
    await stack.backend.stop();
    await inEachLook('backend-down', `${addresses.green}/`, 200, async (page) => {
      assert.ok(await numberOf(page) > 0);
      assert.equal(await page.getByText('The users are unavailable').count(), 1);
    });
  },
  async 'without both it is an error that looks like the page'() {
    await stack.redis.stop();
    await stack.untilVerbose(addresses.green, 'redis: down');
    await inEachLook('both-down', `${addresses.green}/`, 503, async (page) => {
      assert.equal(await page.locator('#counter').textContent(), 'unavailable');
      assert.equal(await page.getByText('The users are unavailable').count(), 1);
    });
    const response = await fetch(`${addresses.green}/`);
    assert.ok(Number(response.headers.get('retry-after')) > 0);
  },
  async 'without Redis the users are shown'() {
    await stack.backend.start();
    await stack.untilVerbose(addresses.green, 'backend: up');
    await inEachLook('redis-down', `${addresses.green}/`, 200, async (page) => {
      assert.equal(await page.locator('#counter').textContent(), 'unavailable');
      assert.equal(await page.locator('.users p').count(), 11);
    });
    const response = await fetch(`${addresses.green}/`);
    assert.equal(response.headers.get('x-visit'), 'unavailable');
    await assertValid(await response.text());
  },
  async 'all is well again when both are back'() {
    await stack.redis.start();
    await stack.untilVerbose(addresses.green, 'redis: up');
    await withPage({}, async (page) => {
      await visit(page, `${addresses.green}/`);
      assert.ok(await numberOf(page) > 0);
      assert.equal(await page.getByText('unavailable').count(), 0);
    });
  },
  async 'a large number stays on one line'() {
    stack.countOnFrom(123456788);
    await inEachLook('large-number', `${addresses.green}/`, 200, async (page) => {
      const [height, size] = await page.locator('#counter').evaluate((e) =>
        [e.getBoundingClientRect().height, parseFloat(getComputedStyle(e).fontSize)]);
      assert.ok(await numberOf(page) > 123456788);
      assert.ok(height < 1.6 * size, `${height} px high with letters of ${size} px`);
    });
  },
};

const fakes = [];
async function frontendWithUsers(names) {
  const fake = new FakeBackend();
  fakes.push(fake);
  await fake.start(`${JSON.stringify(names.map((userName) => ({ userName })))}\n`);
  return stack.frontend({ BACKEND_URL: fake.url });
}

async function setUp() {
  await stack.start([HOSTILE, ...AWKWARD]);
  for (const ENVIRONMENT of environments) addresses[ENVIRONMENT] = await stack.frontend({ ENVIRONMENT });
  addresses.alone = await stack.frontend({ BACKEND_URL: '' });
  addresses.empty = await frontendWithUsers([]);
  addresses.many = await frontendWithUsers(Array.from({ length: 60 }, (_, i) => `User ${i + 1}`));
  browser = await chromium.launch(
    { executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox'] });
}

async function tearDown() {
  await browser?.close();
  fakes.forEach((fake) => fake.stop());
  return stack.stop();
}

let count = 0;
let failed = false;
function tell(name, error) {
  failed ||= Boolean(error);
  console.log(`${error ? 'not ok' : 'ok'} ${++count} - ${name}`);
  if (error) console.log(`${error.stack ?? error}`.replace(/^/gm, '# '));
}

async function attempt(name, act) {
  try { await act(); tell(name); } catch (error) { tell(name, error); }
}

await attempt('the stack and the browser start', setUp);
if (!failed) for (const [name, act] of Object.entries(tests)) await attempt(name, act);
await attempt('all of it leaves with status 0', async () => assert.deepEqual(await tearDown(), []));
console.log(`1..${count}`);
process.exit(failed ? 1 : 0);
