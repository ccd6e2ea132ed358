/**
 * TLS to an upstream: who it has to be, how we show who we are, and, when that
 * fails, why in words that an operator can act on.
 */
import { X509Certificate } from 'node:crypto';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { spiffeIdOf } from '../base/spiffe.ts';
import { nameCovers, namesOf } from './certificate.ts';
import { contextOptions, digest, type KeyPair, type TlsPolicy } from './tls-contexts.ts';
import { type DomainRoots, domainProblem, trustedBundles } from './workload-check.ts';

/** `PlanClusterTls` (ir/plan.ts) fits as it is. */
export interface UpstreamTlsPlan {
  /** SNI, and the name that the certificate must carry unless `subjectAltNames` says otherwise. */
  readonly serverName: string;
  /** PEM bundles; empty for the roots of the system. */
  readonly cas: readonly string[];
  /** Other trust domains, each with the bundles that are good for its SPIFFE IDs alone. */
  readonly federated?: DomainRoots['federated'];
  readonly policy: TlsPolicy;
  /** One of these must be in the certificate; empty for `serverName`. */
  readonly subjectAltNames: readonly { readonly kind: 'dns' | 'uri'; readonly value: string }[];
}

export interface UpstreamTlsOptions {
  readonly plan: UpstreamTlsPlan;
  /** Our own certificate, where the upstream asks for one. Asked at each connection: it may have been renewed. */
  clientCertificate(): KeyPair | undefined;
  readonly contexts: ClientContexts;
  /** Protocols offered by ALPN, the favourite first. */
  readonly alpn: readonly string[];
}

/** Exactly one is called, once. */
export interface SecureDone {
  /** The upstream is who it should be. @param protocol  agreed on by ALPN; empty when the upstream knows no ALPN */
  onSecure(socket: tls.TLSSocket, protocol: string): void;
  /** The socket is closed already. @param why  for the log: `The certificate of 10.0.0.1:443 expired on …` */
  onFailed(why: string, cause: TlsCause): void;
}

/** `identity`: a workload, and not the one that it should be. */
export type TlsCause = 'identity' | 'handshake';

/** Endpoints whose newest session is kept. Beyond, the one that came first is forgotten: it costs a full handshake. */
const SESSIONS_MAX = 1_000;

/**
 * Puts TLS on connections to the endpoints of one cluster. Sessions are kept in
 * here and go with it: a resumed session skips the check of names, so it must
 * never outlive the plan under which they were checked.
 */
export class UpstreamTls {
  readonly #options: UpstreamTlsOptions;
  readonly #sessions = new Map<string, KeptSession>();
  readonly #alpn: DataView;
  #own: KeyPair | undefined;
  #context: tls.SecureContext | undefined;

  constructor(options: UpstreamTlsOptions) {
    this.#options = options;
    this.#alpn = alpnBytes(options.alpn);
  }

  /** @param endpoint  `ADDRESS:PORT`, for the log and to keep its sessions apart */
  secure(socket: net.Socket, endpoint: string, done: SecureDone): void {
    const { plan, contexts } = this.#options;
    let secured: tls.TLSSocket;
    try {
      this.#takeOwn(this.#options.clientCertificate());
      this.#context ??= contexts.get(plan, this.#own);
      const session = this.#sessions.get(endpoint);
      secured = tls.connect({
        socket,
        secureContext: this.#context,
        ALPNProtocols: this.#alpn,
        rejectUnauthorized: true,
        checkServerIdentity: (_, { raw }) => this.#checkNames(raw, secured.getPeerX509Certificate()),
        ...(plan.serverName === '' || net.isIP(plan.serverName) !== 0 ? {} : { servername: plan.serverName }),
        ...(session === undefined ? {} : { session: session.ticket }),
      });
      if (session !== undefined) BEGUN_WITH.set(secured, session.certificate);
    } catch (error) {
      socket.destroy();
      done.onFailed(`Cannot begin TLS with ${endpoint}: ${messageOf(error)}`, 'handshake');
      return;
    }
    this.#await({ socket, secured, endpoint, done });
  }

  /** A session carries on as whoever began it: with a new certificate there is none to resume. */
  #takeOwn(own: KeyPair | undefined): void {
    if (own === this.#own) return;
    this.#own = own;
    this.#context = undefined;
    this.#sessions.clear();
  }

