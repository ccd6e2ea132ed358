/** A call as a person reads it: hop by hop, each next one below the backend that leads to it. */
import { portKey } from '../ir/key.ts';
import type { Hop, Onward, OnwardEndpoint, RequestHop, StreamHop } from './call-tree.ts';
import { type Beyond, decisionText, type TextOptions } from './decision-text.ts';
import type { FilterVerdict } from './filter-trial.ts';
import { paint, type Palette } from './paint.ts';
import { percentText, placeText } from './plan-text.ts';

const WHO: Readonly<Record<Hop['at'], string>> = {
  gateway: 'gateway',
  client: 'the caller and its sidecar',
  server: 'sidecar',
};

export function callText(hop: Hop, options: TextOptions): string {
  return hopLines(hop, options).join('\n');
}

function hopLines(hop: Hop, options: TextOptions): string[] {
  const { palette } = options;
  const refused = hop.refused === undefined ? [] : [paint(palette, 'red', `refused   ${hop.refused}`)];
  return [
    ...whoLines(hop, palette),
    ...(hop.kind === 'request' ? requestLines(hop, options) : streamLines(hop, options)),
    ...refused,
  ];
}

/** A gateway in no mesh is nobody. */
function whoLines({ at, proxy, workload }: Hop, palette: Palette): string[] {
  if (proxy === undefined) return [];
  const who = workload === undefined ? WHO[at] : `${WHO[at]} of ${workload}`;
  return [paint(palette, 'bold', `${who} (${proxy})`)];
}

function requestLines(hop: RequestHop, options: TextOptions): string[] {
  const onward = new Map(hop.onward.map((one) => [one.cluster, one]));
  const beyond = (cluster: string): Beyond | undefined => {
    const one = onward.get(cluster);
    // Of a plain backend everything stands in the plan.
    return one === undefined || (isPlain(one) && hop.at !== 'server') ? undefined : beyondOf(one, hop, options);
  };
  const verdicts = hop.verdicts.flatMap((verdict) => verdictLines(verdict, options));
  return decisionText(hop, { ...options, beyond, verdicts, passedOver: passedOverLines(hop, options) }).split('\n');
}

function passedOverLines({ passedOver = [] }: Hop, { palette, cwd }: TextOptions): string[] {
  return passedOver.map(({ route, at, why }) => paint(palette, 'dim', `  - ${route} ${why} (${placeText(at, cwd)})`));
}

function isPlain({ transport, endpoints }: Onward): boolean {
  return transport !== 'mtls' && endpoints.every(({ workload }) => workload === undefined);
}

function streamLines(hop: StreamHop, options: TextOptions): string[] {
  const { connection, listener, routes, backends, onward } = hop;
  return [
    paint(options.palette, 'bold', `${connection.protocol}://${connection.host}:${connection.port}`),
    `listener  ${listener ?? 'none'}${hop.tls === 'none' ? '' : ` (TLS ${hop.tls})`}`,
    ...(routes.length === 0 ? [] : [`route     ${routes[0]}`]),
    ...routes.slice(1).map((route) => `  - ${route} is newer: it gets nothing`),
    ...passedOverLines(hop, options),
    ...backends.flatMap(({ cluster, share, weight, invalid }) => {
      const one = onward.find((other) => other.cluster === cluster);
      const more = one === undefined ? undefined : beyondOf(one, hop, options);
      return [
        `backend   ${cluster ?? 'invalid backend'} gets ${percentText(share)} (weight ${weight})${more?.transport ?? ''}`,
        ...(invalid === undefined ? [] : [`  closed: ${invalid}`]),
        ...(more?.endpoints ?? []),
        ...(more?.below ?? []),
      ];
    }),
  ];
}

function beyondOf(onward: Onward, from: Hop, options: TextOptions): Beyond {
  const { hop, endpoints, left } = onward;
  const gone = left.map(({ workload, why }) => paint(options.palette, 'dim', `  - ${workload} gets nothing: ${why}`));
  return {
    transport: transportText(onward, from),
    endpoints: [...endpoints.map((endpoint) => endpointLine(endpoint, onward, options)), ...gone],
    below: hop === undefined ? [] : indented(hopLines(hop, options)),
  };
}

function indented([first = '', ...rest]: readonly string[]): string[] {
  return [`  └─ ${first}`, ...rest.map((line) => `     ${line}`)];
}

function transportText({ transport, serverName, peers }: Onward, { at, proxy }: Hop): string {
  if (at === 'server') return ', the application';
  if (transport === 'clear') return ', in clear text';
  if (transport === 'tls') return `, TLS as ${serverName}`;
  return `, mTLS to ${serverName}: as ${proxy ?? 'nobody'}, only ${peers.join(' or ') || 'nobody'} may answer`;
}

function endpointLine(endpoint: OnwardEndpoint, { transport }: Onward, { palette, cwd }: TextOptions): string {
  const { address, port, share, zone, workload, source, priority = 0 } = endpoint;
  const known = [
    ...(workload === undefined ? [] : [workload]),
    ...(source === undefined ? [] : [source === 'registered' ? source : placeText(source, cwd)]),
    ...(zone === undefined ? [] : [`zone ${zone}`]),
  ];
  const more = known.length === 0 ? '' : ` (${known.join(', ')})`;
  const clear =
    transport !== 'clear' && endpoint.transport === 'clear' ? paint(palette, 'yellow', ' in clear text') : '';
  const gets = share === 0 && priority > 0 ? 'what the others cannot take' : percentText(share);
  return `  endpoint ${portKey(address, port)} gets ${gets}${clear}${more}`;
}

/** What lets through and decides nothing is no news. */
function verdictLines(
  { filter, owner, outcome, why, status, audit, certain, at }: FilterVerdict,
  { palette, cwd }: TextOptions,
): string[] {
  const who = `${filter} of ${owner}`;
  const place = `(${placeText(at, cwd)})`;
  switch (outcome) {
    case 'passes':
      return filter === 'authorize'
        ? [paint(palette, 'green', `verdict   ${who} ${certain ? 'allows it' : 'allows it, whoever asks'} ${place}`)]
        : [];
    case 'assumed':
    case 'not-run':
      return [paint(palette, 'dim', `  - ${who} ${why}`)];
    case 'answers':
      return [`verdict   ${who} answers ${status} ${place}`];
    case 'refuses': {
      const how = audit
        ? 'would refuse it, and only notes that'
        : certain
          ? `refuses it with ${status}`
          : `refuses it with ${status} unless who asks is authenticated as one that it allows`;
      return [paint(palette, audit || !certain ? 'yellow' : 'red', `verdict   ${who} ${how}: ${why} ${place}`)];
    }
  }
}
