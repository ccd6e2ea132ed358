/** Chromium without a window. What a page saw comes back by another way: it tells it to a server of the test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const REPORT_MS_MAX = 60_000;
/** For its first request. Two or three seconds are usual. */
const OPEN_MS_MAX = 20_000;
const ATTEMPTS = 3;

/** Its sandbox needs rights that a container rarely gives; certificates are made on the spot. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--ignore-certificate-errors',
  '--remote-debugging-port=0',
];

/**
 * Opens a page in a browser of its own, until `report` is there. One that asks for nothing is started again, twice: on a busy
 * machine some hang before they open a page.
 *
 * @param asked  what servers of the test were asked for; empty until the browser comes
 * @throws {Error} when the browser ends before, or the report takes too long
 */
export async function inChromium<T>(url: string, report: Promise<T>, asked: readonly string[]): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const limitMs = attempt === ATTEMPTS ? REPORT_MS_MAX : OPEN_MS_MAX;
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const found = await oneChromium({ url, report, asked, limitMs });
    if (found !== undefined) return found.report;
  }
}

interface Visit<T> {
  readonly url: string;
  readonly report: Promise<T>;
  readonly asked: readonly string[];
  readonly limitMs: number;
}

/** Undefined when it has asked for nothing in time, and another one may. */
async function oneChromium<T>({ url, report, asked, limitMs }: Visit<T>): Promise<{ readonly report: T } | undefined> {
  const profile = mkdtempSync(join(tmpdir(), 'fourways-chromium-'));
  const browser = spawn('chromium', [...FLAGS, `--user-data-dir=${profile}`, url], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(browser, 'exit');
  let said = '';
  browser.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_096)));
  const timers: NodeJS.Timeout[] = [];
  const after = (ms: number): Promise<void> => new Promise((resolve) => timers.push(setTimeout(resolve, ms)));
  try {
    const late = after(REPORT_MS_MAX).then(() => {
      throw new Error(`No report; asked for ${asked.join(' ')}; ${said}`);
    });
    const gone = ended.then(() => {
      throw new Error(`Chromium ended; asked for ${asked.join(' ')}; ${said}`);
    });
    gone.catch(() => undefined);
    const lost = limitMs === REPORT_MS_MAX ? late : after(limitMs).then(() => (asked.length === 0 ? undefined : late));
    return await Promise.race([report.then((found) => ({ report: found })), lost, gone]);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    browser.kill('SIGKILL');
    await ended;
    // Its helpers end a moment later.
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
