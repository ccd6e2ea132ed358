/**
 * What every proxy that is a member of a mesh has, sidecar or gateway: a certificate, and a link to its control planes
 * by which its plan comes.
 */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { MemberReport } from '../api/admin/view.ts';
import { systemClock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { utcSeconds } from '../base/utc.ts';
import type { Fleet } from '../control/fleet.ts';
import { readToken } from '../identity/join-token.ts';
import { alarmSeen } from '../identity/renewal.ts';
import { controlId, formatWorkloadId, type WorkloadId } from '../identity/spiffe.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { PushClient } from '../push/client.ts';
import { GrpcConnector } from '../push/grpc-client.ts';
import { joinMesh, renewCertificate, type Target } from '../push/join-client.ts';
import type { Self } from '../push/messages.ts';
import { RENEW, renewWithinMs } from '../push/renew-wish.ts';
import { PlanCopy } from '../push/plan-copy.ts';
import { certificateFile } from '../sidecar/certificate-file.ts';
import { credentialsOf, type Member, Membership, type MembershipOptions } from '../sidecar/membership.ts';
import { type Applier, OwnPlans } from '../sidecar/own-plans.ts';
import { StartFailure } from './start-failure.ts';

export interface MemberSettings {
  /** Who it is. */
  readonly id: WorkloadId;
  /** Tells instances of one identity apart; the same after a restart on the same disk. */
  readonly instance: string;
  /** `HOST:PORT` of each control plane. */
  readonly control: readonly string[];
  /** To join with; undefined: only a certificate that is kept will do. */
  readonly token: string | undefined;
  /** Absolute path of the folder for certificate and plan. */
  readonly dataDir: string;
  readonly log: Log;
}

export interface MemberParts {
  readonly settings: MemberSettings;
  readonly fleet: Fleet;
  /** What stands between it and its plans, if something does. */
  readonly applier?: Applier;
  readonly cleanup: AsyncDisposableStack;
  readonly self: Self;
  /** Names that are wanted from the start. */
  readonly services: readonly string[];
  /** A plan was applied, or refused. */
  readonly onPlan: () => void;
  readonly onUnknown: (names: readonly string[]) => void;
}

const CLOCK = systemClock;

/**
 * Joins where it has not, and serves the plan of the disk, if there is one. The link is not started yet.
 *
 * @throws {StartFailure} when it may not join
 */
export async function openMember(parts: MemberParts): Promise<{ readonly plans: OwnPlans; readonly link: MemberLink }> {
  const { settings, fleet, applier = fleet, cleanup } = parts;
  const membership: Membership | Fault = await Membership.open({
    ...membershipOptions(settings),
    onChange: (member) => link.certified(member),
  });
  if (membership instanceof Fault) {
    throw new StartFailure(`Cannot join the mesh: ${membership.detail}\n${membership.kind.advice}`);
  }
  cleanup.defer(() => membership.close());
  const plans = new OwnPlans(applier, membership.member, settings.log);
  const link: MemberLink = cleanup.adopt(await MemberLink.open({ ...parts, membership, plans }), (opened) =>
    opened.client.close(),
  );
  return { plans, link };
}

interface LinkParts extends MemberParts {
  readonly membership: Membership;
  readonly plans: OwnPlans;
}

/** To the control plane, with what it needs of this process. */
export class MemberLink {
  readonly client: PushClient;
  readonly #parts: LinkParts;
  readonly #connector: GrpcConnector;
  readonly #copy: PlanCopy;

  private constructor(parts: LinkParts, copy: PlanCopy, held: PlanBundle | undefined) {
    const { settings, self, services, membership, plans } = parts;
    this.#parts = parts;
    this.#copy = copy;
    this.#connector = new GrpcConnector({
      credentials: credentialsOf(membership.member),
      server: controlId(settings.id.trustDomain),
      clock: CLOCK,
    });
    this.client = new PushClient({
      connect: this.#connector.connect,
      addresses: settings.control,
      self,
      ...(held !== undefined && { held }),
      apply: async ({ bundle }) => {
        const result = await plans.apply(bundle);
        parts.onPlan();
        return result;
      },
      keep: (bundle) => copy.keep(bundle),
      events: {
        onUnknown: parts.onUnknown,
        onTrust: (bundle) => void membership.trust(bundle),
        onWish: ({ name, body }) => {
          if (name === RENEW) membership.renewWithin(renewWithinMs(body));
        },
        askTo: parts.fleet.askTo,
      },
      clock: CLOCK,
      random: systemRandom(),
      log: settings.log,
    });
    // Of a plan that is the one of now nothing is sent, and so nothing is acknowledged with its ports.
    if (held !== undefined) this.client.portsChanged(parts.fleet.ports);
    this.#report();
    this.client.subscribe(services);
  }

  /** With the plan of the disk, which is served at once: the control plane may be away. */
  static async open(parts: LinkParts): Promise<MemberLink> {
    const { settings, plans } = parts;
    const identity = formatWorkloadId(settings.id);
    const copy = PlanCopy.open({ path: join(settings.dataDir, 'plan'), identity });
    return new MemberLink(parts, copy, await heldPlan(copy, plans, settings.log));
  }

  /** There is a new certificate, or something else to trust. */
  certified(member: Member): void {
    this.#connector.rotate(credentialsOf(member));
    // Said when it is served: from then on nobody waits for the one before.
    void this.#parts.plans.certified(member).then(() => this.#report());
  }

  /** No plan comes any more, and no certificate is renewed. */
  close(): void {
    this.client.close();
    this.#parts.membership.close();
  }

  async kept(): Promise<void> {
    await this.#copy.settled();
  }

  /** For whoever looks into this proxy. */
  standing(): MemberReport {
    const { settings, self, membership } = this.#parts;
    const { state, missing } = this.client;
    const { validFromDate: from, validToDate: until, serialNumber } = new X509Certificate(membership.member.chainPem);
    const identity = formatWorkloadId(settings.id);
    return {
      identity,
      instance: settings.instance,
      control: settings.control,
      ...(state.kind === 'live' && { connected: state.address }),
      ...(missing !== undefined && {
        missing: { forMs: CLOCK.nowMs() - missing.sinceMs, reason: missing.reason?.detail ?? '' },
      }),
      certificate: {
        what: self.role === 'gateway' ? 'gateway' : 'proxy',
        owner: identity,
        where: settings.instance,
        serial: serialNumber.toLowerCase(),
        isBrought: false,
        from: utcSeconds(from.getTime()),
        until: utcSeconds(until.getTime()),
        alarm: alarmSeen({ notBeforeMs: from.getTime(), notAfterMs: until.getTime() }, CLOCK.wallMs()),
      },
    };
  }

  #report(): void {
    const { chainPem, trust } = this.#parts.membership.member;
    const { validToDate, serialNumber } = new X509Certificate(chainPem);
    const serial = serialNumber.toLowerCase();
    const { hash: bundle, issuer } = trust;
    this.client.report({ kind: 'certificate', notAfterMs: validToDate.getTime(), serial, bundle, issuer });
  }
}

