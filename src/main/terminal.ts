/** The world that commands see: this process, its terminal and its network. */
import { readFile } from 'node:fs/promises';
import { systemClock } from '../base/clock.ts';
import type { ProgramSpec } from '../filter/own-program.ts';
import { CommandFailure, type HttpAnswer, type Io, type Programs } from '../cli/command.ts';

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
    readInput,
    readSecret,
    get: (url) => ask(url),
    post: ask,
    follow: async (...asked) => (await import('./follow.ts')).follow(...asked),
    runModule: async (path) => (await import('./load-config.ts')).runConfigModule(path),
    tryProgram,
    clock: systemClock,
    cwd: process.cwd(),
    isTerminal,
    // https://no-color.org: set and not empty means no colours.
    colour: isTerminal && (noColour === undefined || noColour === '') && terminal !== 'dumb',
    nodeVersion: process.version,
    programs,
    machine: async () => (await import('./machine.ts')).machine,
  };
}

/** As a proxy does before it runs one. */
async function tryProgram(spec: ProgramSpec): Promise<string | undefined> {
  const { ThreadVersion } = await import('./own-thread-version.ts');
  const nobody = (): void => undefined;
  const tried = new ThreadVersion({ spec, version: 1, clock: systemClock, onLine: nobody, onDied: nobody });
  // Neither the thread nor the clock keeps the process alive.
  const stay = setInterval(nobody, ASK_MS_MAX);
  const found = await tried.loaded;
  clearInterval(stay);
  tried.close();
  return typeof found === 'string' ? found : undefined;
}

/** Longest text that a command takes from standard input: a million keys. */
const INPUT_BYTES_MAX = 512 * 1024 * 1024;

async function readInput(): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > INPUT_BYTES_MAX) throw new CommandFailure('Cannot read standard input: it is longer than 512 MiB');
  }
  return Buffer.concat(pieces).toString();
}

async function readSecret(prompt: string): Promise<string> {
  if (!process.stdin.isTTY) return (await readInput()).split(/\r?\n/, 1)[0]!;
  const { createInterface } = await import('node:readline');
  const { Writable } = await import('node:stream');
  // What readline would show of the line goes nowhere.
  const nowhere = new Writable({ write: (_piece, _coding, done) => done() });
  const line = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  process.stderr.write(prompt);
  try {
    return await new Promise((resolve, reject) => {
      line.once('line', resolve);
      line.once('SIGINT', () => reject(new CommandFailure('Broken off')));
      line.once('close', () => resolve(''));
    });
  } finally {
    line.close();
    process.stderr.write('\n');
  }
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
