import { normalized } from './password.ts';
import { isUserName } from './users.ts';

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/**
 * RFC 4648 section 4, whole, with its padding, and with zeros behind the last byte (section 3.5): what decoders skip or
 * add, two of them might decide differently.
 */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * User name and password of what stands behind `Basic` (RFC 7617 section 2). The
 * first colon ends the name, so that a password may hold some. Undefined when it
 * is not of this form.
 */
export function credentialsOf(token: string): Credentials | undefined {
  if (!BASE64.test(token)) return undefined;
  let pair: string;
  try {
    pair = UTF8.decode(Buffer.from(token, 'base64'));
  } catch {
    return undefined;
  }
  const colon = pair.indexOf(':');
  const name = pair.slice(0, Math.max(colon, 0));
  const password = pair.slice(colon + 1);
  if (!isUserName(name) || !isPassword(password)) return undefined;
  return { name: normalized(name), password: normalized(password) };
}

/** RFC 7617 section 2: no control characters. */
export function isPassword(text: string): boolean {
  return !/[\u0000-\u001f\u007f-\u009f]/.test(text);
}
