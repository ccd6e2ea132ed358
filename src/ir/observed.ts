/** What proxies say of the requests that they serve, to whoever looks into the mesh. Plain data: it crosses threads and the wire. */

/**
 * - `in`: taken in by a sidecar for its application
 * - `out`: sent by the application beside a sidecar
 * - `edge`: come to a gateway
 */
export type Direction = 'in' | 'out' | 'edge';

/** One request, or one connection below HTTP, at its end. Never a body, nor the query. */
export interface TappedRequest {
  /** When it began, in milliseconds since the Unix epoch. */
  readonly timeMs: number;
  readonly direction: Direction;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  /** SPIFFE ID of the peer; its address where it has shown none. */
  readonly source: string;
  /** `shop/orders:80`; empty where it is for no Service. */
  readonly service: string;
  /** `ADDRESS:PORT` of the last attempt; empty when there was none. */
  readonly endpoint: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  /** 0 when no answer could be given, and for what is below HTTP. */
  readonly status: number;
  /** -1 for what is not of gRPC. */
  readonly grpcStatus: number;
  /** Code of the fault; empty when nothing went wrong. */
  readonly fault: string;
  /** The whole, and until the upstream's answer began; the latter -1 where there was none. */
  readonly durationMs: number;
  readonly upstreamMs: number;
  readonly attempts: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Rule or route; empty when none was found. */
  readonly route: string;
  /** Who was asking, where a policy has found out. */
  readonly user: string;
  readonly requestId: string;
  readonly traceId: string;
  /** Of the request, only when asked for: those that may hold a secret say so instead of their value. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TapAnswer {
  readonly requests: readonly TappedRequest[];
  /** Requests that the filter takes and that are not here: more came than may be shown. */
  readonly left: number;
}

/** Of one proxy in a second. Beyond: counted. */
export const TAPPED_SECOND_MAX = 100;

/** What was seen of one kind of call; figures since the last answer that had it. */
export interface ObservedCall {
  /** SPIFFE ID; empty for a caller that has shown none. */
  readonly source: string;
  /** `shop/orders` */
  readonly service: string;
  readonly port: number;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  /** Empty below HTTP. */
  readonly method: string;
  /** With `*` for segments that look like ids. Empty below HTTP. */
  readonly path: string;
  readonly calls: number;
  /** Of these: refused by a policy; would have been, by one in audit mode; answered 401, 403, 404 or 405 by the application. */
  readonly denied: number;
  readonly audited: number;
  readonly unwelcome: number;
}

export interface CallsAnswer {
  readonly calls: readonly ObservedCall[];
  /** Calls of kinds for which there was no room; since the last answer. */
  readonly beyond: number;
}

/** Kinds of calls that one worker keeps apart. */
export const CALL_KINDS_MAX = 2_000;
