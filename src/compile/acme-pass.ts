/**
 * The pass over what listeners ask of ACME: which certificates are wanted, how each
 * of their names can be proved, and what answers the validations that run.
 */
import type { PlanRoute } from '../ir/plan.ts';
import { describe, describeKey, keyOf } from '../resource/resource.ts';
import { type AcmeChallenge, type AcmeRequest, type CertificateWish, generatedFor } from './acme.ts';
import { error, type Finding } from './finding.ts';
import { type GatewayPassResult, listenerKey } from './gateway-pass.ts';
import { gatewayOf } from './gateways.ts';
import { covers } from './hostname.ts';
import type { ChallengeType } from './issuer.ts';
import type { ListenerBase } from './listener.ts';
import { listenerPort } from './ports.ts';
import { challengeKey } from './secret.ts';

/** Names of one certificate: what well-known authorities sign. */
const HOSTNAMES_MAX = 100;

/** RFC 8555 section 8.3. */
const WELL_KNOWN = '/.well-known/acme-challenge/';

export interface AcmePassResult {
  readonly wishes: readonly CertificateWish[];
  /** Parts of the plan that answer http-01, by key. */
  readonly routes: readonly (readonly [key: string, part: PlanRoute])[];
  /** Listeners whose certificate is not ordered, and why. */
  readonly refused: ReadonlyMap<ListenerBase, string>;
  readonly findings: readonly Finding[];
}

const NOTHING: AcmePassResult = { wishes: [], routes: [], refused: new Map(), findings: [] };

export function readAcme(gateways: GatewayPassResult, challenges: readonly AcmeChallenge[]): AcmePassResult {
  const asking = [...gateways.gateways, ...gateways.sets].flatMap(({ listeners }) =>
    listeners.flatMap((listener) => (listener.acme === undefined ? [] : [{ listener, request: listener.acme }])),
  );
  // Most configurations order nothing: they pay for nothing.
  if (asking.length === 0) return NOTHING;
  const doors = httpDoors(gateways);
  const work: Work = { doors, findings: [], refused: new Map() };
  const groups = new Map<string, Asked[]>();
  for (const asked of asking) {
    if (gateways.ports.verdicts.get(asked.listener)?.served !== true) continue;
    const group = groups.get(asked.request.secret);
    if (group === undefined) groups.set(asked.request.secret, [asked]);
    else if (joins(asked, group, work)) group.push(asked);
  }
  const wishes = [...groups.values()].flatMap((group) => wishOf(group, work) ?? []);
  const { findings, refused } = work;
  return { wishes, routes: challengeRoutes(challenges, doors), refused, findings };
}

interface Asked {
  readonly listener: ListenerBase;
  readonly request: AcmeRequest;
}

/** Several listeners may want one Secret: then it is one certificate with all of their names, from one issuer. */
function joins({ listener, request }: Asked, group: readonly Asked[], { findings, refused }: Work): boolean {
  const first = group[0]!;
  const names = new Set([...group.map((asked) => asked.request.hostname), request.hostname]);
  const message =
    first.request.issuer !== request.issuer
      ? `${describeKey(request.secret)} is ordered from ${describe(first.request.issuer)} by listener "${first.listener.spec.name}" of ${describe(first.listener.owner)}, and here from ${describe(request.issuer)}: name another Secret`
      : names.size > HOSTNAMES_MAX
        ? `${describeKey(request.secret)} would have ${names.size} names: at most ${HOSTNAMES_MAX} stand in one certificate`
        : undefined;
  if (message === undefined) return true;
  const related = [keyOf(first.listener.owner)];
  refused.set(listener, message);
  findings.push(error('acme.conflict', listener.owner, { field: request.field, message, related }));
  return false;
}

interface Work {
  readonly doors: readonly Door[];
  readonly findings: Finding[];
  readonly refused: Map<ListenerBase, string>;
}

function wishOf(group: readonly Asked[], { doors, findings, refused }: Work): CertificateWish | undefined {
  const { request, listener } = group[0]!;
  const hostnames = [...new Set(group.map((asked) => asked.request.hostname))].toSorted();
  const unreachable = hostnames.filter((hostname) => doorsFor(hostname, doors).length === 0);
  const can = (type: ChallengeType): boolean => type === 'tls-alpn-01' || unreachable.length === 0;
  const challenges = request.terms.challenges.filter(can);
  if (challenges.length > 0) {
    const { secret, terms: issuer } = request;
    return { secret, hostnames, issuer, challenges, origin: request.issuer.origin };
  }
  const message =
    `No HTTP listener takes host "${unreachable[0]}", so http-01 cannot be answered: add one on port 80, ` +
    `or allow tls-alpn-01 in ${describe(request.issuer)}`;
  for (const asked of group) refused.set(asked.listener, message);
  findings.push(
    error('acme.unreachable', listener.owner, {
      field: request.field,
      message,
      related: [keyOf(request.issuer)],
    }),
  );
  return undefined;
}

/** An HTTP listener in the plan. */
interface Door {
  readonly port: string;
  readonly hostname: string;
  readonly listener: string;
}

function httpDoors({ gateways, sets, ports }: GatewayPassResult): Door[] {
  return [...gateways, ...sets].flatMap((base) => {
    const { addresses } = gatewayOf(base);
    return base.listeners.flatMap((listener) => {
      if (listener.spec.protocol !== 'HTTP' || ports.verdicts.get(listener)?.served !== true) return [];
      return addresses.map((address, i) => ({
        port: listenerPort(listener.spec, address),
        hostname: listener.hostname,
        listener: listenerKey(listener, address, i),
      }));
    });
  });
}

/** Of each port the listener that takes the host: the most specific one, and no other (listener isolation). */
function doorsFor(hostname: string, doors: readonly Door[]): Door[] {
  const byPort = new Map<string, Door>();
  for (const door of doors) {
    if (!covers(door.hostname, hostname)) continue;
    const known = byPort.get(door.port);
    if (known === undefined || covers(known.hostname, door.hostname)) byPort.set(door.port, door);
  }
  return [...byPort.values()];
}

/**
 * Answers of http-01 as routes: an exact path goes before whatever the operator
 * routes for the host, and no policy of a Gateway acts on it.
 */
function challengeRoutes(challenges: readonly AcmeChallenge[], doors: readonly Door[]): [string, PlanRoute][] {
  const bySecret = Map.groupBy(challenges, ({ secret }) => secret);
  return [...bySecret].flatMap(([secret, all]): [string, PlanRoute][] => {
    const own = all.filter((challenge) => challenge.kind === 'http-01');
    return [...Map.groupBy(own, ({ hostname }) => hostname)].flatMap(([hostname, answers]): [string, PlanRoute][] => {
      const attach = doorsFor(hostname, doors).map(({ listener }) => ({ listener, hosts: [hostname] }));
      if (attach.length === 0) return [];
      const key = challengeKey({ secret, hostname });
      const rules = answers.map(({ token, keyAuthorization }, i) => ({
        name: `${key}/${i}`,
        matches: [{ path: { kind: 'exact' as const, value: WELL_KNOWN + token }, headers: [], query: [] }],
        filters: [
          {
            filter: 'directResponse',
            config: { status: 200, body: keyAuthorization, contentType: 'application/octet-stream', headers: [] },
            owner: generatedFor(secret),
          },
        ],
        backends: [],
        mirrors: [],
        timeouts: {},
      }));
      return [[key, { createdMs: 0, attach, rules }]];
    });
  });
}
