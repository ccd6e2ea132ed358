/** An answer that goes on, read line by line. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Followed } from '../cli/command.ts';

/** Without a line for so long the other end is gone: it says now and then that it is there. */
const IDLE_MS_MAX = 30_000;

/** The longest line is an answer of one proxy. */
const LINE_CHARS_MAX = 4 * 1024 * 1024;

const BREAKS = ['SIGINT', 'SIGTERM'] as const;

export function follow(
  url: string,
  take: (line: string) => 'more' | 'enough',
  signal?: AbortSignal,
): Promise<Followed> {
  const { promise, resolve, reject } = Promise.withResolvers<Followed>();
  let status = 0;
  let body = '';
  const over = (how: Followed['how']): void => {
    for (const name of BREAKS) process.off(name, interrupt);
    resolve({ status, body, how });
    // Not politely: the other end is to stop at once, whatever it is about to send.
    if (how !== 'ended') request.socket?.resetAndDestroy();
    request.destroy();
  };
  const interrupt = (): void => over('interrupted');
  for (const name of BREAKS) process.once(name, interrupt);
  signal?.addEventListener('abort', () => over('enough'), { once: true });
  const request = httpRequest(url, { agent: false, timeout: IDLE_MS_MAX });
  request.on('response', (answer: IncomingMessage) => {
    status = answer.statusCode ?? 0;
    answer.setEncoding('utf8');
    answer.on('data', (text: string) => {
      body += text;
      if (status !== 200) return;
      const lines = body.split('\n');
      body = lines.pop()!;
      if (lines.some((line) => take(line) === 'enough')) over('enough');
      else if (body.length > LINE_CHARS_MAX) over('ended');
    });
    answer.on('end', () => over('ended'));
    // It was cut: what has come is all there is.
    answer.on('error', () => over('ended'));
  });
  request.on('timeout', () => request.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
  request.on('error', (error) => {
    for (const name of BREAKS) process.off(name, interrupt);
    reject(error);
  });
  request.end();
  return promise;
}
