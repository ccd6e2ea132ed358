/**
 * The border between a codec and the proxy: one request and its answer, on
 * either side, whatever the wire. Both sides call methods of one long-lived
 * object; there is no promise, closure or emitter per request.
 */
import type { Duplex } from 'node:stream';
import type { Fault } from '../base/fault.ts';
import type { ClientCertificate } from '../net/client-certificate.ts';
import type { Intake } from '../net/read-buffer.ts';
import type { Headers } from './headers.ts';
import type { RequestHead, ResponseHead } from './message.ts';
import type { Tunnel } from './tunnel.ts';

/** What is known of a client connection, fixed for its life. */
export interface ClientFacts {
  /** IP address of the peer. */
  readonly peerIp: string;
  readonly peerPort: number;
  readonly scheme: 'http' | 'https';
  /** Server name of the TLS handshake, lower case; empty without TLS or SNI. */
  readonly serverName: string;
  readonly tlsVersion: string;
  readonly tlsCipher: string;
  /** What CONNECT named, on a connection inside of such a tunnel: `orders.shop:80`. */
  readonly tunnelTo?: string | undefined;
  /** The peer itself, where it spoke for the client by the PROXY protocol. For logs. */
  readonly proxyIp?: string | undefined;
  /** Only when it was verified against the bundles of the port. */
  readonly clientCertificate?: ClientCertificate | undefined;
}

/** A connection from a client, whatever it speaks. */
export interface ServerConn {
  /** That have begun here. */
  readonly requests: number;
  /** Starts nothing new: what runs is finished, then the connection ends in the way of its protocol. */
  drain(): void;
  /** Ends the connection whatever it does. */
  destroy(): void;
}

/** The client's side of one exchange: a server codec offers it to the proxy. */
export interface ServerStream {
  readonly request: RequestHead;
  readonly facts: ClientFacts;
  /** Bits of http/seen.ts for the head of the request. */
  readonly seen: number;
  /** Version of HTTP that the client speaks, as Via says it: `1.0`, `1.1`, `2.0` (RFC 9110 section 7.6.3). */
  readonly version: string;
  /** When the first byte of a head that came in pieces arrived (clock of the timer wheel); 0 when it came whole. */
  readonly startedMs: number;
  /** Asks a client that waits with `Expect: 100-continue` for its body. No effect otherwise, or twice. */
  sendContinue(): void;
  pauseBody(): void;
  resumeBody(): void;
  /** Passes on a 1xx answer, if this client can take it. */
  sendInformational(head: ResponseHead): void;
  /** Starts the answer. Written together with the first piece of body if that follows in the same turn. */
  sendHead(head: ResponseHead): void;
  /** @returns false when enough is waiting in the socket: stop until `onClientWritable` */
  sendBody(bytes: Buffer): boolean;
  /** Completes the answer. `trailers` are dropped where the wire cannot carry them. */
  sendEnd(trailers: Headers | undefined): void;
  /** Writes what waits for company. Called when nothing more is to come in this turn. */
  flush(): void;
  /** The answer cannot be completed: ends the wire so that the client can tell (RFC 9112 section 8). */
  cut(): void;
  /** After the answer, whatever the client wishes, the connection is closed politely. */
  closeAfterAnswer(): void;
  /**
   * The upstream has agreed to `request.upgrade`: sends what says so on this wire and gives the way to the client away.
   *
   * @param head  status 101, whatever either wire has for it
   */
  switchProtocols(head: ResponseHead): Tunnel;
  /** Of CONNECT, when the request has ended: says 200 and gives the connection away, paused. On HTTP/1.1 only. */
  establish?(): GivenConnection;
}

/** A connection whose client goes on with something else. */
export interface GivenConnection {
  readonly socket: Duplex;
  readonly intake: Intake | undefined;
  /** Bytes that have come already. */
  readonly early: Buffer | undefined;
}

export interface ServerStreamEvents {
  onRequestBody(bytes: Buffer): void;
  onRequestEnd(trailers: Headers | undefined): void;
  /** The rest of the request is lost: malformed, too large or too slow. An answer can still be sent if none has begun. */
  onRequestFault(fault: Fault): void;
  /** The client is gone; nothing can be sent any more. */
  onClientGone(): void;
  onClientWritable(): void;
  /** All bytes that have arrived were handed over; more may come later. */
  onRequestIdle(): void;
}

/** Takes the requests of a server codec. */
export interface RequestSink {
  /** A head is complete. The result is told of everything that follows. */
  onRequest(stream: ServerStream): ServerStreamEvents;
  /** A head that cannot be read: `stream` takes an answer, and its connection closes after it. */
  onRefused(stream: ServerStream, fault: Fault): void;
}

/** What of the request is sent upstream: assembled by the proxy, framed by the codec. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly authority: string;
  readonly headers: Headers;
  /** Complete further lines, each with its CRLF. */
  readonly extraLines: string;
  /** Bytes of body: 0 for none, -1 when not known beforehand. */
  readonly bodyLength: number;
  readonly upgrade: string | undefined;
  readonly expectContinue: boolean;
  /** The client takes trailers (`TE: trailers`), which gRPC insists on being told. */
  readonly teTrailers: boolean;
}

/** The upstream's side of one attempt: a client codec offers it to the proxy, for one request. */
export interface ClientStream {
  /** Requests that were sent on its connection before: a fresh connection has 0. */
  readonly uses: number;
  /** Names who is told; before anything is sent. */
  begin(events: ClientStreamEvents): void;
  /** Bits of http/seen.ts for the head of the answer. */
  readonly answerSeen: number;
  /** Written together with the first piece of body if that follows in the same turn. */
  sendHead(request: UpstreamRequest): void;
  /** @returns false when enough is waiting in the socket: stop until `onUpstreamWritable` */
  sendBody(bytes: Buffer): boolean;
  sendEnd(trailers: Headers | undefined): void;
  flush(): void;
  pauseAnswer(): void;
  resumeAnswer(): void;
  /** The head of this answer is needed for longer than the answer lasts: the next one gets an object of its own. */
  keepAnswerHead(): void;
  /** Gives up; what of the request is on its way is taken back as far as the wire can. No more events follow. */
  abort(): void;
}

export interface ClientStreamEvents {
  onInformational(head: ResponseHead): void;
  onAnswerHead(head: ResponseHead): void;
  onAnswerBody(bytes: Buffer): void;
  onAnswerEnd(trailers: Headers | undefined): void;
  /** The upstream has agreed to `upgrade`. `head` says 101, whatever the wire has for it. */
  onSwitched(head: ResponseHead, tunnel: Tunnel): void;
  /** `bytesReceived`: whether any byte of an answer had arrived. */
  onAttemptFault(fault: Fault, bytesReceived: number): void;
  onUpstreamWritable(): void;
  /** All bytes that have arrived were handed over; more may come later. */
  onAnswerIdle(): void;
}
