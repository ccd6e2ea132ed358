/**
 * A call through the mesh as a tree: the proxy that sends, and below each service that it may lead to the sidecar that
 * takes it in. Each hop is decided by the plan of its proxy.
 */
import { parseSpiffeId } from '../base/spiffe.ts';
import type { CallAnswer, CallQuestion, Callee, Instance, PassedOver } from '../compile/mesh-calls.ts';
import type { RequestHead } from '../http/message.ts';
import type { Plan, PlanCluster, PlanEndpoint, PlanRule } from '../ir/plan.ts';
import { identityProblem } from '../net/workload-check.ts';
import { decideAccess } from '../proxy/stream-access.ts';
import { type Ambiguous, type ChosenBy, type Decision, makeDecision, type Question } from './decision.ts';
import { type Asking, copyRequest, type FilterVerdict, tryFilters } from './filter-trial.ts';
import { shareOf } from './plan-text.ts';
import { decideStreamAt, type StreamDecision } from './stream-decision.ts';

interface HopParts {
  /** `gateway`, `client`: the sidecar of who calls, `server`: that of who is called. */
  readonly at: 'gateway' | 'client' | 'server';
  /** SPIFFE ID of this proxy; undefined where it is in no mesh. */
  readonly proxy: string | undefined;
  /** Of a server: the instance that is looked at. */
  readonly workload?: string;
  /** Of a client: routes of the service that are not for it. */
  readonly passedOver?: readonly PassedOver[];
  /** What filters make of it, in running order; of backends behind those of the rule. */
  readonly verdicts: readonly FilterVerdict[];
  /** Where it goes on to, in the order of the backends. Empty where it ends here. */
  readonly onward: readonly Onward[];
  /** Why nothing is taken in: the connection is refused. */
  readonly refused: string | undefined;
}

/** A request at one proxy. */
export interface RequestHop extends Decision, HopParts {
  readonly kind: 'request';
}

/** A connection that is passed on unread. */
export interface StreamHop extends Omit<StreamDecision, 'refused'>, HopParts {
  readonly kind: 'stream';
}

export type Hop = RequestHop | StreamHop;

/** A connection from one proxy to a service. */
export interface Onward {
  readonly cluster: string;
  /** Of the requests of this hop, 0 to 1. */
  readonly share: number;
  /** `mtls`: between two sidecars; `tls`: as a policy says; `clear`: nobody proves anything. */
  readonly transport: 'mtls' | 'tls' | 'clear';
  readonly serverName?: string;
  /** SPIFFE IDs of which the other end must have one. */
  readonly peers: readonly string[];
  readonly endpoints: readonly OnwardEndpoint[];
  /** Instances of the service that get nothing, and why. */
  readonly left: readonly { readonly workload: string; readonly why: string }[];
  readonly hop?: Hop;
}

export interface OnwardEndpoint extends Omit<PlanEndpoint, 'clear'> {
  readonly share: number;
  readonly transport: Onward['transport'];
  readonly workload?: string;
  readonly health?: Instance['health'];
  /** `registered` by its sidecar, or where it is written. */
  readonly source?: Instance['source'];
}

/** Where plans come from. */
export interface CallSource {
  calls(question: CallQuestion): Promise<CallAnswer>;
}

export interface Caller {
  readonly namespace: string;
  readonly account: string;
}

export interface TreeQuestion {
  readonly question: Question;
  /** Of a user, where one is said to ask. */
  readonly claims: Asking['claims'];
  /** Epoch time. */
  readonly wallMs: () => number;
}

/** Who gateways are, unless they were told otherwise. */
const GATEWAY: Caller = { namespace: 'fourways', account: 'gateway' };

/** Ends in it: server names between sidecars. */
const MESH_DOMAIN = '.mesh.internal';

