/**
 * The pass over Gateways and ListenerSets: which are ours, which listeners are
 * served on which ports, and what routes see of them.
 */
import { canonicalJson } from '../base/canonical.ts';
import type { PlanListener, PlanPort, PlanSecret } from '../ir/plan.ts';
import { type Gateway, type GatewayClass, keyOf, type ListenerSet, resourceKey } from '../resource/resource.ts';
import type { AcmeChallenge } from './acme.ts';
import { certificateFindings } from './certificate-check.ts';
import { error, type Finding } from './finding.ts';
import {
  classFault,
  classOf,
  type GatewayBase,
  gatewayOf,
  type ListenerView,
  type ParentView,
  readGateway,
  readSet,
  type SetBase,
} from './gateways.ts';
import { endsTls, type ListenerBase } from './listener.ts';
import { Memo } from './memo.ts';
import { isMember, MESH_TLS, meshOf, type MeshView, SELF } from './mesh.ts';
import { egressFilters, workloadsOnly } from './mesh-egress.ts';
import { type Candidate, listenerPort, type PortsResult, sharePorts, type SharedPort } from './ports.ts';
import { brokenAt, isGatewayKind, missing, type Reference } from './reference.ts';
import { type AlpnChallenge, challengeKey, nameAlpnChallenge, nameSecret, type NamedSecret } from './secret.ts';
import { byAge, type CompileTables, findObject, type Inventory, type Look, lookIn } from './tables.ts';

export interface GatewayPassOptions {
  readonly controllerName: string;
  readonly bindDefault: string;
}

export interface GatewayPassResult {
  /** Ours, oldest first. */
  readonly gateways: readonly GatewayBase[];
  readonly sets: readonly SetBase[];
  readonly classes: readonly GatewayClass[];
  readonly ports: PortsResult;
  readonly planPorts: Readonly<Record<string, PlanPort>>;
  readonly planListeners: Readonly<Record<string, PlanListener>>;
  readonly secrets: Readonly<Record<string, PlanSecret>>;
  readonly findings: readonly Finding[];
}

export interface GatewayPassInput {
  /** Validations that run. */
  readonly challenges: readonly AcmeChallenge[];
  readonly nowMs: number;
}

export class GatewayPass {
  readonly #options: GatewayPassOptions;
  readonly #gateways = new Memo<CompileTables, GatewayBase>();
  readonly #sets = new Memo<CompileTables, SetBase>();
  readonly #views = new Memo<CompileTables, ParentView>();
  readonly #ports = new Memo<CompileTables, PlanPort>();
  readonly #listeners = new Memo<CompileTables, PlanListener>();
  #viewsBefore: ReadonlyMap<string, ParentView> = new Map();

  constructor(options: GatewayPassOptions) {
    this.#options = options;
  }

