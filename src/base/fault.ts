/**
 * Fault: the one error type of the data plane.
 *
 * A fault says what failed (`code`), who is to blame (`blame`), whether a new
 * attempt may succeed (`retry`), and what to write in the log (`detail`). What
 * the client sees is decided in one place, {@link answerFor}, never where the
 * fault is raised. Faults are returned, not thrown.
 */

/** Who has to act. Decides blame in logs and metrics, retry budget and outlier ejection. */
export type Blame = 'client' | 'policy' | 'gateway' | 'dependency' | 'upstream';

/** When a second attempt is allowed. `reused` means only if the connection came from the pool. */
export type Retry = 'never' | 'reused' | 'always';

export interface FaultRow {
  readonly blame: Blame;
  readonly retry: Retry;
  /** HTTP status of our answer; 0 when no answer can be given any more. */
  readonly status: number;
  /** gRPC status: 1 cancelled, 3 argument, 4 deadline, 8 exhausted, 12 unimplemented, 13 internal, 14 unavailable. */
  readonly grpc: number;
  /** Short text for the client: RFC 9457 `title`. */
  readonly title: string;
  /** What the operator should look at. Printed in docs/reference/faults.md. */
  readonly advice: string;
}

// One row per code. Adding a code without a column is a type error; docs/reference/faults.md is printed from here.
const FAULTS = {
  'request.malformed': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 13,
    title: 'The request is not valid HTTP',
    advice: 'The request breaks RFC 9110 or RFC 9112. The log names the rule. Look at the client library.',
  },
  'request.ambiguous-length': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 13,
    title: 'The length of the request body is ambiguous',
    advice:
      'Two parsers could read this message differently (request smuggling). Look at the client or a proxy before.',
  },
  'request.host-invalid': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 13,
    title: 'The Host header is missing, repeated or not valid',
    advice: 'HTTP/1.1 needs exactly one valid Host header (RFC 9112 section 3.2).',
  },
  'request.path-invalid': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 13,
    title: 'The path of the request is not accepted',
    advice: 'The path policy of the listener refuses this path. See the guide on path normalisation.',
  },
  'request.line-too-long': {
    blame: 'client',
    retry: 'never',
    status: 414,
    grpc: 13,
    title: 'The request target is too long',
    advice: 'Raise limits.requestLineBytesMax of the listener if the client is right.',
  },
  'request.headers-too-large': {
    blame: 'client',
    retry: 'never',
    status: 431,
    grpc: 13,
    title: 'The request headers are too large',
    advice: 'Raise limits.headerBytesMax or limits.headersMax of the listener if the client is right.',
  },
  'request.body-too-large': {
    blame: 'client',
    retry: 'never',
    status: 413,
    grpc: 8,
    title: 'The request body is too large',
    advice: 'Raise limits.bodyBytesMax of the listener if the client is right.',
  },
  'request.timeout': {
    blame: 'client',
    retry: 'never',
    status: 408,
    grpc: 4,
    title: 'The request took too long to arrive',
    advice: 'The client sent its head or body too slowly: timeouts.head or timeouts.bodyIdle of the listener.',
  },
  'request.version-unsupported': {
    blame: 'client',
    retry: 'never',
    status: 505,
    grpc: 13,
    title: 'The HTTP version is not supported',
    advice: 'Only HTTP/1.0 and HTTP/1.1 are spoken on this connection.',
  },
  'request.coding-unsupported': {
    blame: 'client',
    retry: 'never',
    status: 501,
    grpc: 12,
    title: 'The transfer coding is not supported',
    advice: 'Only "chunked" is accepted as a transfer coding (RFC 9112 section 6.1).',
  },
  'request.expectation-failed': {
    blame: 'client',
    retry: 'never',
    status: 417,
    grpc: 13,
    title: 'The expectation cannot be met',
    advice: 'Only "Expect: 100-continue" is known (RFC 9110 section 10.1.1).',
  },
  'request.websocket-invalid': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 13,
    title: 'The WebSocket handshake is not valid',
    advice:
      'The handshake breaks RFC 6455 section 4.2.1. The log names the rule. Look at the client or a proxy before.',
  },
  'request.websocket-version': {
    blame: 'client',
    retry: 'never',
    status: 426,
    grpc: 12,
    title: 'The WebSocket version is not supported',
    advice: 'Only version 13 is spoken (RFC 6455). The answer says so in Sec-WebSocket-Version.',
  },
  'request.connect-refused': {
    blame: 'client',
    retry: 'never',
    status: 405,
    grpc: 12,
    title: 'CONNECT is not offered here',
    advice: 'No route of this listener carries CONNECT.',
  },
  'request.misdirected': {
    blame: 'client',
    retry: 'never',
    status: 421,
    grpc: 14,
    title: 'The connection is not meant for this host',
    advice: 'The host belongs to another listener than the TLS server name. The client should open a new connection.',
  },
  'request.aborted': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 1,
    title: 'The client went away',
    advice: 'The client closed the connection before its answer was complete.',
  },
  'client-certificate.refused': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 13,
    title: 'The client certificate is missing or not valid',
    advice: 'The listener asks for a client certificate; the log says why this one was refused.',
  },
  'route.none': {
    blame: 'client',
    retry: 'never',
    status: 404,
    grpc: 12,
    title: 'No route matches',
    advice: 'Run "fourways explain METHOD URL" to see every candidate and why it lost.',
  },
  'request.not-proxied': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 13,
    title: 'This is a forward proxy',
    advice:
      'Requests to a forward-proxy port name their service in absolute form or by CONNECT: set HTTP_PROXY, do not call the port itself.',
  },
  'mesh.service-unknown': {
    blame: 'client',
    retry: 'never',
    status: 502,
    grpc: 14,
    title: 'No service of the mesh has this name',
    advice:
      'The name and port are those of no Service that this proxy knows. Look at its spelling, its port, and, for a short name, the namespace of the caller.',
  },
  'mesh.egress-denied': {
    blame: 'client',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'This host outside of the mesh may not be called',
    advice:
      'The host and its port are of no service, and no route of the egress gateway names them. Where they are to be called, attach a route with this host name to the Gateway in `egress` of the Mesh.',
  },
  'mesh.loop': {
    blame: 'gateway',
    retry: 'never',
    status: 508,
    grpc: 13,
    title: 'The request would come back to this proxy',
    advice:
      'An endpoint of the service is the forward-proxy port of this proxy itself. Look at the endpoints of the service.',
  },
  'grpc.expected': {
    blame: 'client',
    retry: 'never',
    status: 415,
    grpc: 12,
    title: 'Only gRPC is taken here',
    advice: 'The request met a GRPCRoute and is not of type application/grpc or application/grpc-web.',
  },
  'grpc.message-too-large': {
    blame: 'client',
    retry: 'never',
    status: 413,
    grpc: 8,
    title: 'A message of the call is too large',
    advice:
      'Raise grpc.requestMessageBytesMax or grpc.answerMessageBytesMax of the Policy on the GRPCRoute if the service is right.',
  },
  'grpc.malformed': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 13,
    title: 'The call is not valid gRPC',
    advice: 'A message begins with a flag that gRPC does not have. The log says on which side.',
  },
  'route.backend-invalid': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 14,
    title: 'The route has no valid backend',
    advice:
      'A backendRef is missing, forbidden or of an unknown kind. "fourways check" and the status of the route say which.',
  },
  'route.filter-invalid': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'The route has a filter that is not valid',
    advice: 'A filter of the rule could not be resolved; the rule answers 500 as Gateway API demands.',
  },
  'exchange.timeout': {
    blame: 'upstream',
    retry: 'never',
    status: 504,
    grpc: 4,
    title: 'The request did not finish in time',
    advice: 'timeouts.request of the route ran out.',
  },
  'upstream.no-endpoint': {
    blame: 'upstream',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'No endpoint is available',
    advice: 'The service has no ready endpoint, or its name does not resolve. See "fourways show plan".',
  },
  'upstream.connect-refused': {
    blame: 'upstream',
    retry: 'always',
    status: 503,
    grpc: 14,
    title: 'The upstream could not be reached',
    advice: 'The endpoint refused the connection or cannot be routed to.',
  },
  'upstream.connect-timeout': {
    blame: 'upstream',
    retry: 'always',
    status: 503,
    grpc: 14,
    title: 'The upstream could not be reached in time',
    advice: 'The endpoint did not accept a connection within connectTimeout of its BackendPolicy.',
  },
  'upstream.tls-failed': {
    blame: 'upstream',
    retry: 'always',
    status: 502,
    grpc: 14,
    title: 'The upstream could not be trusted',
    advice: 'The TLS handshake or the verification of the upstream certificate failed; the log says which.',
  },
  'upstream.identity-wrong': {
    blame: 'upstream',
    retry: 'always',
    status: 502,
    grpc: 14,
    title: 'The upstream is not the workload that it should be',
    advice:
      'The certificate of the endpoint is good and of another identity; the log says which, and which was expected. Look at the account of its Workload.',
  },
  'upstream.closed': {
    blame: 'upstream',
    retry: 'reused',
    status: 502,
    grpc: 14,
    title: 'The upstream closed the connection',
    advice: 'Often a keep-alive race: compare the idle timeout of the upstream with keepAlive of its BackendPolicy.',
  },
  'upstream.unprocessed': {
    blame: 'upstream',
    retry: 'always',
    status: 503,
    grpc: 14,
    title: 'The upstream gave the request back without processing it',
    advice: 'HTTP/2 REFUSED_STREAM or GOAWAY, again and again: the upstream is going away or refuses more streams.',
  },
  'upstream.reset': {
    blame: 'upstream',
    retry: 'reused',
    status: 502,
    grpc: 13,
    title: 'The upstream broke off its answer',
    advice: 'The upstream ended the stream with RST_STREAM (HTTP/2); the log names its error code.',
  },
  'upstream.websocket-unsupported': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 12,
    title: 'The upstream cannot carry a WebSocket',
    advice:
      'It speaks HTTP/2 and does not offer extended CONNECT (RFC 8441). Set protocol "http1" or "auto" in its BackendPolicy.',
  },
  'upstream.retries-exhausted': {
    blame: 'upstream',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'The upstream closed the connection in every attempt',
    advice:
      'All attempts that the retry policy of the route allows were lost. Look at the upstream: does it crash on this request?',
  },
  'upstream.malformed': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 13,
    title: 'The upstream answered with something that is not valid HTTP',
    advice: 'The log names the rule of RFC 9112 that the answer breaks.',
  },
  'upstream.headers-too-large': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 13,
    title: 'The upstream answered with headers that are too large',
    advice: 'Raise headerBytesMax of its BackendPolicy if the upstream is right.',
  },
  'upstream.timeout': {
    blame: 'upstream',
    retry: 'always',
    status: 504,
    grpc: 4,
    title: 'The upstream did not answer in time',
    advice: 'timeouts.backendRequest of the route, or idleTimeout of the BackendPolicy, ran out.',
  },
  'upstream.upgrade-unsupported': {
    blame: 'upstream',
    retry: 'never',
    status: 501,
    grpc: 12,
    title: 'The upstream cannot switch to the protocol that was asked for',
    advice: 'HTTP/2 carries WebSockets and no other upgrade. Set protocol "http1" or "auto" in the BackendPolicy.',
  },
  'upstream.overloaded': {
    blame: 'upstream',
    retry: 'never',
    status: 503,
    grpc: 8,
    title: 'Too many requests wait for the upstream',
    advice: 'connectionsMax and queueMax of the BackendPolicy are reached.',
  },
  'stream.no-route': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 14,
    title: 'No route takes the connection',
    advice: 'No TLSRoute, TCPRoute or UDPRoute is attached to the listener for this server name: "fourways explain".',
  },
  'stream.denied': {
    blame: 'policy',
    retry: 'never',
    status: 0,
    grpc: 7,
    title: 'The connection is not allowed',
    advice:
      'A rule of an authorize filter on the Service denies the workload that connects, or none allows it; the log says which.',
  },
  'proxy-protocol.refused': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 14,
    title: 'The PROXY protocol header was refused',
    advice:
      'The log names the rule. Only peers in proxyProtocol.trustedPeers of the listener may send one, and with mode "required" must.',
  },
  'tunnel.idle': {
    blame: 'policy',
    retry: 'never',
    status: 0,
    grpc: 4,
    title: 'The tunnel was silent for too long',
    advice:
      'tunnel.idle of a Policy on the route or the listener ran out: no byte went either way, or one side had ended.',
  },
  'tunnel.max': {
    blame: 'policy',
    retry: 'never',
    status: 0,
    grpc: 4,
    title: 'The tunnel was open for too long',
    advice: 'tunnel.max of a Policy on the route or the listener ran out.',
  },
  'authentication.missing': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'Credentials are needed',
    advice:
      'The request had no credentials of any method that the policies on its route ask for; WWW-Authenticate names them.',
  },
  'upstream.answer-too-large': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 8,
    title: 'The answer of the upstream is too large',
    advice: 'A filter has to read the whole answer and it is longer than the filter may hold: see its bound.',
  },
  'filter.failed': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'A filter failed',
    advice: 'The filter named in the log threw or timed out.',
  },
  'proxy.overloaded': {
    blame: 'gateway',
    retry: 'never',
    status: 503,
    grpc: 8,
    title: 'The gateway has too many connections',
    advice: 'limits.connectionsMax of the listener is reached.',
  },
  'proxy.draining': {
    blame: 'gateway',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'The gateway is shutting down',
    advice: 'The drain deadline passed while the request or the tunnel was running.',
  },
  'proxy.bug': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'The gateway failed',
    advice: 'A defect in Fourways. The log has a stack; please report it.',
  },
} as const satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof FAULTS;

