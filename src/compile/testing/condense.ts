/** Plans and statuses in a form that a person can review: without what is empty or as by default. */
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../../base/limits.ts';
import {
  OWN_IDENTITY,
  type Plan,
  type PlanBackend,
  type PlanClusterTls,
  type PlanListenerTls,
  type PlanMatch,
  type PlanNamedMatch,
} from '../../ir/plan.ts';
import { CLUSTER_SETTINGS, LISTENER_SETTINGS, PEER_SETTINGS, TLS_POLICY } from '../defaults.ts';
import type { StatusItem } from '../status-item.ts';

type Json = unknown;
type Fields = Readonly<Record<string, Json>>;

export function condensePlan({ ports, listeners, routes, streams, clusters }: Plan): Json {
  return tidy({
    ports: each(ports, ({ protocol, limits, timeouts, clientValidation, proxyProtocol }) => ({
      protocol,
      proxyProtocol,
      limits: differing(limits, CONNECTION_LIMITS),
      timeouts: differing(timeouts, CONNECTION_TIMEOUTS),
      clientValidation,
    })),
    listeners: each(listeners, ({ settings, publicPort, tls, ...listener }) => ({
      ...listener,
      ...(tls !== undefined && { tls: condenseTls(tls) }),
      ...(!listener.port.endsWith(`:${publicPort}`) && { publicPort }),
      settings: differing(settings, LISTENER_SETTINGS),
    })),
    routes: each(routes, ({ createdMs, attach, rules }) => ({
      ...(createdMs !== 0 && { createdMs }),
      attach: attach.map(({ listener, hosts }) => `${listener} on ${hosts.join(', ')}`),
      rules: rules.map((rule) => ({
        ...rule,
        matches: rule.matches.map(matchLine),
        backends: rule.backends.map(condenseBackend),
        mirrors: rule.mirrors.map(({ cluster, share }) => `${share} to ${cluster}`),
      })),
    })),
    streams: each(streams, ({ createdMs, attach, backends, ...stream }) => ({
      ...stream,
      ...(createdMs !== 0 && { createdMs }),
      attach: attach.map(({ listener, hosts }) => `${listener} on ${hosts.join(', ')}`),
      backends: backends.map((backend) =>
        'cluster' in backend
          ? `${backend.weight} to ${backend.cluster}`
          : `${backend.weight} to nothing: ${backend.why}`,
      ),
    })),
    clusters: each(clusters, ({ settings, endpoints, tls, ...cluster }) => ({
      ...cluster,
      ...(tls !== undefined && { tls: condenseClusterTls(tls) }),
      endpoints: endpoints.map(
        ({ address, port, weight, zone, clear, records, priority, forZones }) =>
          `${address} port ${port} weight ${weight}${zone === undefined ? '' : ` zone ${zone}`}${clear === true ? ' clear' : ''}` +
          `${records === undefined ? '' : ` records ${records}`}${priority === undefined ? '' : ` priority ${priority}`}` +
          (forZones === undefined ? '' : ` for ${forZones.join(', ')}`),
      ),
      settings: differing(settings, isPeer(tls) ? PEER_SETTINGS : CLUSTER_SETTINGS),
    })),
  });
}

/** Between proxies of a mesh. */
function isPeer(tls: Pick<PlanClusterTls, 'clientCertificate'> | undefined): boolean {
  return tls?.clientCertificate?.secret === OWN_IDENTITY;
}

/** `80.orders.shop.mesh.internal is spiffe://...`. */
function condenseClusterTls({ policy, ...tls }: PlanClusterTls): Json {
  if (tls.state !== 'ok' || !isPeer(tls) || tls.cas.length !== 1) {
    return { ...tls, policy: differing(policy, TLS_POLICY) };
  }
  const names = tls.subjectAltNames.map(({ value }) => value).join(' or ');
  const others = tls.federated?.map(({ trustDomain }) => `, and for ${trustDomain} its own`).join('') ?? '';
  return `${tls.serverName} is ${names}, from ${policy.versionMin}, trusting ${tls.cas[0]!}${others}`;
}

function condenseTls({ certificates, ...policy }: PlanListenerTls): Json {
  return { certificates, policy: differing(policy, TLS_POLICY) };
}

/** `GET prefix /cart, header x-a = 1, query q ~ .+`. */
function matchLine({ path, method, headers, query }: PlanMatch): string {
  const named = (what: string, { name, kind, value }: PlanNamedMatch): string =>
    `${what} ${name} ${kind === 'exact' ? '=' : '~'} ${value}`;
  return [
    `${method === undefined ? '' : `${method} `}${path.kind} ${path.value}${path.narrowedBy === undefined ? '' : ` ~ ${path.narrowedBy}`}`,
    ...headers.map((match) => named('header', match)),
    ...query.map((match) => named('query', match)),
  ].join(', ');
}

