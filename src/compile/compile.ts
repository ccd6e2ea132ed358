/**
 * The compiler: resources in; a plan, problems and statuses out. The result is a
 * function of the resources, the cost is that of what changed: every pass keeps
 * its results with the look-ups that led to them (memo.ts).
 *
 *     resources -> policies -> gateways -> routes -> clusters -> plan
 *                                                             -> plans of sidecars, when they are asked for
 *                                                             -> problems
 *                                                             -> statuses, with what is true of the proxies
 */
import type { Problem } from '../base/problem.ts';
import type { Plan, PlanBundle } from '../ir/plan.ts';
import { keyOf, type Resource, type StreamRoute } from '../resource/resource.ts';
import { type CertificateWish, type Issued, NOTHING_ISSUED } from './acme.ts';
import { readAcme } from './acme-pass.ts';
import { assemble, placedRoutes } from './assemble.ts';
import { readTrust, type TrustView } from './backend-tls.ts';
import { nextChangeMs } from './certificate-check.ts';
import { ClusterCensus } from './census.ts';
import { type BackendLevel, backendLevelOf, type ClusterResult, lowerCluster } from './cluster.ts';
import { ConditionMemory } from './condition.ts';
import { type EndpointPlace, type EndpointSource, endpointSource } from './endpoint-source.ts';
import type { Found } from './found.ts';
import { GatewayPass } from './gateway-pass.ts';
import { type CompiledGateways, GatewayPlans } from './gateway-plan.ts';
import { type IssuerView, readIssuer } from './issuer.ts';
import { diffLists, type ListDelta, Memo } from './memo.ts';
import { answerCall, type CallAnswer, type CallQuestion, type ServiceRow, serviceRows } from './mesh-calls.ts';
import { type CompiledMesh, MeshPass } from './mesh-pass.ts';
import { type Passage, Passages } from './passages.ts';
import { type Level, levelOf } from './policies.ts';
import { policiesOf, type RulePolicies } from './policy-view.ts';
import { problemsOf } from './problems.ts';
import { Rivals } from './rivals.ts';
import { lowerRoute, type RouteResult } from './route.ts';
import type { MatchedRoute } from './rule.ts';
import { type ServedCertificate, servedCertificates } from './served-certificate.ts';
import { Shadows } from './shadow.ts';
import type { RuntimeState, StatusItem } from './status-item.ts';
import { statusItems } from './status.ts';
import { lowerStream, type StreamResult } from './stream-route.ts';
import { Suggestions } from './suggestion.ts';
import { type CompileTables, type Inventory, takeInventory, lookIn } from './tables.ts';
import { type PolicyTargets, readTargets } from './targets.ts';

export interface CompilerOptions {
  /** Name by which GatewayClasses are ours: `fourways.io/gateway-controller`. */
  readonly controllerName: string;
  /** The address of `--bind`: a Gateway that asks for it shares its ports with those that ask for none. */
  readonly bindDefault: string;
  /** Milliseconds since the epoch: for certificates that expire, and for lastTransitionTime. */
  wallMs(): number;
  /**
   * Roots of the mesh's own trust domain, PEM bundles; the same array as long as they are the same. Absent in a process
   * without an identity: what has a sidecar cannot be reached from there.
   */
  meshRoots?(): readonly string[];
  /** Identities that the authority of the mesh has denied; the same array as long as they are the same. */
  meshDenied?(): readonly string[];
}

export interface Compiled {
  /** The same object as before when nothing of the plan changed. */
  readonly bundle: PlanBundle;
  /** Errors first. */
  readonly problems: readonly Problem[];
  /** Results that were made anew; the others are the objects of the compile before. */
  readonly made: { readonly routes: number; readonly clusters: number };
  /**
   * A plan made of this one, with the places where its rules and filters were written. They are found when they
   * are asked for: they cost a parse of each document, and they move without the plan being another one.
   */
  withPlaces(plan: Plan): Plan;
  /** What the policies on a route come to, rule by rule, with what was overridden. @param key  `HTTPRoute/shop/web` */
  policiesOf(key: string): RulePolicies[] | undefined;
  /** Certificates that are wanted from ACME, issued or not. */
  readonly wishes: readonly CertificateWish[];
  /** When problems and statuses change although nothing is edited: a certificate begins, ends, or is about to. */
  readonly nextChangeMs: number | undefined;
  /** Every certificate that is in the plan, and those that are awaited. */
  certificates(): ServedCertificate[];
  /** The plans of sidecars. */
  readonly mesh: CompiledMesh;
  /**
   * Who is on the way of a call through the mesh. Good until the next compile.
   *
   * @throws {RangeError} when the roots of the mesh are not known
   */
  callsOf(question: CallQuestion): CallAnswer;
  /** Services of the mesh with their instances, counted. */
  services(): readonly ServiceRow[];
  /** The plans of proxies that serve some of the Gateways. */
  readonly gateways: CompiledGateways;
  /** Who said where an endpoint of the plan is. */
  readonly sourceOf: (place: EndpointPlace) => EndpointSource | undefined;
  /** Every object with its `.status`. */
  statusOf(runtime: RuntimeState): StatusItem[];
}

