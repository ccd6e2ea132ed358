/**
 * A new process takes over from the one that runs: it binds beside it, and tells
 * it to go once it serves. The old one then leaves its admin address at once,
 * finishes what runs, and ends.
 */
import { get } from 'node:http';
import { portOwner } from './port-owner.ts';
import { StartFailure } from './start-failure.ts';

/** An admin API of ours answers in a few milliseconds, or something else listens there. */
const ANSWER_MS_MAX = 2_000;
const ANSWER_BYTES_MAX = 64 * 1024;

/**
 * The process whose admin API answers there; undefined when nobody listens.
 *
 * @throws {StartFailure} when somebody does who is no Fourways, or whose process cannot be told
 */
export async function findOld(host: string, port: number): Promise<number | undefined> {
  const text = await versionText(host, port);
  if (text === undefined) return undefined;
  const pid = pidIn(text);
  const owner = portOwner(port);
  // What an answer claims is not enough to send a signal to a process: where it can be looked up, it must agree.
  if (pid === undefined || (owner !== undefined && owner.pid !== pid)) {
    throw new StartFailure(
      `Cannot take over: who listens on ${host}:${port} is not a Fourways that runs beside this one`,
    );
  }
  return pid;
}

function versionText(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path: '/version', agent: false, timeout: ANSWER_MS_MAX }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        text += part;
        if (text.length > ANSWER_BYTES_MAX) request.destroy(new Error('the answer is too long'));
      });
      answer.on('end', () => resolve(text));
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve(undefined);
      else
        reject(new StartFailure(`Cannot take over: ${host}:${port} does not answer as an admin API: ${error.message}`));
    });
  });
}

function pidIn(text: string): number | undefined {
  try {
    const { version, pid } = JSON.parse(text) as { version?: unknown; pid?: unknown };
    if (typeof version === 'string' && typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 1) return pid;
  } catch {
    // Not JSON: not ours.
  }
  return undefined;
}