function condenseBackend({ target, weight, filters }: PlanBackend): Json {
  const to = target.kind === 'cluster' ? target.cluster : `${target.code}: ${target.why}`;
  const line = `${weight} to ${to}`;
  return filters.length === 0 ? line : { to: line, filters };
}

/** Conditions as `Accepted: True Accepted: message`; those that are as they should be on one line. */
export function condenseStatus(items: readonly StatusItem[]): Json {
  return Object.fromEntries(
    items.map(({ kind, metadata: { name, namespace }, status }) => [
      `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`,
      condenseObject(status),
    ]),
  );
}

function condenseObject({ conditions, listeners, parents, ancestors, addresses, ...rest }: Fields): Json {
  const { supportedFeatures: _, ...others } = rest;
  return {
    ...(addresses !== undefined && { addresses: (addresses as { value: string }[]).map(({ value }) => value) }),
    ...others,
    ...(conditions !== undefined && { conditions: linesOf(conditions) }),
    ...(listeners !== undefined && {
      listeners: Object.fromEntries(
        (listeners as Fields[]).map(({ name, supportedKinds, conditions: own, attachedRoutes }) => [
          name,
          {
            attachedRoutes,
            kinds: (supportedKinds as { kind: string }[]).map(({ kind }) => kind).join(),
            conditions: linesOf(own),
          },
        ]),
      ),
    }),
    ...(parents !== undefined && { parents: byReference(parents as Fields[], 'parentRef') }),
    ...(ancestors !== undefined && { ancestors: byReference(ancestors as Fields[], 'ancestorRef') }),
  };
}

function byReference(entries: readonly Fields[], name: 'parentRef' | 'ancestorRef'): Json {
  return Object.fromEntries(
    entries.map((entry) => {
      const { kind, namespace, name: object, sectionName, port } = entry[name] as Record<string, string | undefined>;
      const section = [sectionName, port].filter((part) => part !== undefined).join(' ');
      return [`${kind} ${namespace}/${object}${section === '' ? '' : ` ${section}`}`, linesOf(entry['conditions'])];
    }),
  );
}

const SOUND: Readonly<Record<string, string>> = {
  Accepted: 'True Accepted',
  Programmed: 'True Programmed',
  ResolvedRefs: 'True ResolvedRefs',
  Conflicted: 'False NoConflicts',
  Ready: 'True Ready',
};

function linesOf(conditions: Json): Json {
  const sound: string[] = [];
  const lines = (conditions as Record<string, string>[]).flatMap(({ type = '', status, reason, message }) => {
    if (SOUND[type] === `${status} ${reason}` && message === '') {
      sound.push(type);
      return [];
    }
    return [`${type}: ${status} ${reason}${message === '' ? '' : `: ${message}`}`];
  });
  const soundLine = `sound: ${sound.join(', ')}`;
  return lines.length === 0 ? soundLine : [...(sound.length > 0 ? [soundLine] : []), ...lines];
}

function each<T>(named: Readonly<Record<string, T>>, condense: (part: T) => Json): Json {
  return Object.fromEntries(Object.entries(named).map(([name, part]) => [name, condense(part)]));
}

/** The fields that are not as by default; nothing when all are. */
function differing(value: object, defaults: object): Json {
  const fields = Object.entries(value).flatMap(([name, is]): [string, Json][] => {
    const otherwise = (defaults as Fields)[name];
    if (JSON.stringify(is) === JSON.stringify(otherwise)) return [];
    const isRecord = typeof is === 'object' && is !== null && !Array.isArray(is);
    return [[name, isRecord ? differing(is as object, (otherwise ?? {}) as object) : is]];
  });
  return Object.fromEntries(fields);
}

/** Without empty lists and objects; certificates and hashes cut short, places on one line. */
function tidy(value: Json): Json {
  if (typeof value === 'string') return value.startsWith('-----BEGIN') ? 'PEM' : value;
  if (Array.isArray(value)) return value.map(tidy);
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, Json> = {};
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined || (typeof item === 'object' && item !== null && Object.keys(item).length === 0)) continue;
    if (name === 'hash') out[name] = (item as string).slice(0, 8);
    else if (name === 'at') out[name] = `${(item as Fields)['line'] as number}:${(item as Fields)['column'] as number}`;
    else out[name] = tidy(item as Json);
  }
  return out;
}