/** Of results that depend on their key and on what they look up. */
const NO_INPUTS: readonly unknown[] = [];

const NO_ROOTS: readonly string[] = [];
const NO_DENIALS: readonly string[] = [];

const NOBODY: ReadonlySet<string> = new Set();

/** What a cluster is made of; a change of anything else leaves all of them as they are. */
const CLUSTER_TABLES = [
  'Backend',
  'backendLevels',
  'ConfigMap',
  'grants',
  'issued',
  'meshes',
  'parents',
  'Secret',
  'Service',
  'sidecars',
  'slices',
  'tlsPolicies',
  'trusts',
  'workloads',
] as const satisfies (keyof CompileTables)[];

/** Keeps what the next compile can use again, so one compiler serves one stream of configurations. */
export class Compiler {
  readonly #options: CompilerOptions;
  readonly #gatewayPass: GatewayPass;
  readonly #meshPass: MeshPass;
  readonly #levels = new Memo<CompileTables, Level>();
  readonly #backendLevels = new Memo<CompileTables, BackendLevel>();
  readonly #trusts = new Memo<CompileTables, TrustView>();
  readonly #issuers = new Memo<CompileTables, IssuerView>();
  readonly #targets = new Memo<CompileTables, PolicyTargets>();
  readonly #rivals = new Rivals();
  readonly #routes = new Memo<CompileTables, RouteResult, MatchedRoute>();
  readonly #streams = new Memo<CompileTables, StreamResult, StreamRoute>();
  readonly #passages = new Passages();
  readonly #clusters = new Memo<CompileTables, ClusterResult>();
  readonly #gatewayPlans = new GatewayPlans();
  readonly #census = new ClusterCensus();
  readonly #shadows = new Shadows();
  readonly #suggestions = new Suggestions();
  readonly #conditions: ConditionMemory;
  #inventory: Inventory | undefined;
  #results: readonly RouteResult[] = [];
  #streamResults: readonly StreamResult[] = [];
  #passageResults: readonly Passage[] = [];
  #clusterResults: ReadonlyMap<string, ClusterResult> = new Map();
  #bundle: PlanBundle | undefined;

