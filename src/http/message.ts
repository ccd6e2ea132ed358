/**
 * One message, whatever wire it came by. Nothing outside `http/` knows whether
 * it was HTTP/1.1 or HTTP/2.
 */
import { Headers } from './headers.ts';

export interface RequestHead {
  /** As received; methods are case-sensitive (RFC 9110 section 9.1). */
  method: string;
  scheme: 'http' | 'https';
  /** Host as the client named it, with its port if it named one; what is sent upstream as Host. Filters may change it. */
  authority: string;
  /** `authority` in lower case without port, trailing dot removed. What routing compares. Not changed by filters. */
  host: string;
  /** Path after normalisation, starting with `/`, percent-encoding kept, no query. Filters may change it. */
  path: string;
  /** Query with its `?`, or the empty string. Filters may change it. */
  query: string;
  readonly headers: Headers;
  /** Bytes of body: 0 for none, -1 when not known beforehand. */
  bodyLength: number;
  /** Protocol named in `Upgrade`, lower case, when the client asks to switch (RFC 9110 section 7.8). */
  upgrade: string | undefined;
  /** The client waits for 100 before it sends its body. */
  expectContinue: boolean;
}

/** For a codec that fills one object again and again. */
export function emptyRequest(scheme: RequestHead['scheme']): RequestHead {
  return {
    method: '',
    scheme,
    authority: '',
    host: '',
    path: '',
    query: '',
    headers: new Headers(),
    bodyLength: 0,
    upgrade: undefined,
    expectContinue: false,
  };
}

/** Of a head that was not understood: it says nothing; above all not what the one before it said. */
export function clearRequest(request: RequestHead): void {
  request.headers.reset('');
  request.authority = '';
  request.host = '';
  request.path = '';
  request.query = '';
  request.upgrade = undefined;
}

export interface ResponseHead {
  status: number;
  /** Reason phrase as received; empty when there was none. Has no meaning (RFC 9112 section 4). */
  reason: string;
  readonly headers: Headers;
  /** Bytes of body: 0 for none, -1 when not known beforehand. */
  bodyLength: number;
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']);

/** RFC 9110 section 9.2.2: sending it twice does no more than sending it once. */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}
