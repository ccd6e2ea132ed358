/**
 * An ACME server, with an account of ours, by way of the library `acme-client`. The
 * library speaks JWS, nonces and CSRs; when to ask again, for how long, and what an
 * error means is decided here and in order.ts.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Agent } from 'node:https';
import acme from 'acme-client';
import type { IssuerTerms } from '../compile/issuer.ts';
import { type Account, AcmeRefusal, clean } from './refusal.ts';
import { readRetryAfter } from './retry-after.ts';

export type Order = acme.Order;
export type Authorization = acme.Authorization;
export type Challenge = Authorization['challenges'][number];

/** One answer of the server. More than that is no certificate. */
const ANSWER_BYTES_MAX = 1024 * 1024;
const ANSWER_MS_MAX = 30_000;

const ERROR_PREFIX = 'urn:ietf:params:acme:error:';

/** The library has one HTTP client for all servers: what it does on behalf of an authority goes out by the agent of that one. */
const agents = new AsyncLocalStorage<Agent | undefined>();
/** Of answers that say when to ask again, by their body. */
const retryAfter = new WeakMap<object, number>();
let prepared = false;

/** Once for the process: no retries of the library, which would wait as long as a server says; errors with what they say. */
function prepare(userAgent: string, wallMs: () => number): void {
  if (prepared) return;
  prepared = true;
  const { axios } = acme;
  // Those of the library ask again by themselves, and make another error of one that has no answer.
  axios.interceptors.request.clear();
  axios.interceptors.response.clear();
  axios.defaults.timeout = ANSWER_MS_MAX;
  axios.defaults.maxContentLength = ANSWER_BYTES_MAX;
  axios.defaults.maxRedirects = 0;
  axios.defaults.headers.common['User-Agent'] = userAgent;
  axios.interceptors.request.use((config) => {
    const agent = agents.getStore();
    if (agent !== undefined) config.httpsAgent = agent;
    return config;
  });
  axios.interceptors.response.use((response) => {
    const { status, data, headers } = response as { status: number; data: unknown; headers: Record<string, unknown> };
    const waitMs = readRetryAfter(headers['retry-after'], wallMs());
    if (status < 400) {
      if (waitMs !== undefined && typeof data === 'object' && data !== null) retryAfter.set(data, waitMs);
      return response;
    }
    const problem = problemOf(data);
    // The library signs again with a fresh nonce (RFC 8555 section 6.5).
    if (problem.type === 'badNonce') return response;
    throw new AcmeRefusal(problem.detail, { type: problem.type, status, retryAfterMs: waitMs });
  });
}

function problemOf(data: unknown): { readonly type: string; readonly detail: string } {
  const { type, detail, subproblems } = (typeof data === 'object' && data !== null ? data : {}) as {
    type?: unknown;
    detail?: unknown;
    subproblems?: unknown;
  };
  const inner = Array.isArray(subproblems)
    ? subproblems.map((one: { identifier?: { value?: unknown }; detail?: unknown }) =>
        [one.identifier?.value, one.detail].filter((part) => typeof part === 'string').join(': '),
      )
    : [];
  const text = typeof detail === 'string' ? detail : 'the server gave no reason';
  return {
    type: typeof type === 'string' && type.startsWith(ERROR_PREFIX) ? type.slice(ERROR_PREFIX.length) : '',
    detail: clean([text, ...inner].join('; ')),
  };
}

export interface AuthorityOptions {
  readonly terms: IssuerTerms;
  readonly userAgent: string;
  wallMs(): number;
}

/** For one order: its connections end with it. */
export class Authority implements Disposable {
  readonly #terms: IssuerTerms;
  readonly #agent: Agent | undefined;
  #client: acme.Client | undefined;

  constructor(options: AuthorityOptions) {
    this.#terms = options.terms;
    prepare(options.userAgent, () => options.wallMs());
    const { cas } = options.terms;
    // Where the operator names the roots, no other counts.
    if (cas.length > 0) this.#agent = new Agent({ ca: [...cas], keepAlive: true });
  }

  [Symbol.dispose](): void {
    this.#agent?.destroy();
  }

