/**
 * Every collection has a bound and every wait an end. A limit's name ends in
 * its unit (`Bytes`, `Ms`) and `Max`; the comment says why this number and what
 * happens at it. These are the defaults: what an operator may change is in the
 * schemas of Policy (listener) and BackendPolicy.
 */

/** Limits of one listening port. */
export interface ConnectionLimits {
  /** Longest request line. Beyond: 414. */
  readonly requestLineBytesMax: number;
  /** All header lines together. Beyond: 431. */
  readonly headerBytesMax: number;
  /** Number of header lines. Beyond: 431. */
  readonly headersMax: number;
  /** Longest request body, 0 for no bound: bodies stream, so length costs no memory. Beyond: 413. */
  readonly bodyBytesMax: number;
  /** All trailer lines together. Beyond: 431 or a closed connection. */
  readonly trailerBytesMax: number;
  /** Requests on one connection, then it is closed politely: lets load spread again after scaling. */
  readonly requestsPerConnectionMax: number;
  /** Open connections of this port in one worker. Beyond: the newest is closed at once. */
  readonly connectionsMax: number;
  /** Requests that one HTTP/2 connection may have open at a time. Beyond: refused, to be sent again. */
  readonly streamsMax: number;
  /** Bytes of one request body over HTTP/2 that may wait for a slow upstream: its flow-control window. */
  readonly windowBytes: number;
  /** The same for all requests of one HTTP/2 connection together; twice as many are held at most. */
  readonly connectionWindowBytes: number;
}

/** Timeouts of one listening port, one for each state of a connection. 0 means none. */
export interface ConnectionTimeouts {
  /** TLS handshake. */
  readonly handshakeMs: number;
  /** From the first byte of a head to its last, however slowly they drip in. */
  readonly headMs: number;
  /** Longest silence inside a request body. */
  readonly bodyIdleMs: number;
  /** Between two requests. */
  readonly keepAliveMs: number;
  /** From the head of the request to the end of the answer. */
  readonly exchangeMs: number;
  /** Longest time that a client may refuse to read. */
  readonly writeIdleMs: number;
  /** After the last answer, waiting for the peer to close (RFC 9112 section 9.6). */
  readonly lingerMs: number;
  /** Silence of an HTTP/2 client with requests open, until a PING asks whether it is still there. */
  readonly pingMs: number;
}

/** How long a tunnel (a WebSocket, another switched protocol, a connection below HTTP) may last. 0 means for ever. */
export interface TunnelLimits {
  /** No byte either way for this long: nobody is there any more, or nobody cares. */
  readonly idleMs: number;
  /** From its begin, whatever happens in it. */
  readonly maxMs: number;
  /**
   * No byte from the side that goes on after the other has ended: a forgotten half would be held for ever. 0: `idleMs`
   * holds as before. Default: {@link HALF_CLOSED_MS}.
   */
  readonly halfClosedMs?: number;
}

export const HALF_CLOSED_MS = 60_000;

export const TUNNEL_LIMITS: TunnelLimits = {
  // What applications ping at is counted in seconds or minutes; forgotten connections are gone within the hour.
  idleMs: 3_600_000,
  maxMs: 0,
};

export const CONNECTION_LIMITS: ConnectionLimits = {
  requestLineBytesMax: 8_192,
  headerBytesMax: 32_768,
  headersMax: 100,
  bodyBytesMax: 0,
  trailerBytesMax: 8_192,
  requestsPerConnectionMax: 100_000,
  connectionsMax: 50_000,
  streamsMax: 128,
  // A stream fills 100 Mbit/s over 20 ms, and four of them the connection.
  windowBytes: 256 * 1024,
  connectionWindowBytes: 1024 * 1024,
};

export const CONNECTION_TIMEOUTS: ConnectionTimeouts = {
  handshakeMs: 10_000,
  headMs: 10_000,
  bodyIdleMs: 30_000,
  keepAliveMs: 75_000,
  exchangeMs: 0,
  writeIdleMs: 60_000,
  lingerMs: 2_000,
  pingMs: 60_000,
};

