/**
 * Reads the target of a request and whom it is for.
 *
 * @see RFC 9112 section 3.2, the four forms of a request target
 */
import { Fault } from '../base/fault.ts';
import { parseAuthority } from './authority.ts';
import type { RequestHead } from './message.ts';

/** What a head says of its target. */
export interface TargetFacts {
  readonly minorVersion: 0 | 1;
  readonly method: string;
  readonly target: string;
  readonly host: string | undefined;
  /** Of its body; -1 or absent when it says none. */
  readonly contentLength?: number;
  readonly chunked?: boolean;
}

/** One for each connection: requests on it mostly name the same host, which is then read once. */
export class TargetReader {
  #lastAuthority = '';
  #lastHost = '';

  /** Fills method, authority, host, path and query of `request`; the path is not normalised yet. */
  read(head: TargetFacts, request: RequestHead): Fault | undefined {
    const { method, target } = head;
    request.method = method;
    let authority = head.host;
    let from = 0;
    if (method === 'CONNECT') return new Fault('request.connect-refused', 'CONNECT is not routed');
    if (target.charCodeAt(0) !== SLASH) {
      if (target === '*') {
        if (method !== 'OPTIONS') return new Fault('request.malformed', 'Asterisk target without OPTIONS');
      } else {
        const absolute = /^https?:\/\/([^/?#]*)/i.exec(target);
        if (absolute === null) return new Fault('request.malformed', 'Request target has no known form');
        // The host of the target counts and Host is ignored (RFC 9112 section 3.2.2), but it must still be valid.
        if (authority !== undefined && parseAuthority(authority) === undefined) return invalidHost();
        authority = absolute[1]!;
        from = absolute[0].length;
      }
    }
    const fault = this.#readAuthority(authority ?? '', head, request);
    if (fault !== undefined) return fault;
    if (target.includes('#', from)) return new Fault('request.malformed', 'Request target has a fragment');
    splitTarget(target, from, request);
    return undefined;
  }

  #readAuthority(authority: string, head: TargetFacts, request: RequestHead): Fault | undefined {
    request.authority = authority;
    if (authority === '') {
      request.host = '';
      return head.minorVersion === 0 ? undefined : invalidHost();
    }
    if (authority !== this.#lastAuthority) {
      const parsed = parseAuthority(authority);
      if (parsed === undefined) return invalidHost();
      this.#lastAuthority = authority;
      this.#lastHost = parsed.host;
    }
    request.host = this.#lastHost;
    return undefined;
  }
}

const SLASH = 0x2f;

function splitTarget(target: string, from: number, request: RequestHead): void {
  const mark = target.indexOf('?', from);
  const path = mark < 0 ? target.slice(from) : target.slice(from, mark);
  request.path = path === '' ? '/' : path;
  request.query = mark < 0 ? '' : target.slice(mark);
}

function invalidHost(): Fault {
  return new Fault('request.host-invalid', 'Host header is not valid');
}