  constructor(options: CompilerOptions) {
    this.#options = options;
    this.#gatewayPass = new GatewayPass(options);
    this.#meshPass = new MeshPass(() => ({
      roots: options.meshRoots?.() ?? NO_ROOTS,
      denied: options.meshDenied?.() ?? NO_DENIALS,
    }));
    this.#conditions = new ConditionMemory((): number => options.wallMs());
  }

  /**
   * @param resources  in the order of their files; of two with the same name the first counts
   * @param issued  what came of the wishes of the compile before
   * @param unread  who could not be read, as problems name them: `Gateway shop/edge`
   */
  compile(
    resources: readonly Resource[],
    issued: Issued = NOTHING_ISSUED,
    unread: ReadonlySet<string> = NOBODY,
  ): Compiled {
    const { controllerName } = this.#options;
    const inventory = takeInventory(resources, issued.secrets, this.#inventory);
    this.#inventory = inventory;
    this.#meshPass.begin(inventory);
    this.#readPolicies(inventory);
    const { challenges } = issued;
    const gateways = this.#gatewayPass.run(inventory, { challenges, nowMs: this.#options.wallMs() });
    const acme = readAcme(gateways, challenges);
    const targets = this.#readTargets(inventory);
    const routes = this.#lowerRoutes(inventory);
    const streams = this.#lowerStreams(inventory);
    const delta = diffLists(this.#results, routes);
    this.#results = routes;
    this.#shadows.update(delta);
    const streamDelta = diffLists(this.#streamResults, streams);
    this.#streamResults = streams;
    const passages = this.#passages.run(inventory);
    const passageDelta = diffLists(this.#passageResults, passages);
    this.#passageResults = passages;
    const clusters = this.#lowerClusters([delta, streamDelta, passageDelta], inventory.tables);
    const { mesh, ...meshFound } = this.#meshPass.run(inventory, { routes, streams });
    const found: Found = { inventory, gateways, acme, routes, streams, passages, clusters, targets, mesh: meshFound };

    this.#bundle = assemble(found, this.#bundle);
    const bundle = this.#bundle;
    const { version } = bundle.plan;
    const memory = this.#conditions;
    return {
      bundle,
      problems: problemsOf(found, { shadows: this.#shadows.findings(), suggestions: this.#suggestions, unread }),
      made: { routes: this.#routes.made, clusters: this.#clusters.made },
      mesh,
      callsOf: (question) => answerCall(question, { mesh, inventory }),
      services: () => serviceRows(inventory, meshFound.view),
      gateways: this.#gatewayPlans.of(found, bundle),
      wishes: acme.wishes,
      nextChangeMs: nextChangeMs(found, this.#options.wallMs()),
      sourceOf: (place) => endpointSource(place, lookIn(inventory.tables)),
      certificates: () => servedCertificates(found, this.#options.wallMs()),
      withPlaces: (plan) => ({ ...plan, routes: placedRoutes(found) }),
      policiesOf: (key) => {
        const result = routes.find(({ route }) => keyOf(route) === key);
        return result === undefined ? undefined : policiesOf(result, lookIn(inventory.tables));
      },
      statusOf: (runtime) =>
        statusItems(found, { runtime, version, memory, controllerName, nowMs: this.#options.wallMs() }),
    };
  }

  #readPolicies({ tables, byKind }: Inventory): void {
    this.#levels.begin(tables);
    this.#backendLevels.begin(tables);
    this.#trusts.begin(tables);
    this.#issuers.begin(tables);
    for (const [key, policies] of tables.policies) {
      tables.levels.set(
        key,
        this.#levels.get(key, [policies], (look) => levelOf(policies, look)),
      );
    }
    for (const [key, policies] of tables.backendPolicies) {
      tables.backendLevels.set(
        key,
        this.#backendLevels.get(key, [policies], () => backendLevelOf(policies)),
      );
    }
    for (const issuer of byKind.AcmeIssuer) {
      const key = keyOf(issuer);
      tables.issuers.set(
        key,
        this.#issuers.get(key, [issuer], (look) => readIssuer(issuer, look)),
      );
    }
    for (const policy of byKind.BackendTLSPolicy) {
      const key = keyOf(policy);
      tables.trusts.set(
        key,
        this.#trusts.get(key, [policy], (look) => readTrust(policy, look)),
      );
    }
  }

  #readTargets({ tables, byKind }: Inventory): PolicyTargets[] {
    this.#targets.begin(tables);
    const policies = [...byKind.Policy, ...byKind.BackendPolicy, ...byKind.BackendTLSPolicy];
    return policies.map((policy) => this.#targets.get(keyOf(policy), [policy], (look) => readTargets(policy, look)));
  }

  #lowerRoutes({ tables, byKind }: Inventory): RouteResult[] {
    this.#rivals.run({ tables, byKind });
    this.#routes.begin(tables);
    const routes: readonly MatchedRoute[] =
      byKind.GRPCRoute.length === 0 ? byKind.HTTPRoute : [...byKind.HTTPRoute, ...byKind.GRPCRoute];
    return routes.map((route) => this.#routes.get(route, NO_INPUTS, (look) => lowerRoute(route, look)));
  }

  #lowerStreams({ tables, byKind: { TLSRoute, TCPRoute, UDPRoute } }: Inventory): StreamResult[] {
    this.#streams.begin(tables);
    return [...TLSRoute, ...TCPRoute, ...UDPRoute].map((route) =>
      this.#streams.get(route, NO_INPUTS, (look) => lowerStream(route, look)),
    );
  }

  /** The clusters that some route sends to; a Service that nobody uses is none. */
  #lowerClusters(
    deltas: readonly ListDelta<RouteResult | StreamResult | Passage>[],
    tables: CompileTables,
  ): ReadonlyMap<string, ClusterResult> {
    this.#clusters.begin(tables);
    const outcomes = deltas.map((delta) => this.#census.update(delta));
    if (!outcomes.includes('changed') && !this.#clusters.changed(CLUSTER_TABLES)) {
      this.#clusters.keepAll();
      return this.#clusterResults;
    }
    const clusters = new Map<string, ClusterResult>();
    for (const need of this.#census.needs()) {
      // The need itself is made anew with each route; what it says is all that counts.
      const inputs = [need.target.resource, need.certificateOf];
      clusters.set(
        need.key,
        this.#clusters.get(need.key, inputs, (look) => lowerCluster(need, look)),
      );
    }
    this.#clusterResults = clusters;
    return clusters;
  }
}