  #await({ socket, secured, endpoint, done }: Handshake): void {
    const own = this.#own;
    let certificate: X509Certificate | undefined;
    const detach = (): void => {
      secured.off('error', onError);
      secured.off('close', onClose);
      secured.off('secureConnect', onSecure);
    };
    const fail = (why: string, cause: TlsCause = 'handshake'): void => {
      detach();
      secured.on('error', ignore);
      secured.destroy();
      socket.destroy();
      this.#sessions.delete(endpoint);
      done.onFailed(why, cause);
    };
    const onError = (error: NodeJS.ErrnoException): void =>
      fail(failureText(endpoint, error, certificate), this.#causeOf(error));
    const onClose = (): void => fail(`${endpoint} closed the connection during the TLS handshake`);
    const onSecure = (): void => {
      detach();
      // In TLS 1.3 the upstream looks at our certificate when for us the handshake is over (RFC 8446 section 4.4.2.4).
      secured.on('error', (error) => this.#noteRefusal(secured, endpoint, error));
      done.onSecure(secured, secured.alpnProtocol || '');
    };
    // Before Node's own listener, which destroys the socket, and the certificate with it, when it is not satisfied.
    secured.prependOnceListener('secure', () => (certificate = secured.getPeerX509Certificate()));
    secured.on('session', (ticket) => {
      if (own === this.#own) this.#keepSession(endpoint, { ticket, certificate: peerCertificateOf(secured) });
    });
    secured.on('error', onError);
    secured.on('close', onClose);
    secured.on('secureConnect', onSecure);
  }

  #causeOf(error: Error): TlsCause {
    const ofWorkload = this.#options.plan.subjectAltNames.some(({ kind }) => kind === 'uri');
    return error instanceof WrongName && ofWorkload ? 'identity' : 'handshake';
  }

  #noteRefusal(secured: tls.TLSSocket, endpoint: string, error: NodeJS.ErrnoException): void {
    const alert = CERTIFICATE_ALERT.exec(error.code ?? '')?.[1];
    if (alert === undefined) return;
    const what = this.#own === undefined ? 'us, who have no certificate' : 'our certificate';
    REFUSALS.set(secured, `${endpoint} refused ${what}: ${alert.toLowerCase().replaceAll('_', ' ')}`);
    this.#sessions.delete(endpoint);
  }

  #keepSession(endpoint: string, session: KeptSession): void {
    this.#sessions.delete(endpoint);
    this.#sessions.set(endpoint, session);
    if (this.#sessions.size > SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!);
  }

  /** @param shown  with the certificates above it */
  #checkNames(raw: Buffer, shown: X509Certificate | undefined): Error | undefined {
    const { plan } = this.#options;
    const why = nameProblem(raw, plan) ?? rootProblem(shown, plan);
    return why === undefined ? undefined : new WrongName(why);
  }
}

/**
 * As ALPN writes it (RFC 7301 section 3.1). As a list, or as bytes of another class, every connection would get a copy in a
 * pool of 64 KB that Node shares among short-lived buffers, and keep all of the pool as long as it lives.
 */
function alpnBytes(protocols: readonly string[]): DataView {
  const bytes = protocols.flatMap((protocol) => [protocol.length, ...Buffer.from(protocol, 'latin1')]);
  return new DataView(Uint8Array.from(bytes).buffer);
}

interface KeptSession {
  readonly ticket: Buffer;
  /** That of the upstream, when the session began. */
  readonly certificate: X509Certificate | undefined;
}

/** In a session that goes on, the upstream shows no certificate (RFC 8446 section 2.2): that of its beginning counts. */
const BEGUN_WITH = new WeakMap<Duplex, X509Certificate | undefined>();

/** What the upstream has shown and was verified by; undefined when that is not known any more. */
export function peerCertificateOf(secured: tls.TLSSocket): X509Certificate | undefined {
  return secured.getPeerX509Certificate() ?? (secured.isSessionReused() ? BEGUN_WITH.get(secured) : undefined);
}

/** Alerts with which a server turns a client's certificate, or the lack of one, down (RFC 8446 section 6.2). */
const CERTIFICATE_ALERT =
  /_ALERT_(CERTIFICATE_\w+|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE|DECRYPT_ERROR)$/;

const REFUSALS = new WeakMap<Duplex, string>();

/** Why the upstream turned our certificate down after the handshake; undefined when that is not what ended the connection. */
export function refusalOf(socket: Duplex): string | undefined {
  return REFUSALS.get(socket);
}

interface Handshake {
  readonly socket: net.Socket;
  readonly secured: tls.TLSSocket;
  readonly endpoint: string;
  readonly done: SecureDone;
}

/** Says itself what is wrong, so its message is passed on. */
class WrongName extends Error {}

type Trust = Pick<UpstreamTlsPlan, 'cas' | 'federated' | 'policy'>;

/**
 * Contexts for clients, one for each set of roots and certificate. Shared by all
 * clusters of a worker: the roots of a system take 8 ms and some 100 KB to read.
 */
export class ClientContexts {
  readonly #contexts = new Map<string, WeakRef<tls.SecureContext>>();
  #systemRoots: string | undefined;

