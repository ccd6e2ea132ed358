/**
 * The certificate of this proxy over time: kept on its disk, got with a token at first, renewed at half of its life.
 * The private key is made here, for each certificate a new one, and goes nowhere else.
 */
import { X509Certificate } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { Fault, faultKinds } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { alarmOf, renewAtMs, renewSoonAtMs, retryAtMs } from '../identity/renewal.ts';
import { makeRequest } from '../identity/request.ts';
import type { Life } from '../identity/rotation.ts';
import type { Issued } from '../push/joining.ts';
import type { TrustBundle } from '../push/messages.ts';
import type { Credentials } from '../push/peer.ts';

export const MEMBER_FAULTS = faultKinds({
  'mesh.no-certificate': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 16,
    title: 'The proxy has no certificate that is good',
    advice: 'Start it with a join token (--token-file); "fourways token" makes one.',
  },
});

/** What a proxy has of the mesh. */
export interface Member {
  /** Leaf first, then its issuers, without the root. PEM. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly trust: TrustBundle;
}

export function credentialsOf({ chainPem, keyPem, trust }: Member): Credentials {
  return { chainPem, keyPem, trustPem: trust.roots.join('\n') };
}

export interface MembershipOptions {
  /** SPIFFE ID that it is to have. */
  readonly identity: string;
  /** Where its certificate is kept. */
  readonly keep: CertificateKeep;
  /** With a token. Absent: only what is kept will do. */
  readonly join?: (csrDer: Uint8Array) => Promise<Issued | Fault>;
  readonly renew: (credentials: Credentials, csrDer: Uint8Array) => Promise<Issued | Fault>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Called with each certificate but the first, and with each other bundle of roots. */
  onChange(member: Member): void;
}

export interface CertificateKeep {
  /** Undefined when there is nothing that can be read. */
  load(): Promise<Member | undefined>;
  save(member: Member): Promise<void>;
}

/** While the control plane cannot be reached and there is no certificate. */
const JOIN_AGAIN_MS = 1_000;
const JOIN_AGAIN_MS_MAX = 15_000;

/** Timers of Node end at 24.8 days. */
const SLEEP_MS_MAX = 24 * 3_600_000;

export class Membership {
  readonly #options: MembershipOptions;
  #member: Member;
  #life: Life;
  #failures = 0;
  #cancel: () => void = () => undefined;
  #isRenewing = false;
  #isClosed = false;
  /** Asked for while a renewal was on its way, which may have come from what is to be renewed. */
  #soonMs = Infinity;

  private constructor(options: MembershipOptions, member: Member) {
    this.#options = options;
    this.#member = member;
    this.#life = lifeOf(member);
    this.#sleepUntil(renewAtMs(this.#life, options.random));
  }

  /**
   * With the certificate that is kept, or a new one. A control plane that is away is waited for.
   *
   * @returns a fault when it may not join, or has nothing to join with
   */
  static async open(options: MembershipOptions): Promise<Membership | Fault> {
    const { identity, keep, clock, log } = options;
    const kept = await keep.load();
    if (kept !== undefined && isGood(kept, identity, clock.wallMs())) return new Membership(options, kept);
    const joined = await firstCertificate(options);
    if (joined instanceof Fault) return joined;
    await keep.save(joined);
    log.info('Joined the mesh', { identity, until: new Date(lifeOf(joined).notAfterMs).toISOString() });
    return new Membership(options, joined);
  }

  get member(): Member {
    return this.#member;
  }

  get life(): Life {
    return this.#life;
  }

  /** From now on this is trusted; where another issuer issues now, a certificate of it is got soon. */
  async trust(bundle: TrustBundle): Promise<void> {
    const before = this.#member.trust;
    if (bundle.hash !== before.hash || bundle.issuer !== before.issuer) {
      await this.#become({ ...this.#member, trust: bundle });
    }
    if (bundle.issuer === before.issuer) return;
    const { clock, random } = this.#options;
    this.#renewAt(renewSoonAtMs(this.#life, clock.wallMs(), random));
  }