export const FAULT_CODES = Object.keys(FAULTS) as readonly FaultCode[];

/** A row with its code. Those of the table above have a {@link FaultCode}; filters declare their own. */
export interface FaultKind extends FaultRow {
  readonly code: string;
}

/** Kinds of faults by code, from their rows. */
export function faultKinds<C extends string>(rows: Readonly<Record<C, FaultRow>>): Readonly<Record<C, FaultKind>> {
  const kinds = Object.entries<FaultRow>(rows).map(([code, row]) => [code, { code, ...row }] as const);
  return Object.fromEntries(kinds) as Record<C, FaultKind>;
}

const KINDS: Readonly<Record<FaultCode, FaultKind>> = faultKinds(FAULTS);

/** What a fault adds to its answer. The client sees it: nothing secret, nothing of the upstream. */
export interface FaultExtras {
  /** Header lines: WWW-Authenticate, Retry-After. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Members of the problem besides the usual ones (RFC 9457 section 3.2). */
  readonly members?: Readonly<Record<string, unknown>>;
}

export class Fault {
  readonly kind: FaultKind;
  /** For the log only. May hold addresses and header names; must never hold a header value, query or body. */
  readonly detail: string;
  readonly extras: FaultExtras | undefined;

  /** Not an `Error`: a fault is expected, and a stack costs 2 µs. */
  constructor(kind: FaultCode | FaultKind, detail: string, extras?: FaultExtras) {
    this.kind = typeof kind === 'string' ? KINDS[kind] : kind;
    this.detail = detail;
    this.extras = extras;
  }

  get code(): string {
    return this.kind.code;
  }

  get blame(): Blame {
    return this.kind.blame;
  }

  /** Whether one more attempt is allowed, given where this attempt's connection came from. */
  mayRetry(connection: 'fresh' | 'reused'): boolean {
    const { retry } = this.kind;
    return retry === 'always' || (retry === 'reused' && connection === 'reused');
  }
}

/** The row of a code: the only place where a fault becomes a status. */
export function answerFor(code: FaultCode): FaultKind {
  return KINDS[code];
}