/** At the edge. The mesh is only asked for where the plan leads into it. */
export async function treeFromGateway(
  plan: Plan,
  asked: TreeQuestion,
  source: CallSource,
): Promise<RequestHop | Ambiguous> {
  const made = makeDecision(plan, asked.question);
  if ('ambiguous' in made) return made;
  const services = (made.taken?.rule.backends ?? []).flatMap(({ target }) => {
    const name = target.kind === 'cluster' ? plan.clusters[target.cluster]?.tls?.serverName : undefined;
    return target.kind === 'cluster' && name?.endsWith(MESH_DOMAIN) === true ? serviceKeyOf(target.cluster) : [];
  });
  const answer = services.length === 0 ? undefined : await source.calls({ services });
  const tree = new Tree(asked, answer?.callees ?? []);
  const proxy = answer === undefined ? undefined : idOf(answer.trustDomain, GATEWAY);
  return tree.requestHop(plan, asked.question, { at: 'gateway', proxy, peer: undefined });
}

/** From a workload, through the forward proxy of its sidecar. */
export async function treeFromWorkload(caller: Caller, asked: TreeQuestion, source: CallSource): Promise<Hop> {
  const { authority } = asked.question;
  const host = authority.replace(/:\d+$/, '');
  const { client, callees, trustDomain } = await source.calls({
    from: { namespace: caller.namespace, host },
    services: [],
  });
  const tree = new Tree(asked, callees);
  const question: Question = { ...asked.question, by: { kind: 'authority' } };
  const proxy = idOf(trustDomain, caller);
  const hop = await tree.hop(client!.plan, question, { at: 'client', proxy, peer: undefined });
  return { ...hop, passedOver: client!.passedOver };
}