  /** Fills `tables.parents`. */
  run({ tables, byKind }: Inventory, { challenges, nowMs }: GatewayPassInput): GatewayPassResult {
    for (const memo of [this.#gateways, this.#sets, this.#views, this.#ports, this.#listeners]) memo.begin(tables);
    const look = lookIn(tables);
    const findings: Finding[] = [];
    const gateways = this.#readGateways(byKind.Gateway, {
      look,
      findings,
      anyClass: byKind.GatewayClass.length > 0,
    });
    const sets = this.#readSets(byKind.ListenerSet, { gateways, tables, findings });
    const ports = sharePorts(candidatesOf(gateways, sets));
    for (const base of [...gateways, ...sets]) this.#addView(base, { ports, tables });
    this.#viewsBefore = tables.parents;

    const classes = byKind.GatewayClass.filter((one) => one.spec.controllerName === this.#options.controllerName);
    findings.push(...classes.flatMap(classFindings), ...ports.findings);
    for (const { findings: own, listeners } of [...gateways, ...sets]) {
      findings.push(
        ...own,
        ...listeners.flatMap((listener) => [...listener.findings, ...certificateFindings(listener, nowMs)]),
      );
    }
    const planned = this.#plan([...gateways, ...sets], ports, { challenges, look });
    return { gateways, sets, classes, ports, ...planned, findings };
  }

  #readGateways(
    gateways: readonly Gateway[],
    { look, findings, anyClass }: { look: Look; findings: Finding[]; anyClass: boolean },
  ): GatewayBase[] {
    const { controllerName, bindDefault } = this.#options;
    return gateways.toSorted(byAge).flatMap((gateway) => {
      const found = classOf(gateway, { look, controllerName, anyClass });
      if (!found.ours) {
        if (found.finding !== undefined) findings.push(found.finding);
        return [];
      }
      const { gatewayClass } = found;
      const inputs = [gateway, gatewayClass];
      return [
        this.#gateways.get(keyOf(gateway), inputs, (traced) =>
          readGateway({ gateway, gatewayClass, bindDefault }, traced),
        ),
      ];
    });
  }

  #readSets(
    sets: readonly ListenerSet[],
    { gateways, tables, findings }: { gateways: readonly GatewayBase[]; tables: CompileTables; findings: Finding[] },
  ): SetBase[] {
    const byKey = new Map(gateways.map((base) => [keyOf(base.gateway), base]));
    return sets.toSorted(byAge).flatMap((set) => {
      const { parentRef } = set.spec;
      const to: Reference = { ...parentRef, namespace: parentRef.namespace ?? set.metadata.namespace };
      const base = byKey.get(resourceKey(to.kind, to.namespace, to.name));
      if (base !== undefined && isGatewayKind(to, 'Gateway')) {
        return [this.#sets.get(keyOf(set), [set, base], (traced) => readSet(set, base, traced))];
      }
      const finding = orphanFinding(set, to, tables);
      if (finding !== undefined) findings.push(finding);
      return [];
    });
  }

  #addView(base: GatewayBase | SetBase, { ports, tables }: { ports: PortsResult; tables: CompileTables }): void {
    const owner = 'set' in base ? base.set : base.gateway;
    const gateway = gatewayOf(base);
    const key = keyOf(owner);
    const mesh = meshOf(lookIn(tables));
    const served = base.listeners.map((listener) => ports.verdicts.get(listener)?.served === true);
    const view = this.#views.get(key, [base, gateway, ...served], () => {
      const fresh: ParentView = {
        key,
        namespace: owner.metadata.namespace,
        gatewayKey: keyOf(gateway.gateway),
        isService: false,
        clientCertificate: gateway.clientCertificate,
        listeners: base.listeners.map((listener, i) =>
          viewOf(listener, served[i] === true ? gateway.addresses : [], mesh),
        ),
      };
      // A rotated certificate or a new annotation is nothing that routes see: they keep their results.
      const before = this.#viewsBefore.get(key);
      return before !== undefined && sameView(before, fresh) ? before : fresh;
    });
    tables.parents.set(key, view);
  }

  #plan(
    bases: readonly (GatewayBase | SetBase)[],
    { ports, verdicts }: PortsResult,
    { challenges, look }: { readonly challenges: readonly AcmeChallenge[]; readonly look: Look },
  ): Pick<GatewayPassResult, 'planPorts' | 'planListeners' | 'secrets'> {
    const mesh = meshOf(look);
    const planPorts: Record<string, PlanPort> = {};
    for (const [key, shared] of ports) {
      const lead = shared.listeners[0]!;
      // Client certificates are asked for where TLS ends, in one way only.
      const validation = shared.listeners.find(({ spec }) => endsTls(spec))?.validation;
      const guard = lead.isEgress ? mesh : undefined;
      const inputs = [lead.settings, validation, lead.spec.protocol, guard];
      planPorts[key] = this.#ports.get(key, inputs, () =>
        planPort(shared, lead, guard ? workloadsOnly(guard) : validation),
      );
    }
    const planListeners: Record<string, PlanListener> = {};
    const secrets: Record<string, PlanSecret> = {};
    const alpn = alpnChallenges(challenges);
    const place = isMember(look) ? EDGE : undefined;
    for (const base of bases) {
      const { addresses } = gatewayOf(base);
      for (const listener of base.listeners) {
        if (verdicts.get(listener)?.served !== true) continue;
        const challenge = challengeOf(listener, alpn);
        if (challenge !== undefined) secrets[challenge.ref.secret] = challenge.secret;
        for (const [i, address] of addresses.entries()) {
          const key = listenerKey(listener, address, i);
          const port = listenerPort(listener.spec, address);
          planListeners[key] = this.#listeners.get(key, [listener, port, challenge, place], () => ({
            ...planListener(listener, port, challenge),
            ...(isHttp(listener) && place),
          }));
        }
        for (const certificate of listener.certificates) {
          const { ref, secret } = nameSecret(certificate);
          secrets[ref.secret] = secret;
        }
      }
    }
    return { planPorts, planListeners, secrets };
  }
}

/** Precedence on a port: the older Gateway first; its own listeners, then its ListenerSets by age. */
function candidatesOf(gateways: readonly GatewayBase[], sets: readonly SetBase[]): Candidate[] {
  const accepted = Map.groupBy(
    sets.filter(({ notAccepted }) => notAccepted === undefined),
    ({ gateway }) => gateway,
  );
  return gateways
    .filter(({ notAccepted }) => notAccepted === undefined)
    .flatMap((base) =>
      [base, ...(accepted.get(base) ?? [])].flatMap(({ listeners }) =>
        listeners.map((listener) => ({ listener, addresses: base.addresses })),
      ),
    );
}

function viewOf(listener: ListenerBase, addresses: readonly string[], mesh: MeshView): ListenerView {
  const { spec, hostname, kinds, filters, isEgress } = listener;
  return {
    name: spec.name,
    port: spec.port,
    hostname,
    encrypted: spec.protocol === 'TLS' && !endsTls(spec),
    kinds,
    namespaces: spec.allowedRoutes.namespaces,
    keys: addresses.map((address, i) => listenerKey(listener, address, i)),
    filters: isEgress ? [egressFilters(mesh), ...filters] : filters,
    isEgress,
  };
}