  /** @throws {Error} when the certificate cannot be read. A bundle that cannot be read trusts nobody. */
  get(trust: Trust, certificate: KeyPair | undefined): tls.SecureContext {
    const { policy } = trust;
    const cas = trustedBundles(trust.cas, trust);
    const { versionMin, versionMax, ciphers, curves } = policy;
    const spoken = [versionMin, versionMax, ciphers, curves];
    const key = digest(...spoken, certificate?.certificatePem ?? '', certificate?.privateKeyPem ?? '', ...cas);
    const known = this.#contexts.get(key)?.deref();
    if (known !== undefined) return known;
    const context = tls.createSecureContext({
      ca: cas.length === 0 ? this.#system() : [...cas],
      // Own bundles are trusted as they are: also an intermediate or the upstream's own certificate may stand in one.
      allowPartialTrustChain: cas.length > 0,
      ...contextOptions(policy),
      ...(certificate === undefined ? {} : { cert: certificate.certificatePem, key: certificate.privateKeyPem }),
    });
    for (const [other, reference] of this.#contexts) if (reference.deref() === undefined) this.#contexts.delete(other);
    this.#contexts.set(key, new WeakRef(context));
    return context;
  }

  /** The operating system's roots and those of NODE_EXTRA_CA_CERTS; Node's own where the system has none. */
  #system(): string {
    if (this.#systemRoots === undefined) {
      const roots = new Set([...tls.getCACertificates('system'), ...tls.getCACertificates('extra')]);
      this.#systemRoots = [...(roots.size > 0 ? roots : tls.getCACertificates('bundled'))].join('\n');
    }
    return this.#systemRoots;
  }
}

/** What is wrong with the names of a certificate (RFC 9525 section 6), or undefined. @param raw  DER */
function nameProblem(raw: Buffer, { serverName, subjectAltNames }: UpstreamTlsPlan): string | undefined {
  const certificate = new X509Certificate(raw);
  const names = namesOf(certificate);
  const wanted = subjectAltNames.length > 0 ? subjectAltNames : [{ kind: 'dns' as const, value: serverName }];
  const found = wanted.some(({ kind, value }) => {
    if (kind === 'uri') return names.uri.includes(value);
    if (net.isIP(value) !== 0) return certificate.checkIP(value) !== undefined;
    const host = value.toLowerCase().replace(/\.$/, '');
    return names.dns.some((name) => name === host || nameCovers(name, host));
  });
  if (found) return undefined;
  const has = [...names.dns, ...names.uri, ...names.ip].slice(0, NAMES_SAID_MAX).join(', ');
  return `is for ${has === '' ? 'no name at all' : has}, not for ${wanted.map(({ value }) => value).join(' or ')}`;
}

/** Why the root behind a workload's certificate is none that may speak of its trust domain. */
function rootProblem(shown: X509Certificate | undefined, { cas, federated }: UpstreamTlsPlan): string | undefined {
  if (federated === undefined) return undefined;
  const id = shown === undefined ? undefined : spiffeIdOf(namesOf(shown).uri);
  const problem = id === undefined ? 'not exactly one SPIFFE ID' : domainProblem(shown!, id, { cas, federated });
  return problem === undefined ? undefined : `is not to be believed: ${problem}`;
}

/** Names of a wrong certificate that are printed: some have hundreds. */
const NAMES_SAID_MAX = 10;

/** Why a handshake failed, for an operator who knows neither OpenSSL nor Node. */
function failureText(endpoint: string, error: NodeJS.ErrnoException, certificate: X509Certificate | undefined): string {
  if (error instanceof WrongName) return `The certificate of ${endpoint} ${error.message}`;
  const code = error.code ?? '';
  if (certificate !== undefined) {
    const flaw = certificateFlaw(code, certificate);
    if (flaw !== undefined) return `The certificate of ${endpoint} ${flaw}`;
  }
  if (NOT_TLS.has(code)) return `${endpoint} does not speak TLS`;
  if (code === 'ECONNRESET' || code === 'EPIPE') return `${endpoint} closed the connection during the TLS handshake`;
  const alert = /_ALERT_(\w+)$/.exec(code)?.[1];
  if (alert !== undefined) return `${endpoint} refused the TLS handshake: ${alert.toLowerCase().replaceAll('_', ' ')}`;
  return `Cannot begin TLS with ${endpoint}: ${messageOf(error)}`;
}

const NOT_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_RECORD_LAYER_FAILURE',
  'ERR_SSL_UNEXPECTED_MESSAGE',
]);

/** @param code  of OpenSSL's verification, as Node names it */
function certificateFlaw(code: string, certificate: X509Certificate): string | undefined {
  const issuer = quoteName(certificate.issuer);
  switch (code) {
    // The date is said, not compared: the certificate at fault may be one of the chain above this one.
    case 'CERT_HAS_EXPIRED':
      return `or of one of its issuers has expired; its own is valid until ${certificate.validTo}`;
    case 'CERT_NOT_YET_VALID':
      return `or of one of its issuers is not valid yet; its own is valid from ${certificate.validFrom}`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return 'is signed by itself and is not among the trusted ones';
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return `comes with a root that is not among the trusted ones (issuer ${issuer})`;
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return `was issued by ${issuer}, which is not among the trusted ones and was not sent along`;
    case 'CERT_SIGNATURE_FAILURE':
      return `has a signature that is not of its issuer ${issuer}`;
    case 'INVALID_PURPOSE':
      return 'is not meant for servers';
    default:
      return undefined;
  }
}

/** A distinguished name on one line: Node prints one part per line. */
function quoteName(name: string): string {
  return `"${name.replaceAll('\n', ', ')}"`;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code ?? error.message;
}

const ignore = (): void => undefined;