function idOf(trustDomain: string, { namespace, account }: Caller): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`;
}

/** `Service/shop/orders` of `Service/shop/orders/80+h2`. */
function serviceKeyOf(cluster: string): string {
  return cluster.split('/').slice(0, 3).join('/');
}

interface Standing {
  readonly at: HopParts['at'];
  readonly proxy: string | undefined;
  /** Identity of the other end of the connection that came. */
  readonly peer: string | undefined;
  readonly workload?: string;
}

class Tree {
  readonly #asked: TreeQuestion;
  readonly #callees: ReadonlyMap<string, Callee>;

  constructor(asked: TreeQuestion, callees: readonly Callee[]) {
    this.#asked = asked;
    this.#callees = new Map(callees.map((callee) => [callee.service, callee]));
  }

  /** Of either kind, as the listener that is chosen says. */
  async hop(plan: Plan, question: Question, standing: Standing): Promise<Hop> {
    const made = makeDecision(plan, question);
    const chosen = 'ambiguous' in made ? undefined : made.decision.listeners.find(isChosen)?.listener;
    const stream = chosen === undefined ? undefined : plan.listeners[chosen]!.stream;
    if (chosen === undefined || stream === undefined) return this.requestHop(plan, question, standing);
    return this.#streamHop(plan, chosen, { question, standing });
  }

  async requestHop(plan: Plan, question: Question, standing: Standing): Promise<RequestHop> {
    const made = makeDecision(plan, question);
    // Nobody chooses by address in the mesh, and the edge has been asked before.
    if ('ambiguous' in made) throw new RangeError('Cannot choose a listener');
    const { decision, taken } = made;
    const { at, proxy, workload } = standing;
    const parts = { ...decision, kind: 'request', at, proxy, ...(workload !== undefined && { workload }) } as const;
    const refused = refusedPeer(plan, decision.listeners.find(isChosen)?.listener, standing.peer);
    if (taken === undefined || refused !== undefined) return { ...parts, verdicts: [], onward: [], refused };
    const { rule, matchedPath } = taken;
    const place = {
      rule: rule.name,
      matchedPath,
      listenerPort: question.port,
      asking: { peer: standing.peer, claims: this.#asked.claims },
      wallMs: () => this.#asked.wallMs(),
    };
    const tried = await tryFilters(rule.filters, copyRequest(taken.request), place);
    if (tried.end !== undefined) return { ...parts, verdicts: tried.verdicts, onward: [], refused };
    const verdicts = [...tried.verdicts];
    const onward: Onward[] = [];
    for (const { cluster, filters, share } of backendsOf(rule)) {
      // oxlint-disable-next-line no-await-in-loop -- in the order in which people read it
      const further = await tryFilters(filters, copyRequest(tried.request), place);
      verdicts.push(...further.verdicts);
      if (further.end !== undefined) continue;
      // oxlint-disable-next-line no-await-in-loop
      onward.push(await this.#onward(plan, { cluster, share }, { question, standing, request: further.request }));
    }
    return { ...parts, verdicts, onward, refused };
  }

  async #streamHop(
    plan: Plan,
    listener: string,
    { question, standing }: { readonly question: Question; readonly standing: Standing },
  ): Promise<StreamHop> {
    const { refused: why, ...decision } = decideStreamAt(plan, listener, {
      protocol: 'tcp',
      host: question.authority.replace(/:\d+$/, ''),
      port: plan.listeners[listener]!.publicPort,
    });
    const { at, proxy, workload } = standing;
    const refused =
      refusedPeer(plan, listener, standing.peer) ??
      why ??
      decideAccess(plan.streams[decision.routes[0] ?? '']?.access ?? [], standing.peer).refused ??
      decision.backends.find(isClosed)?.invalid;
    const parts = { ...decision, kind: 'stream', at, proxy, ...(workload !== undefined && { workload }) } as const;
    if (refused !== undefined) return { ...parts, verdicts: [], onward: [], refused };
    const onward: Onward[] = [];
    for (const { cluster, share } of decision.backends) {
      if (cluster === undefined) continue;
      // oxlint-disable-next-line no-await-in-loop -- in the order in which people read it
      onward.push(await this.#onward(plan, { cluster, share }, { question, standing, request: undefined }));
    }
    return { ...parts, verdicts: [], onward, refused: undefined };
  }

  async #onward(
    { clusters }: Plan,
    { cluster: key, share }: { readonly cluster: string; readonly share: number },
    from: { readonly question: Question; readonly standing: Standing; readonly request: RequestHead | undefined },
  ): Promise<Onward> {
    const cluster = clusters[key];
    const callee = from.standing.at === 'server' ? undefined : this.#callees.get(serviceKeyOf(key));
    const transport = transportOf(cluster);
    const serverName = cluster?.tls?.serverName;
    const onward: Onward = {
      cluster: key,
      share,
      transport,
      ...(serverName !== undefined && { serverName }),
      peers: (cluster?.tls?.subjectAltNames ?? []).flatMap(({ kind, value }) => (kind === 'uri' ? value : [])),
      endpoints: endpointsOf(cluster, callee, transport),
      left: leftOut(cluster, callee),
    };
    const inbound = callee?.inbound;
    if (transport !== 'mtls' || inbound === undefined) return onward;
    if (onward.endpoints.every((endpoint) => endpoint.transport !== 'mtls')) return onward;
    const { workload } = inbound;
    const { identity } = callee!.instances.find((one) => one.workload === workload)!;
    const question = inboundQuestion(from, { kind: 'server-name', serverName: serverName! });
    const hop = await this.hop(inbound.plan, question, {
      at: 'server',
      proxy: identity,
      peer: from.standing.proxy,
      workload,
    });
    return { ...onward, hop };
  }
}

/** The request as the other sidecar gets it. */
function inboundQuestion(
  { question, request }: { readonly question: Question; readonly request: RequestHead | undefined },
  by: ChosenBy,
): Question {
  const port = Number(/^\d+/.exec(by.kind === 'server-name' ? by.serverName : '')?.[0] ?? question.port);
  if (request === undefined) return { ...question, port, listener: undefined, by };
  const headers: [string, string][] = [];
  request.headers.forEach((name, value) => {
    if (name.toLowerCase() !== 'host') headers.push([name, value]);
  });
  const { method, scheme, authority, path, query } = request;
  return { method, scheme, authority, port, target: `${path}${query}`, headers, listener: undefined, by };
}

function isChosen({ outcome }: Decision['listeners'][number]): boolean {
  return outcome === 'chosen';
}

function isClosed({ cluster, invalid }: StreamDecision['backends'][number]): boolean {
  return cluster === undefined && invalid !== undefined;
}

/** Why a connection of this peer is not taken in. */
function refusedPeer(
  { listeners, ports }: Plan,
  listener: string | undefined,
  peer: string | undefined,
): string | undefined {
  const port = listener === undefined ? undefined : ports[listeners[listener]!.port];
  const workloads = port?.clientValidation?.workloads;
  if (workloads === undefined) return undefined;
  const id = peer === undefined ? undefined : parseSpiffeId(peer);
  if (id === undefined) return 'client-certificate-missing: only workloads of the mesh are taken in';
  const { trustDomains, federated = [], denied } = workloads;
  const all = [...trustDomains, ...federated.map(({ trustDomain }) => trustDomain)];
  const problem = identityProblem(id, { trustDomains: all, denied });
  return problem === undefined ? undefined : `${problem.failure}: ${problem.detail}`;
}

function backendsOf({ backends }: PlanRule): {
  readonly cluster: string;
  readonly share: number;
  readonly filters: PlanRule['filters'];
}[] {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0);
  return backends.flatMap(({ target, weight, filters }) =>
    target.kind === 'invalid' || weight === 0
      ? []
      : [{ cluster: target.cluster, share: shareOf(weight, total), filters }],
  );
}

function transportOf(cluster: PlanCluster | undefined): Onward['transport'] {
  if (cluster?.tls === undefined) return 'clear';
  return cluster.tls.serverName.endsWith(MESH_DOMAIN) ? 'mtls' : 'tls';
}

function endpointsOf(
  cluster: PlanCluster | undefined,
  callee: Callee | undefined,
  transport: Onward['transport'],
): OnwardEndpoint[] {
  const endpoints = cluster?.endpoints ?? [];
  const first = Math.min(...endpoints.map(({ priority = 0 }) => priority));
  const isFirst = ({ priority = 0 }: PlanEndpoint): boolean => priority === first;
  const total = endpoints.filter(isFirst).reduce((sum, { weight }) => sum + weight, 0);
  return endpoints.map((one) => {
    const { clear, ...endpoint } = one;
    const instance = callee?.instances.find((one) => isAt(one, endpoint));
    return {
      ...endpoint,
      share: isFirst(one) ? shareOf(endpoint.weight, total) : 0,
      transport: clear === true ? 'clear' : transport,
      ...(instance !== undefined && {
        workload: instance.workload,
        health: instance.health,
        source: instance.source,
      }),
    };
  });
}

function isAt({ address, proxyPort, ports }: Instance, endpoint: PlanEndpoint | Omit<PlanEndpoint, 'clear'>): boolean {
  if (address !== endpoint.address) return false;
  return proxyPort === undefined ? Object.values(ports).includes(endpoint.port) : proxyPort === endpoint.port;
}

function leftOut(cluster: PlanCluster | undefined, callee: Callee | undefined): Onward['left'] {
  return (callee?.instances ?? []).flatMap((instance) => {
    if (cluster?.endpoints.some((endpoint) => isAt(instance, endpoint)) === true) return [];
    const { workload, health, proxyPort } = instance;
    if (health !== 'ready') return [{ workload, why: `it is ${health}` }];
    return [
      {
        workload,
        why: proxyPort === undefined ? 'it has no sidecar, and the mesh is strict' : 'it has no port for this one',
      },
    ];
  });
}

/** Whether a request surely does not come through, anywhere on its way. */
export function isRefused(hop: Hop): boolean {
  if (hop.refused !== undefined) return true;
  if (hop.kind === 'request' && hop.rule === undefined) return true;
  const ends = hop.verdicts.some(({ outcome, certain, audit }) => outcome === 'refuses' && certain && !audit);
  return ends || hop.onward.some((onward) => onward.hop !== undefined && isRefused(onward.hop));
}