  /** A new certificate within this time, however long the one of now is good: at a moment that is drawn. */
  renewWithin(withinMs: number): void {
    const { clock, random } = this.#options;
    this.#renewAt(clock.wallMs() + withinMs * random.unit());
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #renewAt(atMs: number): void {
    if (this.#isRenewing) this.#soonMs = Math.min(this.#soonMs, atMs);
    else this.#sleepUntil(atMs);
  }

  #sleepUntil(atMs: number): void {
    const { clock } = this.#options;
    this.#cancel();
    if (this.#isClosed) return;
    const waitMs = Math.max(0, atMs - clock.wallMs());
    this.#cancel = clock.after(Math.min(waitMs, SLEEP_MS_MAX), () => {
      if (waitMs > SLEEP_MS_MAX) this.#sleepUntil(atMs);
      else void this.#renew();
    });
  }

  async #renew(): Promise<void> {
    this.#isRenewing = true;
    const nextMs = await this.#renewNow();
    this.#isRenewing = false;
    this.#sleepUntil(Math.min(nextMs, this.#soonMs));
    this.#soonMs = Infinity;
  }

  /** @returns when it is done again */
  async #renewNow(): Promise<number> {
    const { identity, renew, clock, random, log } = this.#options;
    const { csrDer, privateKeyPem: keyPem } = makeRequest(identity);
    const issued = await renew(credentialsOf(this.#member), csrDer);
    if (!(issued instanceof Fault)) {
      this.#failures = 0;
      await this.#become({ chainPem: issued.chainPem, keyPem, trust: issued.trust });
      this.#life = lifeOf(this.#member);
      return renewAtMs(this.#life, random);
    }
    this.#failures++;
    const nowMs = clock.wallMs();
    const state = { life: this.#life, failures: this.#failures };
    const alarm = alarmOf(state, nowMs);
    const say = alarm === 'none' || alarm === 'late' ? 'warn' : 'error';
    const until = new Date(this.#life.notAfterMs).toISOString();
    log[say](`The certificate could not be renewed: ${issued.detail}`, { identity, until, alarm, code: issued.code });
    return retryAtMs(state, nowMs, random);
  }

  async #become(member: Member): Promise<void> {
    this.#member = member;
    this.#options.onChange(member);
    try {
      await this.#options.keep.save(member);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.error('The certificate could not be kept on disk', { reason });
    }
  }
}

async function firstCertificate({ identity, join, clock, log }: MembershipOptions): Promise<Member | Fault> {
  if (join === undefined) {
    return new Fault(
      MEMBER_FAULTS['mesh.no-certificate'],
      `"${identity}" has no certificate that is good, and no token`,
    );
  }
  let waitMs = JOIN_AGAIN_MS;
  for (;;) {
    const { csrDer, privateKeyPem: keyPem } = makeRequest(identity);
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    const issued = await join(csrDer);
    if (!(issued instanceof Fault)) return { chainPem: issued.chainPem, keyPem, trust: issued.trust };
    if (issued.kind.retry === 'never') return issued;
    log.warn(`Cannot join yet: ${issued.detail}`, { identity, code: issued.code, againInMs: waitMs });
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    await new Promise<void>((resolve) => clock.after(waitMs, resolve));
    waitMs = Math.min(waitMs * 2, JOIN_AGAIN_MS_MAX);
  }
}

function isGood({ chainPem, keyPem }: Member, identity: string, nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(chainPem);
    const { notAfterMs } = lifeOf({ chainPem });
    return nowMs < notAfterMs && certificate.subjectAltName === `URI:${identity}` && keyPem !== '';
  } catch {
    return false;
  }
}

function lifeOf({ chainPem }: Pick<Member, 'chainPem'>): Life {
  const { validFromDate, validToDate } = new X509Certificate(chainPem);
  return { notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
}
