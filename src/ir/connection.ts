/** Live connections of a proxy, as it answers to the topic `connections`. Plain data: it crosses threads and the wire. */

/**
 * - `mtls`: both ends have shown certificates, and each has verified the other's
 * - `tls`: encrypted, and only one end is known to the other
 * - `clear`: anybody on the way reads and changes it
 * - `local`: between a proxy and the application on its own host
 * - `unread`: passed on as it is; what is inside is not known here
 */
export type ConnectionKind = 'mtls' | 'tls' | 'clear' | 'local' | 'unread';

export interface ConnectionRow {
  /** `in`: it was accepted here; `out`: it was opened here. */
  readonly direction: 'in' | 'out';
  readonly kind: ConnectionKind;
  /** Key of the listener or cluster in the plan; empty when it is not there any more. */
  readonly part: string;
  /** `ADDRESS:PORT`, as this end sees both. */
  readonly local: string;
  readonly remote: string;
  readonly openMs: number;
  readonly requests: number;
  /** Whether it is one between services of the mesh: what the mesh promises counts for it. */
  readonly isMesh: boolean;
  /** Of what is not `mtls`: why it is so. */
  readonly why?: string;
  readonly tls?: ConnectionTls;
}

export interface ConnectionTls {
  /** `TLSv1.3` */
  readonly version: string;
  /** Name in the registry of IANA. */
  readonly cipher: string;
  /** What both have agreed to speak (ALPN): `h2`; empty for nothing. */
  readonly speaks: string;
  /** Of the key exchange, where this end can tell: `X25519MLKEM768`. Only the one that opened it can. */
  readonly group?: string;
  /** Whether it goes on with a session that was begun on another connection. */
  readonly resumed: boolean;
  /**
   * A value that only the two ends of this connection can derive from its keys (RFC 8446 section 7.5), 32 hex digits: two
   * that are equal are the two ends of one connection, with nobody in between.
   */
  readonly binding: string;
  /** What this end has shown, and what it was shown and has verified. */
  readonly own?: ShownCertificate;
  readonly peer?: ShownCertificate;
}

export interface ShownCertificate {
  /** SPIFFE ID; else the first name. */
  readonly identity: string;
  /** Lower-case hex. */
  readonly serial: string;
  /** Milliseconds since the Unix epoch. */
  readonly notAfterMs: number;
}

/** The answer, in pieces: `rows` of the newest connections, and with the last piece how many there are. */
export interface ConnectionsAnswer {
  readonly rows: readonly ConnectionRow[];
  readonly counts?: Readonly<Record<ConnectionKind, number>>;
  /** Also with the last piece: keys of listeners that take clear text for a service of the mesh, whoever calls them now. */
  readonly open?: readonly string[];
}

/** Rows that one proxy answers with, the newest; the others are in the counts. */
export const CONNECTION_ROWS_MAX = 1_000;
