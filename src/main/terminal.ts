/** The world that commands see: this process, its terminal and its network. */
import { readFile } from 'node:fs/promises';
import { systemClock } from '../base/clock.ts';
import type { HttpAnswer, Io, Programs } from '../cli/command.ts';

/** Longest wait for an answer of an admin API. */
const ASK_MS_MAX = 5_000;

export function terminalIo(programs: Programs): Io {
  // `fourways help | head -1`: the reader has seen enough, which is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const isTerminal = process.stdout.isTTY === true;
  const { NO_COLOR: noColour, TERM: terminal } = process.env;
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    readFile: (path) => readFile(path, 'utf8'),
    get: (url) => ask(url),
    post: ask,
    runModule: async (path) => (await import('./load-config.ts')).runConfigModule(path),
    clock: systemClock,
    cwd: process.cwd(),
    isTerminal,
    // https://no-color.org: set and not empty means no colours.
    colour: isTerminal && (noColour === undefined || noColour === '') && terminal !== 'dumb',
    nodeVersion: process.version,
    programs,
  };
}

/** Not `fetch`: it refuses a list of ports that browsers fear, and takes longer to load. */
async function ask(url: string, posted?: object): Promise<HttpAnswer> {
  const { request: httpRequest } = await import('node:http');
  const method = posted === undefined ? 'GET' : 'POST';
  const headers = posted === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false, timeout: ASK_MS_MAX }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (text: string) => (body += text));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      answer.on('error', reject);
    });
    request.on('timeout', () => request.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
    request.on('error', reject);
    request.end(posted === undefined ? undefined : JSON.stringify(posted));
  });
}
