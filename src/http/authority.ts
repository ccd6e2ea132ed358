import { isIPv6 } from 'node:net';

/** Longest authority: a DNS name of 253 characters with its trailing dot, and a port. Beyond: refused. */
const AUTHORITY_CHARS_MAX = 260;

/** Longest host, without trailing dot (RFC 1035 section 2.3.4, as text). Beyond: refused. */
const HOST_CHARS_MAX = 253;

/** A host and port that a client named. */
export interface Authority {
  /** Lower case, without trailing dot; IPv6 addresses in their brackets. */
  readonly host: string;
  /** 1 to 65535; undefined when none was named. */
  readonly port: number | undefined;
}

// What a byte of a host is; 0 for what cannot be in one.
const NAME = 1;
const UPPER = 2;
const DOT = 3;
const COLON = 4;

const KINDS = kindsOfBytes();

function kindsOfBytes(): Uint8Array {
  const kinds = new Uint8Array(128);
  for (const c of 'abcdefghijklmnopqrstuvwxyz0123456789-_~') kinds[c.charCodeAt(0)] = NAME;
  kinds.fill(UPPER, 0x41, 0x5b);
  kinds[0x2e] = DOT;
  kinds[0x3a] = COLON;
  return kinds;
}

/**
 * Reads the value of a Host field, or the authority of an absolute target.
 *
 * Narrower than RFC 3986 section 3.2.2 on purpose: escapes and the signs
 * `!$&'()*+,;=`, which no host name needs and which servers read in different
 * ways, are refused, as are user names, empty labels and IPv6 zones.
 *
 * @returns undefined for anything that is not one host with at most one port
 */
export function parseAuthority(value: string): Authority | undefined {
  if (value.length > AUTHORITY_CHARS_MAX) return undefined;
  if (value.charCodeAt(0) === 0x5b) return parseBracketed(value);
  let end = value.length;
  let isLower = true;
  let labelStart = 0;
  for (let i = 0; i < value.length; i++) {
    const kind = KINDS[value.charCodeAt(i)];
    if (kind === NAME) continue;
    if (kind === UPPER) isLower = false;
    else if (kind === DOT) {
      if (i === labelStart) return undefined;
      labelStart = i + 1;
    } else if (kind === COLON) {
      end = i;
      break;
    } else return undefined;
  }
  const port = portOf(value, end);
  const hostEnd = end > 0 && labelStart === end ? end - 1 : end;
  if (port === 'bad' || hostEnd === 0 || hostEnd > HOST_CHARS_MAX) return undefined;
  const host = hostEnd === value.length ? value : value.slice(0, hostEnd);
  return { host: isLower ? host : host.toLowerCase(), port };
}

/** `[IPv6]` with or without a port. */
function parseBracketed(value: string): Authority | undefined {
  const close = value.indexOf(']');
  const address = value.slice(1, Math.max(1, close));
  if (!isIPv6(address) || address.includes('%')) return undefined;
  const port = portOf(value, close + 1);
  return port === 'bad' ? undefined : { host: value.slice(0, close + 1).toLowerCase(), port };
}

/** The port behind a host that ends at `at`: `:80`. RFC 3986 section 3.2.3 allows it to be empty. */
function portOf(value: string, at: number): number | undefined | 'bad' {
  if (at === value.length) return undefined;
  if (value.charCodeAt(at) !== 0x3a || value.length > at + 6) return 'bad';
  let port = 0;
  for (let i = at + 1; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return 'bad';
    // A zero in front would be octal to some.
    if (digit === 0 && port === 0) return 'bad';
    port = port * 10 + digit;
  }
  if (at + 1 === value.length) return undefined;
  return port <= 65_535 ? port : 'bad';
}
