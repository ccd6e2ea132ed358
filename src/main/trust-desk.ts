/** What of the trust of a mesh is shown, and done on request. */
import type { MeshCertificate, RotationReport, TrustedRoots, TrustView } from '../api/admin/trust-view.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { utcSeconds } from '../base/utc.ts';
import type { Compiled } from '../compile/compile.ts';
import { Drill, DRILL_PHASE_MS } from '../control/drill.ts';
import type { Pace, TrustTurner } from '../control/trust-turner.ts';
import type { KeptAuthority } from '../identity/authority-store.ts';
import type { Authority } from '../identity/authority.ts';
import { alarmSeen, leafLife } from '../identity/renewal.ts';
import type { RotationKind } from '../identity/rotation.ts';
import { controlId } from '../identity/spiffe.ts';
import { readAuthority } from '../identity/x509.ts';

export interface TrustDeskParts {
  readonly authority: Authority;
  readonly turner: TrustTurner;
  readonly clock: Clock;
  readonly log: Log;
  /** Other meshes that are federated. */
  readonly federation: () => Compiled['mesh']['federation'];
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

export class TrustDesk implements TrustView {
  readonly #parts: TrustDeskParts;
  #drill: Drill | undefined;

  constructor(parts: TrustDeskParts) {
    this.#parts = parts;
  }

  async certificates(): Promise<MeshCertificate[]> {
    return [...this.authorities(), ...(await this.#leaves())];
  }

  /** Without those of proxies: what is known here, without asking the store. */
  authorities(): MeshCertificate[] {
    const { kept } = this.#parts.authority.current;
    const own = kept.authorities.flatMap((one) => this.#rowsOf(one));
    const federated = this.#parts.federation().flatMap(({ trustDomain, cas }) =>
      cas.flatMap((bundle) =>
        [...bundle.matchAll(PEM)].map(([pem]): MeshCertificate => ({
          what: 'federated root',
          owner: trustDomain,
          where: 'active',
          isBrought: true,
          ...this.#read(pem),
        })),
      ),
    );
    return [...own, ...federated].toSorted((a, b) => ORDER.indexOf(a.what) - ORDER.indexOf(b.what));
  }

  roots(): TrustedRoots {
    const { bundle, options } = this.#parts.authority;
    const certificates = bundle.roots.flatMap((pem) => pem.match(PEM) ?? []);
    return { trustDomain: options.trustDomain, caCertificates: `${certificates.join('\n')}\n` };
  }

  async rotation(): Promise<RotationReport> {
    const status = await this.#parts.turner.status();
    return this.#drill === undefined ? status : { ...status, drill: this.#drill.report() };
  }

  async rotate(kind: RotationKind, pace: Pace): Promise<string | undefined> {
    if (this.#drill?.isRunning === true) return 'A drill runs: wait for it, or abort it';
    const { turner } = this.#parts;
    const { phase, kind: running } = await turner.status();
    if (phase !== 'rest' && running === kind) {
      // Who asks again wants to know where it is, or that it does not take its time any more.
      return pace === 'at-once' ? (await turner.hurry())?.reason : undefined;
    }
    return (await turner.ask(kind, pace))?.reason;
  }

  async cancel(): Promise<string | undefined> {
    if (this.#drill?.isRunning === true) return 'A drill runs: abort it';
    return (await this.#parts.turner.cancel())?.reason;
  }

  drill(phaseMsMax = DRILL_PHASE_MS): string | undefined {
    if (this.#drill?.isRunning === true) return 'A drill runs already';
    const { authority, turner, clock, log } = this.#parts;
    this.#drill = new Drill({ authority, trust: turner, clock, log, phaseMsMax });
    return undefined;
  }

  abortDrill(): string | undefined {
    if (this.#drill?.isRunning !== true) return 'No drill runs here';
    this.#drill.abort();
    return undefined;
  }

  #rowsOf({ id, chainPem, isBrought }: KeptAuthority): MeshCertificate[] {
    const { kept } = this.#parts.authority.current;
    const { active, rotation } = kept.state;
    const { from, to } = rotation ?? { from: active, to: active };
    const former = kept.state.former.find(({ root, cross }) => id === root || id === cross);
    const what = id === from.root || id === to.root || former !== undefined ? 'root' : 'issuer';
    // Of a root below which an issuer is rotated nothing changes.
    const where =
      id === active.root || id === active.issuer
        ? 'active'
        : id === to.root || id === to.issuer
          ? 'next'
          : id === from.root || id === from.issuer
            ? 'leaving'
            : 'former';
    return [...chainPem.matchAll(PEM)].map(([pem], i) => ({
      what: former?.cross === id || i > 0 ? 'issuer' : what,
      owner: kept.trustDomain,
      where,
      isBrought,
      ...this.#read(pem),
    }));
  }

  async #leaves(): Promise<MeshCertificate[]> {
    const { authority, clock } = this.#parts;
    const { store, lives, trustDomain } = authority.options;
    const nowMs = clock.wallMs();
    const leaves = await store.leaves(nowMs);
    const control = controlId(trustDomain);
    return leaves.map(({ serial, proxy, identity, issuer, notAfterMs }) => {
      const life = leafLife(notAfterMs, lives.leafMs);
      return {
        what:
          identity === control ? 'control plane' : identity.endsWith('/ns/fourways/sa/gateway') ? 'gateway' : 'proxy',
        owner: identity,
        where: proxy,
        serial,
        issuedBy: issuer === authority.bundle.issuer ? 'active' : 'leaving',
        isBrought: false,
        from: utcSeconds(life.notBeforeMs),
        until: utcSeconds(notAfterMs),
        alarm: alarmSeen(life, nowMs),
      };
    });
  }

  #read(pem: string): Pick<MeshCertificate, 'serial' | 'from' | 'until' | 'alarm'> {
    const { certificate } = readAuthority(pem);
    return {
      serial: certificate.serial,
      from: utcSeconds(certificate.notBeforeMs),
      until: utcSeconds(certificate.notAfterMs),
      alarm: alarmSeen(certificate, this.#parts.clock.wallMs()),
    };
  }
}

const ORDER: readonly MeshCertificate['what'][] = ['root', 'issuer', 'federated root'];
