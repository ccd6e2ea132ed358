/** Chromium without a window. What a page saw comes back by another way: it tells it to a server of the test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const REPORT_MS_MAX = 60_000;

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
 * Opens a page in a browser of its own, until `report` is there.
 *
 * @param known  what else may tell why there was no report
 * @throws {Error} when the browser ends before, or the report takes too long
 */
export async function inChromium<T>(url: string, report: Promise<T>, known = (): string => ''): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), 'fourways-chromium-'));
  const browser = spawn('chromium', [...FLAGS, `--user-data-dir=${profile}`, url], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(browser, 'exit');
  let said = '';
  browser.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_096)));
  try {
    const late = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`No report: ${known()} ${said}`)), REPORT_MS_MAX).unref();
    });
    const gone = ended.then(() => {
      throw new Error(`Chromium ended: ${known()} ${said}`);
    });
    gone.catch(() => undefined);
    return await Promise.race([report, late, gone]);
  } finally {
    browser.kill('SIGKILL');
    await ended;
    // Its helpers end a moment later.
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
