// What is true of every page in every state: checked in the browser, in its source, and by eye.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { HtmlValidate } from 'html-validate';

const screenshots = 'build/reports/screenshots';
mkdirSync(screenshots, { recursive: true });

// HTML as the standard has it.
const validator = new HtmlValidate({
  extends: ['html-validate:standard', 'html-validate:document', 'html-validate:a11y'],
  rules: { 'long-title': 'off' },
});

/** Fails unless the text is a valid HTML 5 document. */
export async function assertValid(html) {
  const report = await validator.validateString(html);
  const found = report.results.flatMap((result) => result.messages)
    .map((m) => `${m.line}:${m.column} ${m.ruleId}: ${m.message}`);
  assert.deepEqual(found, []);
}

export const phone = { width: 360, height: 740 };
export const desktop = { width: 1100, height: 820 };

/** A page that collects every complaint of the browser. */
export async function openPage(browser, { scheme = 'light', viewport = desktop, scripts = true } = {}) {
  const context = await browser.newContext(
    { colorScheme: scheme, viewport, javaScriptEnabled: scripts, deviceScaleFactor: 2 });
  const page = await context.newPage();
  page.complaints = [];
  page.requested = [];
  page.on('console', (m) => page.complaints.push(`console: ${m.text()}`));
  page.on('pageerror', (e) => page.complaints.push(`error: ${e.message}`));
  page.on('dialog', (d) => { page.complaints.push(`dialog: ${d.message()}`); d.dismiss(); });
  page.on('request', (r) => page.requested.push(r.url()));
  return page;
}

/** Goes there and checks what must hold for every document; returns the response. */
export async function visit(page, address, status = 200) {
  page.complaints.length = page.requested.length = 0;
  const response = await page.goto(address);
  assert.equal(response.status(), status);
  await assertValid(await response.text());
  // A browser reports each answer of 400 and above on the console by itself.
  const own = page.complaints.filter((c) => !(status >= 400 && c.includes(`status of ${status}`)));
  assert.deepEqual(own, []);
  assert.deepEqual(page.requested.filter((url) => !url.startsWith('data:')), [address]);
  return response;
}

export async function screenshot(page, name) {
  await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true });
}

/** Nothing sticks out at the side. */
export async function assertFits(page) {
  const [content, window] = await page.evaluate(() =>
    [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= window, `the page is ${content} wide in a window of ${window}`);
}

/* Runs in the page: every element with text of its own, with its contrast (WCAG 2, 1.4.3). */
function contrasts() {
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const rgb = channels(getComputedStyle(e).backgroundColor);
      if (rgb.length === 3 || rgb[3] > 0) return rgb;
    }
    return [255, 255, 255];
  };
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.body.querySelectorAll('*')].filter(hasText).map((e) => {
    const both = [luminance(channels(getComputedStyle(e).color)), luminance(ground(e))];
    return { text: e.textContent.trim().slice(0, 40),
      ratio: (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05) };
  });
}

/** All text reaches the contrast of WCAG's level AA for small text. */
export async function assertContrast(page) {
  const found = await page.evaluate(contrasts);
  assert.ok(found.length >= 4);
  assert.deepEqual(found.filter((f) => f.ratio < 4.5), []);
}
