/** What would become of a connection or datagram below HTTP: the same tables as in the proxy, nothing is sent. */
import type { Plan, PlanListener, PlanStream } from '../ir/plan.ts';
import { PortListeners } from '../proxy/listener-table.ts';
import { HostMap } from '../proxy/host-map.ts';
import { compareStreams } from '../proxy/stream-table.ts';
import { type BackendVerdict, clusterVerdict, INVALID, isAsked } from './decision.ts';
import { endpointName, percentText, shareOf } from './plan-text.ts';

export interface StreamQuestion {
  readonly protocol: 'tcp' | 'tls' | 'udp';
  /** Server name of a TLS client; an address says nothing for the others. */
  readonly host: string;
  readonly port: number;
  /** Key of a listener, or a part of one: only these are considered. */
  readonly listener: string | undefined;
}

export interface StreamDecision {
  readonly plan: string;
  readonly connection: Pick<StreamQuestion, 'protocol' | 'host' | 'port'>;
  readonly listener: string | undefined;
  /** What becomes of TLS at the listener. */
  readonly tls: 'none' | 'passed on' | 'ends here';
  /** Routes of the listener for this name, the one that counts first. */
  readonly routes: readonly string[];
  readonly backends: readonly (Omit<BackendVerdict, 'filters'> & { readonly proxyProtocol: string | undefined })[];
  /** Why it is closed instead. */
  readonly refused: string | undefined;
}

export function decideStream(plan: Plan, question: StreamQuestion): StreamDecision {
  const { protocol, host, port } = question;
  const name = protocol === 'tls' ? host.toLowerCase() : '';
  const here = Object.entries(plan.listeners).filter(([key, listener]) => isMeant(plan, question, [key, listener]));
  const chosen = new PortListeners(here.map((row): [string, [string, PlanListener]] => [row[1].hostname, row])).find(
    name,
  );
  const decision = { plan: plan.version, connection: { protocol, host, port }, tls: 'none', backends: [] } as const;
  if (chosen === undefined) {
    const refused =
      here.length === 0
        ? `No listener takes ${protocol} on port ${port}`
        : `No listener on port ${port} has a hostname that takes ${host} (unrecognized_name)`;
    return { ...decision, listener: undefined, routes: [], refused };
  }
  const [key, listener] = chosen;
  const tls = protocol !== 'tls' ? 'none' : listener.tls === undefined ? 'passed on' : 'ends here';
  const found = { ...decision, listener: key, tls } as const;
  if (listener.stream === undefined) {
    return { ...found, routes: [], refused: 'The listener serves HTTP: ask for the URL instead' };
  }
  return { ...found, ...followed(plan, key, name) };
}

/**
 * The same at a listener of a sidecar, which was chosen by a name already.
 *
 * @param listener  key of one that reads nothing of what it carries
 */
export function decideStreamAt(
  plan: Plan,
  listener: string,
  { protocol, host, port }: Pick<StreamQuestion, 'protocol' | 'host' | 'port'>,
): StreamDecision {
  const tls = plan.listeners[listener]?.tls === undefined ? 'none' : 'ends here';
  const connection = { protocol, host, port };
  return { plan: plan.version, connection, listener, tls, ...followed(plan, listener, '') };
}

function followed(plan: Plan, key: string, name: string): Pick<StreamDecision, 'routes' | 'backends' | 'refused'> {
  const routes = routesFor(plan, key, name);
  const stream = routes[0]?.[1];
  if (stream === undefined) return { routes: [], backends: [], refused: 'No route of the listener takes it' };
  return { routes: routes.map(([route]) => route), backends: backendsOf(plan, stream), refused: undefined };
}

function isMeant(
  plan: Plan,
  { protocol, port, listener }: StreamQuestion,
  [key, view]: [string, PlanListener],
): boolean {
  const bound = plan.ports[view.port]!;
  return isAsked(key, listener) && bound.protocol === protocol && (bound.port === port || view.publicPort === port);
}

/** Those of the most specific name that takes `host`, the one that counts first. */
function routesFor(plan: Plan, listener: string, host: string): [string, PlanStream][] {
  const byHost = new Map<string, [string, PlanStream][]>();
  for (const row of Object.entries(plan.streams)) {
    for (const attached of row[1].attach) {
      if (attached.listener !== listener) continue;
      for (const name of attached.hosts) byHost.set(name, [...(byHost.get(name) ?? []), row]);
    }
  }
  return (HostMap.of(byHost).find(host) ?? []).toSorted(compareStreams);
}

function backendsOf(plan: Plan, { backends }: PlanStream): StreamDecision['backends'] {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0);
  return backends.map((backend) => {
    const common = { weight: backend.weight, share: shareOf(backend.weight, total) };
    if ('why' in backend) return { ...common, ...INVALID, invalid: backend.why, proxyProtocol: undefined };
    const { proxyProtocol } = plan.clusters[backend.cluster] ?? {};
    return { ...common, ...clusterVerdict(plan, backend.cluster), proxyProtocol };
  });
}

export function streamDecisionText({ connection, listener, tls, routes, backends, refused }: StreamDecision): string {
  const { protocol, host, port } = connection;
  return [
    `${protocol}://${host}:${port}`,
    `listener  ${listener ?? 'none'}${tls === 'none' ? '' : ` (TLS ${tls})`}`,
    ...(routes.length === 0 ? [] : [`route     ${routes[0]}`]),
    ...routes.slice(1).map((route) => `  - ${route} is newer: it gets nothing`),
    ...backends.flatMap((backend) => backendLines(backend)),
    ...(refused === undefined ? [] : [`closed    ${refused}`]),
  ].join('\n');
}

function backendLines({
  cluster,
  invalid,
  weight,
  share,
  tls,
  proxyProtocol,
  endpoints,
}: StreamDecision['backends'][number]): string[] {
  const extras = [
    tls === undefined ? '' : `, TLS as ${tls}`,
    proxyProtocol === undefined ? '' : `, PROXY ${proxyProtocol}`,
  ];
  return [
    `backend   ${cluster ?? 'invalid backend'} gets ${percentText(share)} (weight ${weight})${extras.join('')}`,
    ...(invalid === undefined ? [] : [`  closed: ${invalid}`]),
    ...endpoints.map((endpoint) => `  endpoint ${endpointName(endpoint)}`),
    ...(endpoints.length === 0 && invalid === undefined ? ['  no endpoint: closed'] : []),
  ];
}
