/** One document by HTTP, within a time and a length, without following redirects. */
import type { Env } from '../../filter/env.ts';
import type { Fetched } from './remote-keys.ts';

interface Wanted {
  readonly url: string;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

/** Never rejects: in words why there is none. */
export async function fetchBounded(env: Env, { url, timeoutMs, bytesMax }: Wanted): Promise<Fetched | string> {
  const abort = new AbortController();
  const stop = env.after(timeoutMs, () => abort.abort());
  try {
    const answer = await env.fetch(url, {
      headers: { accept: 'application/jwk-set+json, application/json' },
      redirect: 'error',
      signal: abort.signal,
    });
    const text = answer.status === 200 ? await readBounded(answer, bytesMax) : undefined;
    if (text === undefined) {
      abort.abort();
      return answer.status === 200 ? `its answer is longer than ${bytesMax} bytes` : `it answered ${answer.status}`;
    }
    const ageS = Number(answer.headers.get('age') ?? 0) || 0;
    return { text, cacheControl: answer.headers.get('cache-control') ?? '', ageS };
  } catch (error) {
    if (abort.signal.aborted) return `no answer in ${timeoutMs} ms`;
    const { cause, message } = error as Error;
    return cause instanceof Error ? cause.message : message;
  } finally {
    stop();
  }
}

/** Undefined when it is longer. */
async function readBounded(answer: Response, bytesMax: number): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer.body ?? []) {
    bytes += piece.length;
    if (bytes > bytesMax) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
