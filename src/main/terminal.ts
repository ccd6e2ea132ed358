/** The world that commands see: this process, its terminal and its network. */
import { readFile } from 'node:fs/promises';
import { systemClock } from '../base/clock.ts';
import type { HttpAnswer, Io, Programs } from '../cli/command.ts';

/** Longest wait for an answer of an admin API. */
const GET_MS_MAX = 5_000;

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
    get,
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

async function get(url: string): Promise<HttpAnswer> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(GET_MS_MAX) });
    return { status: answer.status, body: await answer.text() };
  } catch (error) {
    // fetch wraps what the system said; a timeout of ours has no code.
    if (error instanceof Error && error.cause instanceof Error) throw error.cause;
    if (error instanceof Error && error.name === 'TimeoutError') {
      throw Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' });
    }
    throw error;
  }
}