function membershipOptions({
  token,
  control,
  id,
  instance,
  dataDir,
  log,
}: MemberSettings): Omit<MembershipOptions, 'onChange'> {
  const identity = formatWorkloadId(id);
  const facts = { identity, instance };
  let turn = 0;
  // Any control plane issues: the next one is asked when one does not.
  const target = (): Target => ({
    address: control[turn++ % control.length]!,
    server: controlId(id.trustDomain),
    clock: CLOCK,
  });
  const read = token === undefined ? undefined : readToken(token);
  if (read !== undefined && 'flaw' in read) throw new StartFailure(`Cannot join the mesh: ${read.flaw}`);
  return {
    identity,
    keep: certificateFile(join(dataDir, 'certificate.json')),
    ...(read !== undefined && {
      join: (csrDer) =>
        joinMesh(target(), { trust: { kind: 'root-hash', sha256: read.root }, token: token!, csrDer, facts }),
    }),
    renew: (credentials, csrDer) => renewCertificate(target(), credentials, { csrDer, facts }),
    clock: CLOCK,
    random: systemRandom(),
    log,
  };
}

async function heldPlan(copy: PlanCopy, plans: OwnPlans, log: Log): Promise<PlanBundle | undefined> {
  const read = await copy.read();
  if (read === undefined) return undefined;
  if (read instanceof Fault) {
    log.warn(`The plan on disk is not used: ${read.detail}`, { code: read.code });
    return undefined;
  }
  const result = await plans.apply(read);
  return result.kind === 'ack' ? read : undefined;
}
