/** Where the keys of an issuer come from, and how they are kept fresh while requests go on. */
import type { Env, LoweredBackend, LoweredFile, LoweredSecret, Upstream } from '../../filter/env.ts';
import { Headers } from '../../http/headers.ts';
import { parseDuration } from '../../base/duration.ts';
import { check as checkSchema } from '../../schema/schema.ts';
import { type Issuer, Jwks, PUBLIC_ALGORITHMS } from './config.ts';
import { fetchDiscovered } from './discovery.ts';
import { fetchBounded } from './fetch-bounded.ts';
import { type Fetched, RemoteKeys, type RemoteTimes } from './remote-keys.ts';
import { type KeySet, readKeySet, replaceKeys, secretKeyOf, type VerifyKey } from './verify-key.ts';

/** @throws {Error} when keys that should be at hand are not: the plan is refused */
export function makeKeySet(issuer: Issuer, env: Env): KeySet {
  const { secretKeys } = issuer;
  if (secretKeys !== undefined) {
    const algorithms = issuer.algorithms ?? ['HS256'];
    return fixedKeys(
      secretKeys.map(({ secret, encoding, kid }) =>
        secretKeyOf(secretBytes(env.secret(secret), encoding), kid, algorithms),
      ),
    );
  }
  const jwks = issuer.jwks ?? checkSchema(Jwks, {}).value!;
  // Not those of secrets, whatever the set holds: what is public must never be a secret (RFC 8725 section 2.1).
  const algorithms = (issuer.algorithms ?? PUBLIC_ALGORITHMS).filter((one) =>
    (PUBLIC_ALGORITHMS as readonly string[]).includes(one),
  );
  if (jwks.inline !== undefined) return fixedKeys(readOrThrow(JSON.stringify(jwks.inline), algorithms, 'jwks.inline'));
  if (jwks.secret !== undefined) {
    return fixedKeys(readOrThrow(env.secret(jwks.secret as LoweredSecret), algorithms, 'The Secret of jwks.secret'));
  }
  if (jwks.file !== undefined) return fileKeys(jwks.file as LoweredFile, algorithms, env);
  return remoteKeys({ issuer: issuer.issuer, jwks, algorithms }, env);
}

/** Text keys are their UTF-8 bytes; line ends at their end are the file's. */
function secretBytes(text: string, encoding: 'text' | 'base64' | 'base64url' | 'hex'): Buffer {
  const bytes = encoding === 'text' ? Buffer.from(text.replace(/\r?\n$/, '')) : Buffer.from(text.trim(), encoding);
  // RFC 7518 section 3.2 wants as many bits as the hash has; shorter ones can be guessed from one token.
  if (bytes.length < 32) throw new Error(`A key of secretKeys has ${bytes.length} bytes, and needs 32 at least`);
  return bytes;
}

function readOrThrow(text: string, algorithms: readonly string[], what: string): readonly VerifyKey[] {
  const keys = readKeySet(text, algorithms);
  if (typeof keys === 'string') throw new Error(`${what} is no usable key set: ${keys}`);
  return keys;
}

function fixedKeys(keys: readonly VerifyKey[]): KeySet {
  return { keys: () => keys, waitForKeys: () => undefined, askAgain: () => undefined, close: () => undefined };
}

/** Read again when it changes; a file that is not good changes nothing. While it was never good there are no keys. */
function fileKeys(file: LoweredFile, algorithms: readonly string[], env: Env): KeySet {
  let keys: readonly VerifyKey[] | undefined;
  const read = (): void => {
    try {
      keys = replaceKeys(keys ?? [], readOrThrow(env.readFile(file).toString(), algorithms, `"${file.file}"`));
    } catch (error) {
      const meanwhile =
        keys === undefined ? 'its tokens are refused until the file is right' : 'those of before are used';
      env.warn(`Cannot read the keys of an issuer, ${meanwhile}: ${(error as Error).message}`);
    }
  };
  const stop = env.watchFile(file, read);
  read();
  return { ...fixedKeys([]), keys: () => keys, close: stop };
}

interface Remote {
  readonly issuer: string;
  readonly jwks: Jwks;
  readonly algorithms: readonly string[];
}

function remoteKeys({ issuer, jwks, algorithms }: Remote, env: Env): KeySet {
  const times = Object.fromEntries(
    (['refresh', 'refreshMin', 'refreshMax', 'unknownKidWait', 'staleMax', 'timeout'] as const).map((name) => [
      `${name}Ms`,
      parseDuration(jwks[name])!,
    ]),
  ) as unknown as RemoteTimes;
  const { uri, bytesMax } = jwks;
  const backend = jwks.backendRef as LoweredBackend | undefined;
  const { timeoutMs } = times;
  if (backend !== undefined) {
    const name = `${backend.cluster} ${jwks.path}`;
    const asked = { backend, path: jwks.path, timeoutMs, bytesMax };
    return RemoteKeys.join(env, { name, times, algorithms, fetch: (lent) => askBackend(lent, asked) });
  }
  if (uri !== undefined) {
    const wanted = { url: uri, timeoutMs, bytesMax };
    return RemoteKeys.join(env, { name: uri, times, algorithms, fetch: (lent) => fetchBounded(lent, wanted) });
  }
  const name = `keys that ${issuer} names`;
  const wanted = { issuer, timeoutMs, bytesMax };
  return RemoteKeys.join(env, { name, times, algorithms, fetch: (lent) => fetchDiscovered(lent, wanted) });
}

interface Asked {
  readonly backend: LoweredBackend;
  readonly path: string;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

/** Never rejects. */
async function askBackend(env: Env, { backend, path, timeoutMs, bytesMax }: Asked): Promise<Fetched | string> {
  let upstream: Upstream;
  try {
    upstream = env.upstream(backend);
  } catch (error) {
    return (error as Error).message;
  }
  const answer = await upstream.ask({
    method: 'GET',
    target: path,
    headers: Headers.of([['accept', 'application/jwk-set+json, application/json']]),
    timeoutMs,
    answerBytesMax: bytesMax,
  });
  if (!('status' in answer)) return answer.detail;
  if (answer.status !== 200) return `it answered ${answer.status}`;
  const { headers, body } = answer;
  return {
    text: body.toString(),
    cacheControl: headers.combined('cache-control') ?? '',
    ageS: Number(headers.get('age') ?? 0) || 0,
  };
}
