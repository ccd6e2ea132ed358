/** The world that commands see: this process, its terminal and its network. */
import { readFile } from 'node:fs/promises';
import type { Io, Programs } from '../cli/command.ts';

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
    async get(url) {
      const answer = await fetch(url, { signal: AbortSignal.timeout(GET_MS_MAX) });
      return { status: answer.status, body: await answer.text() };
    },
    cwd: process.cwd(),
    isTerminal,
    // https://no-color.org: set and not empty means no colours.
    colour: isTerminal && (noColour === undefined || noColour === '') && terminal !== 'dumb',
    nodeVersion: process.version,
    programs,
  };
}
