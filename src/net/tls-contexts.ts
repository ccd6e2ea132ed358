/**
 * Which certificates answer for which server name on one port. Contexts are made
 * when they are first needed and kept while a plan names them: a rotated secret
 * makes new contexts for its own listeners and touches no other.
 */
import { constants, createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { type Agreement, agreeOnProtocol, withoutForbiddenSuites } from './alpn.ts';
import { nameCovers, namesOf } from './certificate.ts';
import type { ClientHello } from './client-hello.ts';
import type { TicketKeySet, TicketKeys } from './ticket-keys.ts';
import { trustedBundles, type WorkloadRules } from './workload-check.ts';

/** A certificate with its key: `PlanSecret` (ir/plan.ts) fits as it is. */
export interface KeyPair {
  /** PEM chain, leaf first. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Which TLS is spoken, in either direction: as in ir/plan.ts. */
export interface TlsPolicy {
  readonly versionMin: 'TLSv1.2' | 'TLSv1.3';
  readonly versionMax: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list; empty for Node's default. */
  readonly ciphers: string;
  /** Groups for the key exchange, the favourite first; empty for OpenSSL's default. */
  readonly curves: string;
}

/** One listener of the port, out of its plan. */
export interface TlsListener {
  /** `shop.test`, `*.shop.test` for all names below, `*` for everything else and for clients without SNI. */
  readonly hostname: string;
  /** More of the same. */
  readonly alsoNamed?: readonly string[];
  readonly tls: TlsPolicy;
  /** Protocols offered by ALPN, the favourite first. */
  readonly alpn: readonly string[];
  /** In the order of preference. Several for one name are offered by key type. */
  readonly secrets: readonly KeyPair[];
  /** Answers a validation of the host name (RFC 8737); absent while none runs. */
  readonly challenge?: KeyPair | undefined;
}

export interface ClientValidation {
  /** PEM bundles. */
  readonly cas: readonly string[];
  readonly mode: 'required' | 'optional';
  /** Present where clients are workloads (workload-check.ts). */
  readonly workloads?: WorkloadRules;
}

export interface ContextsPlan {
  readonly listeners: readonly TlsListener[];
  readonly clientValidation: ClientValidation | undefined;
}

export type NoContext = 'unknown-name' | 'no-certificate' | 'no-protocol';

/** What a handshake is done with. */
export interface FoundContext {
  readonly context: tls.SecureContext;
  /** What is agreed on by ALPN; empty when the client offers nothing. */
  readonly protocol: string;
}

/** A secret that was read: what it is called, which names it has and of what type its key is. */
interface ServerCertificate extends KeyPair {
  readonly id: string;
  readonly dnsNames: readonly string[];
  readonly keyType: string;
}

/** What decides on a context besides its listener. */
interface ContextTerms {
  readonly chosen: readonly ServerCertificate[];
  readonly suites: Agreement['suites'];
  readonly ticketKeys: TicketKeySet;
}

interface KeptContext {
  readonly context: tls.SecureContext;
  readonly policyId: string;
  readonly secretIds: readonly string[];
  /** Of its ticket keys. */
  readonly generation: number;
}

export class TlsContexts {
  readonly #ticketKeys: TicketKeys;
  readonly #onBroken: (hostname: string, why: string) => void;
  /** By hostname, as listeners have it. */
  #listeners = new Map<string, TlsListener>();
  #validation: ClientValidation | undefined;
  #validationId = '';
  readonly #contexts = new Map<string, KeptContext>();
  /** By the listener they were read for, so that they go with it. */
  #certificates = new WeakMap<KeyPair, ServerCertificate | 'broken'>();

  /** @param onBroken  told once about each secret that cannot be used, with words for the log */
  constructor(ticketKeys: TicketKeys, onBroken: (hostname: string, why: string) => void) {
    this.#ticketKeys = ticketKeys;
    this.#onBroken = onBroken;
  }

  /** Takes a new plan. Contexts that it does not change stay. */
  update({ listeners, clientValidation }: ContextsPlan): void {
    this.#listeners = new Map(
      listeners.flatMap((listener) =>
        [listener.hostname, ...(listener.alsoNamed ?? [])].map((name): [string, TlsListener] => [name, listener]),
      ),
    );
    this.#validation = clientValidation;
    this.#validationId = clientValidation === undefined ? '' : validationId(clientValidation);
    // Contexts whose secrets nobody names any more must not keep private keys in memory.
    const policies = new Map(listeners.map((listener) => [this.#policyId(listener), listener]));
    for (const [key, { policyId, secretIds }] of this.#contexts) {
      const secrets = policies.get(policyId)?.secrets.map((secret) => secretId(secret)) ?? [];
      if (!secretIds.every((id) => secrets.includes(id))) this.#contexts.delete(key);
    }
  }

  find(hello: ClientHello): FoundContext | NoContext {
    const listener = this.#listenerFor(hello.serverName);
    if (listener === undefined) return 'unknown-name';
    if (listener.challenge !== undefined && isValidation(hello)) return answerOf(listener.challenge);
    const chosen = this.#choose(listener, hello.serverName);
    if (chosen.length === 0) return 'no-certificate';
    const agreed = agreeOnProtocol(hello, {
      alpn: listener.alpn,
      ...listener.tls,
      keyTypes: chosen.map(({ keyType }) => keyType),
    });
    if (agreed === undefined) return 'no-protocol';
    const ticketKeys = this.#ticketKeys.setFor(hello.ticketKeyName);
    const context = this.#contextFor(listener, { chosen, suites: agreed.suites, ticketKeys });
    return context === undefined ? 'no-certificate' : { context, protocol: agreed.protocol };
  }

  #contextFor(listener: TlsListener, terms: ContextTerms): tls.SecureContext | undefined {
    const policyId = this.#policyId(listener);
    const secretIds = terms.chosen.map(({ id }) => id);
    const { generation } = terms.ticketKeys;
    const key = [policyId, generation, terms.suites, ...secretIds].join(' ');
    const kept = this.#contexts.get(key);
    if (kept !== undefined) return kept.context;
    const context = this.#make(listener, terms);
    if (context === undefined) return undefined;
    // Here and not at each rotation: until somebody comes, nothing is made anew.
    const oldest = this.#ticketKeys.previous?.generation ?? generation;
    for (const [old, { generation: sealedWith }] of this.#contexts) if (sealedWith < oldest) this.#contexts.delete(old);
    this.#contexts.set(key, { context, policyId, secretIds, generation });
    return context;
  }

  /** The name itself, then the longest wildcard, then `*` (Gateway API, Listener.hostname). */
  #listenerFor(serverName: string): TlsListener | undefined {
    const exact = this.#listeners.get(serverName);
    if (exact !== undefined && serverName !== '') return exact;
    for (let dot = serverName.indexOf('.'); dot >= 0; dot = serverName.indexOf('.', dot + 1)) {
      const wildcard = this.#listeners.get(`*${serverName.slice(dot)}`);
      if (wildcard !== undefined) return wildcard;
    }
    return this.#listeners.get('*');
  }

  /** One certificate for each type of key: of those that carry the name, or of all when none does. */
  #choose({ hostname, secrets }: TlsListener, serverName: string): ServerCertificate[] {
    const usable = secrets.flatMap((secret) => this.#read(hostname, secret) ?? []);
    const named = usable.filter(({ dnsNames }) => dnsNames.some((name) => nameCovers(name, serverName)));
    const byType = new Map<string, ServerCertificate>();
    for (const certificate of named.length > 0 ? named : usable) {
      if (!byType.has(certificate.keyType)) byType.set(certificate.keyType, certificate);
    }
    return [...byType.values()];
  }

  #read(hostname: string, secret: KeyPair): ServerCertificate | undefined {
    const known = this.#certificates.get(secret);
    if (known !== undefined) return known === 'broken' ? undefined : known;
    const read = readCertificate(secret);
    if ('flaw' in read) {
      this.#certificates.set(secret, 'broken');
      this.#onBroken(hostname, read.flaw);
      return undefined;
    }
    this.#certificates.set(secret, read);
    return read;
  }

  #make(
    { hostname, tls: policy }: TlsListener,
    { chosen, suites, ticketKeys }: ContextTerms,
  ): tls.SecureContext | undefined {
    const ciphers = suites === 'all' ? policy.ciphers : withoutForbiddenSuites(policy.ciphers);
    try {
      return tls.createSecureContext({
        cert: chosen.map(({ certificatePem }) => certificatePem),
        key: chosen.map(({ privateKeyPem }) => privateKeyPem),
        ...contextOptions({ ...policy, ciphers }),
        honorCipherOrder: true,
        // With no bundle Node would load every root of its own, for clients that are not asked for a certificate.
        ca: this.#validation === undefined ? [] : [...trustedBundles(this.#validation.cas, this.#validation.workloads)],
        // A bundle is trusted as it is: also an intermediate or the client's own certificate may stand in it.
        allowPartialTrustChain: true,
        ticketKeys: Buffer.from(ticketKeys.bytes),
        // A session begun under other rules must not be resumed under these.
        sessionIdContext: digest(hostname, this.#validationId).slice(0, 32),
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      });
    } catch (error) {
      this.#onBroken(hostname, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #policyId({ hostname, tls: policy }: TlsListener): string {
    const { versionMin, versionMax, ciphers, curves } = policy;
    return digest(hostname, versionMin, versionMax, ciphers, curves, this.#validationId);
  }
}

function validationId({ mode, cas, workloads }: ClientValidation): string {
  const federated = workloads?.federated?.flatMap((other) => [other.trustDomain, ...other.cas]) ?? [];
  return digest(mode, ...cas, ...federated);
}

/** A policy in the words of Node. */
export function contextOptions({ versionMin, versionMax, ciphers, curves }: TlsPolicy): tls.SecureContextOptions {
  return {
    minVersion: versionMin,
    maxVersion: versionMax,
    ...(ciphers === '' ? {} : { ciphers }),
    ...(curves === '' ? {} : { ecdhCurve: curves }),
  };
}

/** RFC 8737 section 6.2. */
export const ACME_PROTOCOL = 'acme-tls/1';

/** RFC 8737 section 3: a validation offers this protocol and no other. */
function isValidation({ alpn }: ClientHello): boolean {
  return alpn.length === 1 && alpn[0] === ACME_PROTOCOL;
}

/** Used a few times in its life, so it is not kept. */
function answerOf({ certificatePem, privateKeyPem }: KeyPair): FoundContext {
  const context = tls.createSecureContext({ cert: certificatePem, key: privateKeyPem, ca: [] });
  return { context, protocol: ACME_PROTOCOL };
}

function readCertificate(secret: KeyPair): ServerCertificate | { readonly flaw: string } {
  try {
    const leaf = new X509Certificate(secret.certificatePem);
    if (!leaf.checkPrivateKey(createPrivateKey(secret.privateKeyPem))) {
      return { flaw: 'The private key does not belong to the certificate' };
    }
    const keyType = leaf.publicKey.asymmetricKeyType ?? 'unknown';
    return { ...secret, id: secretId(secret), dnsNames: namesOf(leaf).dns, keyType };
  } catch {
    return { flaw: 'The certificate or its private key cannot be read' };
  }
}

const SECRET_IDS = new WeakMap<KeyPair, string>();

function secretId(secret: KeyPair): string {
  let id = SECRET_IDS.get(secret);
  if (id === undefined) {
    id = digest(secret.certificatePem, secret.privateKeyPem);
    SECRET_IDS.set(secret, id);
  }
  return id;
}

/** SHA-256, in hex, of the parts and where each ends. */
export function digest(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length} ${part}`);
  return hash.digest('hex');
}
