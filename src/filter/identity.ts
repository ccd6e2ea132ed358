/** Who is asking: one object, whatever the method that found out. Frozen: filters read it, none changes it. */

export interface Identity {
  /** Name of the filter that found out: `jwt`, `apiKey`. Several, where all of several methods were asked for. */
  readonly methods: readonly string[];
  /** Within its issuer: `sub` of a token, user name, id of a key, SPIFFE ID. Never a secret. */
  readonly subject: string;
  /** Who says so: `iss` of a token, the issuer of a certificate; empty where it was decided here. */
  readonly issuer: string;
  /** Whom the operator knows it as; undefined when no consumer was looked up. */
  readonly consumer: Consumer | undefined;
  /** What a token says, as it says it; empty for methods that have none. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly scopes: readonly string[];
  /** SPIFFE ID of a workload, where a certificate says one. */
  readonly workload: string | undefined;
}

export interface Consumer {
  readonly name: string;
  readonly groups: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

const NO_LIST: readonly string[] = Object.freeze([]);
const NO_CLAIMS: Readonly<Record<string, unknown>> = Object.freeze({});

/** An identity from what is known of it. */
export function identityOf(
  facts: { readonly method: string; readonly subject: string } & Partial<Omit<Identity, 'methods' | 'subject'>>,
): Identity {
  const { method, subject, issuer = '', consumer, claims = NO_CLAIMS, scopes = NO_LIST, workload } = facts;
  return Object.freeze({ methods: Object.freeze([method]), subject, issuer, consumer, claims, scopes, workload });
}

/** Both were asked for: of each part, the first one that has it says it. */
export function mergeIdentities(first: Identity, second: Identity): Identity {
  const claimed = Object.keys(first.claims).length > 0 ? first : second;
  return Object.freeze({
    methods: Object.freeze([...first.methods, ...second.methods]),
    subject: first.subject,
    issuer: first.issuer,
    consumer: first.consumer ?? second.consumer,
    claims: claimed.claims,
    scopes: first.scopes.length > 0 ? first.scopes : second.scopes,
    workload: first.workload ?? second.workload,
  });
}
