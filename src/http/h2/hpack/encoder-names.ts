/**
 * What an encoder knows of names: what is worth a place in the peer's table, and what must never stand in one.
 * Compression must not help to guess a secret (RFC 7541 section 7.1), and a value that does not come again only pushes
 * others out.
 */
import type { Entry } from './encoder-table.ts';
import { flat } from './field.ts';
import { STATIC_FIELDS } from './static-table.ts';

/** - `at-once`: inserted when it comes. `again`: when it comes with the value it had last. `literal`: not inserted.
 *  - `never`: not by us and not by those behind us (RFC 7541 section 6.2.3). `drop`: has no place in HTTP/2. */
export type Policy = 'at-once' | 'again' | 'literal' | 'never' | 'drop';

const POLICIES: Readonly<Record<Exclude<Policy, 'again'>, string>> = {
  'at-once': `:method :scheme :authority :status accept accept-encoding accept-ranges
    access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-expose-headers access-control-max-age allow alt-svc cache-control
    content-encoding content-language content-security-policy content-type cross-origin-resource-policy
    grpc-accept-encoding grpc-encoding permissions-policy pragma referrer-policy server strict-transport-security te
    trailer vary via x-content-type-options x-frame-options x-powered-by x-xss-protection`,
  literal: `:path age baggage b3 content-length content-location content-md5 content-range digest etag expires
    grpc-message grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since last-event-id
    last-modified location range retry-after server-timing traceparent tracestate uber-trace-id x-amzn-trace-id
    x-b3-parentspanid x-b3-spanid x-b3-traceid x-correlation-id x-envoy-upstream-service-time x-ratelimit-remaining
    x-ratelimit-reset x-request-id x-response-time x-runtime ratelimit ratelimit-remaining ratelimit-reset`,
  never: `authorization proxy-authorization authentication-info proxy-authentication-info cookie set-cookie
    sec-websocket-key x-api-key x-auth-token x-access-token x-amz-security-token x-csrf-token x-xsrf-token
    x-forwarded-client-cert`,
  drop: 'connection keep-alive proxy-connection transfer-encoding upgrade http2-settings',
};

/** Names with a policy or a place in the static table, by their lower-case text. */
interface KnownName {
  readonly policy: Policy;
  /** Index of the name in the static table, 0 for none. */
  readonly staticIndex: number;
  /** Values of the static table and their indexes, in turn. */
  readonly staticValues: readonly (string | number)[];
}

const KNOWN = knownNames();
const UNKNOWN: KnownName = { policy: 'again', staticIndex: 0, staticValues: [] };

function knownNames(): ReadonlyMap<string, KnownName> {
  const policies = new Map(
    Object.entries(POLICIES).flatMap(([policy, names]) => names.split(/\s+/).map((name) => [name, policy as Policy])),
  );
  const known = new Map<string, KnownName>();
  for (const name of new Set([...policies.keys(), ...STATIC_FIELDS.map((field) => field.name)])) {
    const rows = [...STATIC_FIELDS.entries()].filter(([, field]) => field.name === name);
    known.set(name, {
      policy: policies.get(name) ?? 'again',
      staticIndex: rows.length === 0 ? 0 : rows[0]![0] + 1,
      staticValues: rows.filter(([, { value }]) => value !== '').flatMap(([i, { value }]) => [value, i + 1]),
    });
  }
  return known;
}

/** What one encoder knows of one name. */
export interface NameState {
  /** Lower case. */
  readonly text: string;
  readonly policy: Policy;
  readonly staticIndex: number;
  readonly staticValues: readonly (string | number)[];
  /** Entry of this name that was inserted last. */
  newest: Entry | undefined;
  /** Value that it had last and that is not in the table, for the policy `again`. */
  last: string | undefined;
}

/** Spellings that one encoder knows at a time: more than a table of 4,096 bytes can hold fields. */
const NAMES_MAX = 192;
/** Names that are longer are not remembered, nor inserted. */
const NAME_CHARS_MAX = 64;

export class EncoderNames {
  /** By the name as it is spelled: `Content-Type` and `content-type` lead to one state. */
  readonly #states = new Map<string, NameState>();

  of(name: string): NameState {
    return this.#states.get(name) ?? this.#learn(name);
  }

  #learn(name: string): NameState {
    const lower = name.toLowerCase();
    const { policy, staticIndex, staticValues } = KNOWN.get(lower) ?? UNKNOWN;
    if (name.length > NAME_CHARS_MAX) {
      return { text: lower, policy: 'literal', staticIndex, staticValues, newest: undefined, last: undefined };
    }
    if (this.#states.size >= NAMES_MAX - 1) this.#forget();
    const text = flat(lower);
    let state = this.#states.get(text);
    if (state === undefined) {
      state = { text, policy, staticIndex, staticValues, newest: undefined, last: undefined };
      this.#states.set(text, state);
    }
    if (name !== text) this.#states.set(flat(name), state);
    return state;
  }

  /** Names of which the peer holds nothing. */
  #forget(): void {
    for (const [name, { newest }] of this.#states) if (newest === undefined) this.#states.delete(name);
    // Many spellings of few names: an entry knows its state, so all that is lost is how to find it.
    if (this.#states.size >= NAMES_MAX / 2) this.#states.clear();
  }
}