/** With several addresses, each has a listener of its own in the plan; the first keeps the plain name. */
export function listenerKey({ key }: ListenerBase, address: string, index: number): string {
  return index === 0 ? key : `${key}@${address}`;
}

function sameView(a: ParentView, b: ParentView): boolean {
  return (
    a.clientCertificate === b.clientCertificate &&
    a.listeners.length === b.listeners.length &&
    a.listeners.every((listener, i) => {
      const { filters, ...rest } = listener;
      const { filters: otherFilters, ...otherRest } = b.listeners[i]!;
      const sameFilters =
        filters.length === otherFilters.length && filters.every((level, j) => level === otherFilters[j]);
      return sameFilters && canonicalJson(rest) === canonicalJson(otherRest);
    })
  );
}

/** How connections to a listener of each protocol begin. */
const PORT_PROTOCOLS: Readonly<Record<string, PlanPort['protocol']>> = {
  HTTP: 'http',
  HTTPS: 'tls',
  TLS: 'tls',
  TCP: 'tcp',
  UDP: 'udp',
};

function planPort(
  { address, port }: SharedPort,
  { settings, spec, isEgress }: ListenerBase,
  validation: ListenerBase['validation'],
): PlanPort {
  return {
    address,
    port,
    protocol: isEgress ? 'tls' : PORT_PROTOCOLS[spec.protocol]!,
    // A header before each datagram would be another protocol.
    ...(settings.proxyProtocol !== undefined && spec.protocol !== 'UDP' && { proxyProtocol: settings.proxyProtocol }),
    limits: settings.limits,
    timeouts: settings.timeouts,
    ...(validation !== undefined && { clientValidation: validation }),
  };
}

/** Whoever calls there is outside: what is said of deadlines and attempts begins here. */
const EDGE: Pick<PlanListener, 'callTree'> = { callTree: 'begin' };

function isHttp({ spec: { protocol } }: ListenerBase): boolean {
  return protocol === 'HTTP' || protocol === 'HTTPS';
}

/** By {@link challengeKey}. */
function alpnChallenges(challenges: readonly AcmeChallenge[]): ReadonlyMap<string, AlpnChallenge> {
  const alpn = challenges.filter((challenge) => challenge.kind === 'tls-alpn-01');
  return new Map(alpn.map((challenge) => [challengeKey(challenge), challenge]));
}

/** What answers tls-alpn-01 on a listener; undefined while no validation runs. */
function challengeOf({ acme }: ListenerBase, challenges: ReadonlyMap<string, AlpnChallenge>): NamedSecret | undefined {
  const challenge = acme === undefined ? undefined : challenges.get(challengeKey(acme));
  return challenge === undefined ? undefined : nameAlpnChallenge(challenge);
}

function planListener(listener: ListenerBase, port: string, challenge: NamedSecret | undefined): PlanListener {
  const { spec, hostname, settings, tls, certificates, acme } = listener;
  return {
    port,
    hostname,
    publicPort: spec.port,
    ...(endsTls(spec) && {
      tls: {
        certificates: certificates.map((one) => nameSecret(one).ref),
        ...tls,
        ...(acme !== undefined && { acme: challenge === undefined ? {} : { challenge: challenge.ref } }),
      },
    }),
    ...(listener.isEgress && { tls: { certificates: [SELF], ...MESH_TLS } }),
    ...streamOf(spec, settings),
    settings: settings.listener,
  };
}

function streamOf({ protocol }: ListenerBase['spec'], { udp }: ListenerBase['settings']): Pick<PlanListener, 'stream'> {
  switch (protocol) {
    case 'TLS':
      return { stream: { kind: 'tls' } };
    case 'TCP':
      return { stream: { kind: 'tcp' } };
    case 'UDP':
      return { stream: { kind: 'udp', ...udp } };
    default:
      return {};
  }
}

function classFindings(gatewayClass: GatewayClass): Finding[] {
  const fault = classFault(gatewayClass);
  if (fault === undefined) return [];
  return [error('gateway.parameters', gatewayClass, { field: '/spec/parametersRef', message: fault.message })];
}

/** A ListenerSet without a Gateway of ours. One of another controller is none of our business. */
function orphanFinding(set: ListenerSet, to: Reference, tables: CompileTables): Finding | undefined {
  const field = '/spec/parentRef';
  if (!isGatewayKind(to, 'Gateway')) {
    return error('reference.kind', set, {
      field,
      message: `Listeners cannot be added to kind "${to.kind}": use a Gateway`,
    });
  }
  if (findObject(tables, resourceKey(to.kind, to.namespace, to.name)) !== undefined) return undefined;
  return brokenAt(set, field, missing(to, ''));
}
