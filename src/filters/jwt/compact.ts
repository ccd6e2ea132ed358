/** Tokens as they come: three parts of base64url with dots between (RFC 7515 section 7.1). Nothing here is believed yet. */
import { type JsonObject, parseStrictObject } from './strict-json.ts';

export interface CompactToken {
  readonly header: JsonObject;
  readonly claims: JsonObject;
}

/** Header and claims, or in words what is wrong. The signature is not looked at, only its form. */
export function readCompact(token: string): CompactToken | string {
  const parts = token.split('.');
  if (parts.length === 5) return 'it is encrypted';
  if (parts.length !== 3) return 'it does not have three parts';
  const [header, claims] = [readPart(parts[0]!), readPart(parts[1]!)];
  if (header === undefined) return 'its header is not a JSON object in base64url, or names a member twice';
  if (claims === undefined) return 'its claims are not a JSON object in base64url, or name a member twice';
  if (bytesOf(parts[2]!) === undefined) return 'its signature is not base64url';
  return { header, claims };
}

function readPart(part: string): JsonObject | undefined {
  const bytes = bytesOf(part);
  if (bytes === undefined) return undefined;
  try {
    return parseStrictObject(UTF8.decode(bytes));
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Only the one spelling of these bytes: no padding, no other alphabet, no bits left over (RFC 7515 section 2). */
function bytesOf(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.length > 0 && bytes.toString('base64url') === part ? bytes : undefined;
}