/** What is left of a listener that was removed, or of a process that ends, has this long to finish unless `--drain` says otherwise. */
export const DRAIN_MS = 30_000;

/** Sessions of a UDP listener. */
export interface UdpLimits {
  /** No datagram either way for this long ends a session. */
  readonly idleMs: number;
  /** Sessions of one worker, each of which has a socket. Beyond: datagrams of new clients are dropped. */
  readonly sessionsMax: number;
}

export const UDP_LIMITS: UdpLimits = {
  // What RFC 4787 section 4.3 asks of devices that keep such a state is two minutes; most queries take milliseconds.
  idleMs: 60_000,
  // A file descriptor each: well below what a process may usually have.
  sessionsMax: 10_000,
};

/** Request bytes kept for a second attempt. Larger bodies are sent once. */
export const REPLAY_BYTES_MAX = 64 * 1024;

/** Regular expressions an operator writes: source length, as long as the longest header match. Beyond: refused. */
export const REGEX_CHARS_MAX = 4_096;

/** Steps of a compiled expression, its counted repeats written out: one character costs a match at most this. Beyond: refused. */
export const REGEX_STEPS_MAX = 4_096;

/** Largest count in `{n,m}` of an expression, as RE2 has it. Beyond: refused. */
export const REGEX_REPEAT_MAX = 1_000;

/** Groups inside groups of an expression. Bounds the recursion of parser and compiler. Beyond: refused. */
export const REGEX_DEPTH_MAX = 100;

/**
 * Characters of one text times steps of an expression with lookaround, which is followed without a table: 20 to 80 ms at most. Beyond: the
 * text does not match.
 */
export const REGEX_LOOK_WORK_MAX = 4_000_000;

/** Cells in the table of one expression, 4 bytes each. At it: the table is emptied. */
export const REGEX_CELLS_MAX = 65_536;

/** Places that the states of one expression may hold together, 2 bytes each. At it: the table is emptied. */
export const REGEX_PLACES_MAX = 131_072;

/** How long keys for TLS session tickets seal new ones. They open old ones for as long again. */
export const TICKET_KEYS_MS = 12 * 3_600_000;
export const TICKET_KEYS_MS_MIN = 1_000;
/** RFC 8446 section 4.6.1: no ticket is used for longer than seven days. */
export const TICKET_KEYS_MS_MAX = 7 * 24 * 3_600_000;

/** Series that /metrics may hold; the rest is counted in one series labelled `overflow`. */
export const METRIC_SERIES_MAX = 10_000;

/** One manifest file. Larger files are a mistake or an attack. */
export const MANIFEST_FILE_BYTES_MAX = 64 * 1024 * 1024;

/** Memory that all workers share for exact counts of filters. Pages that are not used cost nothing. */
export const FILTER_CELLS_BYTES = 8 * 1024 * 1024;

/** Characters of an expression (`when`, `key`): beyond, it is a program and belongs into a filter of its own. */
export const EXPRESSION_CHARS_MAX = 4_096;

/** Operators and calls inside one another in an expression: each is a call on the stack. */
export const EXPRESSION_DEPTH_MAX = 64;

/** Steps of the loops of one evaluation, about 10 ns each; a client chooses how long its lists are. Beyond: no value. */
export const EXPRESSION_STEPS_MAX = 20_000;

/** Characters of a text that an expression makes. Beyond: no value. */
export const EXPRESSION_TEXT_CHARS_MAX = 262_144;

/** Elements of a list that an expression makes. Beyond: no value. */
export const EXPRESSION_LIST_MAX = 10_000;

/** Memory that all workers share for what is not true any more (filter/marks.ts): a million numbers. Pages that are not used cost nothing. */
export const FILTER_MARKS_BYTES = 4 * 1024 * 1024;