  /** Signs in, or makes an account. @returns the account as it is to be kept */
  begin(kept: Account | undefined): Promise<Account> {
    return agents.run(this.#agent, () => this.#begin(kept));
  }

  async #begin(kept: Account | undefined): Promise<Account> {
    const { directory, email, externalAccount: binding, termsAgreed } = this.#terms;
    const key = kept?.key ?? (await acme.crypto.createPrivateEcdsaKey()).toString();
    const client = new acme.Client({
      directoryUrl: directory,
      accountKey: key,
      ...(kept !== undefined && { accountUrl: kept.url }),
      ...(binding !== undefined && { externalAccountBinding: { kid: binding.keyId, hmacKey: binding.macKey } }),
    });
    if (kept === undefined) {
      const terms = await client.getTermsOfServiceUrl();
      if (terms && !termsAgreed) {
        throw new Error(
          `The authority has terms of service: read ${clean(terms)} and set termsAgreed of the AcmeIssuer`,
        );
      }
    }
    // With an account it only says who may be written to (RFC 8555 section 7.3.2).
    await client.createAccount({
      ...(kept === undefined && { termsOfServiceAgreed: termsAgreed }),
      contact: email === undefined ? [] : [`mailto:${email}`],
    });
    this.#client = client;
    return { key, url: client.getAccountUrl() };
  }

  /** @param replaces  id of the certificate that this one is to follow (RFC 9773 section 5); undefined for none */
  order(hostnames: readonly string[], replaces: string | undefined): Promise<Order> {
    const identifiers = hostnames.map((value) => ({ type: 'dns', value }));
    return this.#ask((client) => client.createOrder({ identifiers, ...(replaces !== undefined && { replaces }) }));
  }

  authorizations(order: Order): Promise<Authorization[]> {
    return this.#ask((client) => client.getAuthorizations(order));
  }

  /** RFC 8555 section 8.1. */
  keyAuthorization(challenge: Challenge): Promise<string> {
    return this.#ask((client) => client.getChallengeKeyAuthorization(challenge));
  }

  /** The certificate that answers tls-alpn-01 (RFC 8737 section 3), and its key. */
  async alpnCertificate(
    authorization: Authorization,
    keyAuthorization: string,
  ): Promise<{ readonly certificatePem: string; readonly privateKeyPem: string }> {
    const [key, certificate] = await acme.crypto.createAlpnCertificate(authorization, keyAuthorization);
    return { certificatePem: certificate.toString(), privateKeyPem: key.toString() };
  }

  async validate(challenge: Challenge): Promise<void> {
    await this.#ask((client) => client.completeChallenge(challenge));
  }

  reload(order: Order): Promise<Order> {
    return this.#ask((client) => client.getOrder(order));
  }

  /** @returns the order, and the new key of the certificate */
  async finalize(
    order: Order,
    hostnames: readonly string[],
  ): Promise<{ readonly order: Order; readonly privateKeyPem: string }> {
    const [key, csr] = await acme.crypto.createCsr({ altNames: [...hostnames] }, await newKey(this.#terms.keyType));
    return { order: await this.#ask((client) => client.finalizeOrder(order, csr)), privateKeyPem: key.toString() };
  }

  /** PEM chain, leaf first. */
  certificate(order: Order): Promise<string> {
    return this.#ask((client) => client.getCertificate(order));
  }

  #ask<T>(question: (client: acme.Client) => Promise<T>): Promise<T> {
    const client = this.#client;
    if (client === undefined) throw new RangeError('Cannot order: not signed in');
    return agents.run(this.#agent, () => question(client));
  }
}

/** How long the server wants to be left alone before this is asked again. */
export function askAgainAfterMs(answer: object): number | undefined {
  return retryAfter.get(answer);
}

function newKey(type: IssuerTerms['keyType']): Promise<Buffer> {
  switch (type) {
    case 'ecdsa-p256':
      return acme.crypto.createPrivateEcdsaKey('P-256');
    case 'ecdsa-p384':
      return acme.crypto.createPrivateEcdsaKey('P-384');
    case 'rsa-2048':
      return acme.crypto.createPrivateRsaKey(2_048);
    case 'rsa-4096':
      return acme.crypto.createPrivateRsaKey(4_096);
  }
}
