/** A member of the mesh in the process of its authority: the control plane itself, and the gateway beside it. */
import { X509Certificate } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import type { Acknowledgements } from '../control/acknowledgements.ts';
import { MeshJoining } from '../control/mesh-joining.ts';
import type { Authority } from '../identity/authority.ts';
import type { TrustBundle } from '../push/messages.ts';
import { type Member, Membership } from '../sidecar/membership.ts';
import { StartFailure } from './start-failure.ts';

export interface OwnMemberParts {
  readonly authority: Authority;
  readonly acknowledgements: Acknowledgements;
  readonly clock: Clock;
  readonly log: Log;
  readonly identity: string;
  /** The same after a restart: what it had before is not waited for then. */
  readonly instance: string;
  /** Resolves when the certificate is used. Called with each but the first, and with each other bundle of roots. */
  readonly onChange: (member: Member) => Promise<void> | void;
}

export class OwnMember {
  readonly #parts: OwnMemberParts;
  readonly #membership: Membership;
  /** Hash of the trust bundle by which all of it works. */
  #works = '';

  private constructor(parts: OwnMemberParts, membership: Membership) {
    this.#parts = parts;
    this.#membership = membership;
  }

  /** @throws {StartFailure} when the authority refuses */
  static async admit(parts: OwnMemberParts): Promise<OwnMember> {
    const { authority, clock, log, identity, instance } = parts;
    const joining = new MeshJoining(authority, log);
    const renew = (csrDer: Uint8Array): ReturnType<MeshJoining['renew']> =>
      joining.renew(identity, Buffer.from(csrDer), { instance });
    const membership = await Membership.open({
      identity,
      keep: { load: () => Promise.resolve(undefined), save: () => Promise.resolve() },
      join: renew,
      renew: (_, csrDer) => renew(csrDer),
      clock,
      random: systemRandom(),
      log,
      onChange: (changed) => void member.#change(changed),
    });
    if (membership instanceof Fault) {
      throw new StartFailure(`"${identity}" gets no certificate: ${membership.detail}`);
    }
    const member: OwnMember = new OwnMember(parts, membership);
    return member;
  }

  /** Who it is. */
  get name(): { readonly instance: string; readonly identity: string } {
    const { instance, identity } = this.#parts;
    return { instance, identity };
  }

  get member(): Member {
    return this.#membership.member;
  }

  /** Hash of the trust bundle by which all of it works; empty before it is known. */
  get works(): string {
    return this.#works;
  }

  /** From now on this is trusted. The authority is beside it: a certificate of another issuer is got at once. */
  async trust(bundle: TrustBundle): Promise<void> {
    const { issuer } = this.member.trust;
    await this.#membership.trust(bundle);
    if (bundle.issuer !== issuer) this.#membership.renewWithin(0);
  }

  /** All of it works by this trust bundle. */
  worksBy(bundle: string): void {
    if (this.#works === bundle) return;
    this.#works = bundle;
    this.#acknowledge();
  }

  /** It ends in good order, and uses its certificate no more. */
  close(): void {
    this.#membership.close();
    this.#parts.acknowledgements.release(this.#parts.instance, this.#parts.identity);
  }

  async #change(member: Member): Promise<void> {
    await this.#parts.onChange(member);
    if (this.#works !== '') this.#acknowledge();
  }

  #acknowledge(): void {
    const { acknowledgements, identity, instance } = this.#parts;
    const serial = new X509Certificate(this.member.chainPem).serialNumber.toLowerCase();
    acknowledgements.add({ proxy: instance, identity, serial, bundle: this.#works });
  }
}
