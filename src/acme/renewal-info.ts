/**
 * When an authority suggests that a certificate be renewed (ARI, RFC 9773). It is asked
 * without an account and without the library, which is loaded with an order only.
 */
import { X509Certificate } from 'node:crypto';
import { get } from 'node:https';
import type { Clock } from '../base/clock.ts';
import type { IssuerTerms } from '../compile/issuer.ts';
import { readRetryAfter } from './retry-after.ts';

export interface Suggestion {
  readonly startMs: number;
  readonly endMs: number;
}

export interface Answer {
  /** Undefined: the authority suggests nothing. */
  readonly suggestion: Suggestion | undefined;
  /** When to ask again. */
  readonly askAgainMs: number;
}

/** RFC 9773 section 4.3.2: between a minute and a day; six hours where the server does not say. */
const ASK_MS = 6 * 3_600_000;
const ASK_MS_MIN = 60_000;
const ASK_MS_MAX = 24 * 3_600_000;

const ANSWER_BYTES_MAX = 64 * 1024;
const ANSWER_MS_MAX = 30_000;

/** Never rejects: an authority that does not answer is one that suggests nothing. */
export async function askRenewalInfo(
  { directory, cas }: Pick<IssuerTerms, 'directory' | 'cas'>,
  certificatePem: string,
  { userAgent, clock }: { readonly userAgent: string; readonly clock: Clock },
): Promise<Answer> {
  const nothing: Answer = { suggestion: undefined, askAgainMs: ASK_MS };
  try {
    const id = certificateId(certificatePem);
    if (id === undefined) return nothing;
    const how = { cas, userAgent, clock };
    const { renewalInfo } = (await getJson(directory, how)).body as { renewalInfo?: unknown };
    if (typeof renewalInfo !== 'string' || !renewalInfo.startsWith('https://')) return nothing;
    // Some servers end it with the slash that is to come (RFC 9773 section 4.1).
    const { body, retryAfter } = await getJson(`${renewalInfo.replace(/\/$/, '')}/${id}`, how);
    const waitMs = readRetryAfter(retryAfter, clock.wallMs()) ?? ASK_MS;
    return { suggestion: suggestionIn(body), askAgainMs: Math.min(Math.max(waitMs, ASK_MS_MIN), ASK_MS_MAX) };
  } catch {
    return nothing;
  }
}

/** RFC 9773 section 4.2. A window that ends before it starts means nothing. */
function suggestionIn(body: unknown): Suggestion | undefined {
  const { suggestedWindow } = body as { suggestedWindow?: { start?: unknown; end?: unknown } };
  const startMs = Date.parse(String(suggestedWindow?.start));
  const endMs = Date.parse(String(suggestedWindow?.end));
  return startMs <= endMs ? { startMs, endMs } : undefined;
}

/** RFC 9773 section 4.1: the key of the issuer and the serial number, as DER has them. */
export function certificateId(certificatePem: string): string | undefined {
  const { raw, serialNumber } = new X509Certificate(certificatePem);
  const keyId = authorityKeyId(raw);
  return keyId === undefined ? undefined : idOf(keyId, serialNumber);
}

export function idOf(keyId: Uint8Array, serialHex: string): string {
  const even = serialHex.length % 2 === 0 ? serialHex : `0${serialHex}`;
  // A number whose first bit is set is negative in DER, so it has a zero in front.
  const serial = Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even;
  return `${Buffer.from(keyId).toString('base64url')}.${Buffer.from(serial, 'hex').toString('base64url')}`;
}

/** Object identifier 2.5.29.35 (RFC 5280 section 4.2.1.1). */
const AUTHORITY_KEY_ID = Buffer.from('0603551d23', 'hex');

/** Node does not give this extension away: `OCTET STRING { SEQUENCE { [0] keyIdentifier … } }`, all of them short. */
function authorityKeyId(der: Buffer): Buffer | undefined {
  const at = der.indexOf(AUTHORITY_KEY_ID);
  if (at < 0) return undefined;
  const [octets, , sequence, , tag, length = 0] = der.subarray(at + AUTHORITY_KEY_ID.length);
  if (octets !== 0x04 || sequence !== 0x30 || tag !== 0x80 || length > 0x7f) return undefined;
  const start = at + AUTHORITY_KEY_ID.length + 6;
  return der.subarray(start, start + length);
}

interface How {
  readonly cas: readonly string[];
  /** Servers refuse who does not say what they are (RFC 8555 section 6.1). */
  readonly userAgent: string;
  readonly clock: Clock;
}

/** One answer, whole and in time: a server that sends it drop by drop would keep all others from being asked. */
async function getJson(
  url: string,
  { cas, userAgent, clock }: How,
): Promise<{ readonly body: unknown; readonly retryAfter: unknown }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ body: unknown; retryAfter: unknown }>();
  const trust = cas.length > 0 ? { ca: [...cas] } : {};
  const call = get(url, { ...trust, headers: { 'user-agent': userAgent }, agent: false }, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.length > ANSWER_BYTES_MAX) call.destroy(new Error('The answer is too long'));
    });
    // What is cut short is an error of the answer, not of the call.
    answer.on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode !== 200) return reject(new Error(`Status ${answer.statusCode}`));
      try {
        resolve({ body: JSON.parse(text), retryAfter: answer.headers['retry-after'] });
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
  call.on('error', reject);
  const cancel = clock.after(ANSWER_MS_MAX, () => call.destroy(new Error('No answer in time')));
  return promise.finally(cancel);
}
