/**
 * Targets of requests to a forward proxy: absolute form, or the authority that CONNECT names.
 *
 * @see RFC 9112 section 3.2.2 and 3.2.3, RFC 9110 section 9.3.6
 */
import { Fault } from '../base/fault.ts';
import { type Authority, parseAuthority } from './authority.ts';
import type { RequestHead } from './message.ts';
import { type TargetFacts, TargetReader } from './target-reader.ts';

export class ProxyTargetReader extends TargetReader {
  override read(head: TargetFacts, request: RequestHead): Fault | undefined {
    if (head.method === 'CONNECT') return readConnect(head, request);
    if (!/^http:\/\//i.test(head.target)) return new Fault('request.not-proxied', notProxied(head.target));
    return super.read(head, request);
  }
}

function notProxied(target: string): string {
  if (/^https:/i.test(target)) return 'Target of scheme https: TLS goes through CONNECT, from end to end';
  return 'Target is not in absolute form, as requests to a forward proxy are';
}

function readConnect({ target, host, contentLength, chunked }: TargetFacts, request: RequestHead): Fault | undefined {
  request.method = 'CONNECT';
  request.path = '';
  request.query = '';
  request.authority = target;
  const named = parseAuthority(target);
  if (named?.port === undefined) return new Fault('request.malformed', 'CONNECT does not name one host and its port');
  request.host = named.host;
  // It has no content; whoever sees one there takes for a body what others take for the tunnel.
  if (chunked === true || (contentLength ?? 0) > 0) {
    return new Fault('request.ambiguous-length', 'CONNECT with a length or a transfer coding');
  }
  return host === undefined || isSame(parseAuthority(host), named)
    ? undefined
    : new Fault('request.host-invalid', 'Host and the target of CONNECT are not the same');
}

/** Some clients leave the port out of Host. */
function isSame(host: Authority | undefined, named: Authority): boolean {
  return host !== undefined && host.host === named.host && (host.port ?? named.port) === named.port;
}

/**
 * What listeners of a forward proxy are named by: `orders.shop:80`, `[::1]:80` in the form of RFC 5952. Undefined for an
 * authority that is none.
 */
export function serviceNameOf(authority: string, defaultPort: number): string | undefined {
  const parsed = parseAuthority(authority);
  if (parsed === undefined || parsed.host === '') return undefined;
  const { host, port = defaultPort } = parsed;
  return `${host.startsWith('[') ? new URL(`http://${host}`).hostname : host}:${port}`;
}
