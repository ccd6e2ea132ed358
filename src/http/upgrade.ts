/**
 * Which protocols a client may switch to (RFC 9110 section 7.8). What carries HTTP again is never asked for: requests in
 * such a tunnel would pass everything that is decided here, request by request.
 */

/** `h2c` (deprecated by RFC 9113 section 3.1), `HTTP/2.0`, and `TLS/1.0` (RFC 2817), which has HTTP inside. */
const CARRIES_HTTP: ReadonlySet<string> = new Set(['h2c', 'h2', 'h3', 'http', 'tls']);

/** A name, with or without version. */
const PROTOCOL = /^[!#$%&'*+.^_`|~0-9a-z-]+(?:\/[!#$%&'*+.^_`|~0-9a-z-]+)?$/;

/** Whether a protocol, in lower case, may be asked for. */
export function isTunnel(protocol: string): boolean {
  return PROTOCOL.test(protocol) && !CARRIES_HTTP.has(protocol.split('/', 1)[0]!);
}

/** What is left of `Upgrade`, a list in lower case; undefined for nothing. To offer is to be free to be ignored. */
export function tunnelsOf(upgrade: string): string | undefined {
  if (isTunnel(upgrade)) return upgrade;
  const left = upgrade
    .split(',')
    .map((protocol) => protocol.trim())
    .filter(isTunnel);
  return left.length === 0 ? undefined : left.join(', ');
}
