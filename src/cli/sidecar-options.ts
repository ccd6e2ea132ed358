/** What `sidecar` and `run` have in common: who the proxy is, where it listens, and who tells it what to do. */
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { readRange } from '../capture/addresses.ts';
import { type Options, type SidecarOptions, UsageError, type Values } from './command.ts';
import { LOG_LEVEL_OPTION, readDrain, readLogLevel, readZone, WORKERS_MAX, ZONE_OPTION } from './process-options.ts';
import { readCount, readHostPort } from './values.ts';

/** Where sidecars take mTLS, and where HTTP_PROXY leads, unless they are told otherwise. */
const PROXY_PORT = 15_008;
const FORWARD_DEFAULT = '127.0.0.1:15001';

/** Loopback: it is always routed, never leaves the host, and nothing listens there. */
const RANGE_DEFAULT = '127.240.0.0/16';

/** Of a DNS label, as names of Kubernetes are. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;

export const SIDECAR_OPTIONS = {
  service: {
    type: 'string',
    value: 'NAME.NAMESPACE',
    description: 'Service that the application is; namespace default if left out',
  },
  app: {
    type: 'string',
    multiple: true,
    value: '[NAME=]PORT',
    description: 'Port of the application on loopback; for each of several, the name of the port of the Service',
  },
  control: {
    type: 'string',
    multiple: true,
    value: 'HOST:PORT',
    description: 'Where the control plane is; several for several of them',
  },
  'token-file': {
    type: 'string',
    value: 'FILE',
    description: 'File with the token to join with; default the variable FOURWAYS_TOKEN',
  },
  'trust-domain': { type: 'string', value: 'NAME', description: 'Trust domain of the mesh; default cluster.local' },
  address: {
    type: 'string',
    value: 'ADDR',
    description: 'IP address at which others reach this host; default 127.0.0.1',
  },
  port: { type: 'string', value: 'PORT', description: `Port for mTLS of others; default ${PROXY_PORT}` },
  proxy: { type: 'string', value: 'HOST:PORT', description: `Where HTTP_PROXY leads; default ${FORWARD_DEFAULT}` },
  call: {
    type: 'string',
    multiple: true,
    value: 'NAME.NAMESPACE',
    description: 'Service that is known from the start; others when they are called first',
  },
  local: {
    type: 'string',
    multiple: true,
    value: 'NAME[:PORT]=[ADDR:]PORT',
    description: 'Port of this host that leads to a port of a service: db.shop:5432=5432; on 127.0.0.1 if left out',
  },
  capture: {
    type: 'string',
    value: 'HOW',
    choices: ['proxy', 'transparent'],
    description:
      'How connections of the application come here: by HTTP_PROXY, or by rules of nftables and DNS, which need root; default proxy',
  },
  'capture-range': {
    type: 'string',
    value: 'CIDR',
    description: `Network for the addresses that services have for captured applications; default ${RANGE_DEFAULT}`,
  },
  user: {
    type: 'string',
    value: 'NAME',
    description: 'User whose connections are captured; "fourways run" starts the command as this user',
  },
  'dry-run': {
    type: 'boolean',
    description: 'Print the rules and the names of transparent capture, and change nothing',
  },
  admin: {
    type: 'string',
    value: 'HOST:PORT',
    description: 'Where metrics, readiness and the plan are served over HTTP; default nowhere',
  },
  zone: ZONE_OPTION,
  workers: {
    type: 'string',
    value: 'N',
    description: 'Worker threads; default none, the proxy runs in the main thread',
  },
  data: {
    type: 'string',
    value: 'DIR',
    description:
      'Folder that keeps the certificate and the last good plan; default .fourways/sidecar-SERVICE.NAMESPACE',
  },
  drain: {
    type: 'string',
    value: 'TIME',
    description: 'How long running requests may take to finish at the end; default 30s',
  },
  'log-level': LOG_LEVEL_OPTION,
} as const satisfies Options;

export function readSidecar(values: Values<typeof SIDECAR_OPTIONS>, cwd: string): SidecarOptions {
  const { service, zone, workers, data, drain, json = false } = values;
  if (service === undefined)
    throw new UsageError('Option --service is missing: the name of a Service, such as orders.shop');
  const control = readControls(values.control);
  const { name, namespace } = readService('--service', service);
  const { address = '127.0.0.1' } = values;
  const trustDomain = readTrustDomain(values['trust-domain']);
  if (isIP(address) === 0) throw new UsageError(`Option --address is "${address}": must be an IP address`);
  return {
    id: { trustDomain, namespace, account: name },
    ports: readPorts(values.app ?? []),
    control,
    tokenFile: values['token-file'] === undefined ? undefined : resolve(cwd, values['token-file']),
    address,
    proxyPort: values.port === undefined ? PROXY_PORT : readCount('--port', values.port, { min: 1, max: 65_535 }),
    forward: readHostPort('--proxy', values.proxy ?? FORWARD_DEFAULT),
    services: (values.call ?? []).map((text) => {
      const read = readService('--call', text);
      return `${read.name}.${read.namespace}`;
    }),
    locals: readLocals(values.local ?? []),
    ...readCapture(values),
    admin: values.admin === undefined ? undefined : readHostPort('--admin', values.admin),
    zone: readZone(zone),
    workers: workers === undefined ? 0 : readCount('--workers', workers, { min: 0, max: WORKERS_MAX }),
    dataDir: resolve(cwd, data ?? join('.fourways', `sidecar-${name}.${namespace}`)),
    drainMs: readDrain(drain),
    takeover: false,
    logLevel: readLogLevel(values['log-level']),
    announce: json ? 'json' : 'text',
  };
}

/** @throws {UsageError} when there is none, or one is no address */
export function readControls(texts: readonly string[] = []): readonly string[] {
  if (texts.length === 0) throw new UsageError('Option --control is missing: HOST:PORT of the control plane');
  for (const text of texts) readHostPort('--control', text);
  return texts;
}

/** @throws {UsageError} when it cannot be one */
export function readTrustDomain(text = 'cluster.local'): string {
  if (TRUST_DOMAIN.test(text)) return text;
  throw new UsageError(`Option --trust-domain is "${text}": must be such as cluster.local`);
}

export function readService(option: string, text: string): { readonly name: string; readonly namespace: string } {
  const [name = '', namespace = 'default', more] = text.split('.');
  if (more === undefined && LABEL.test(name) && LABEL.test(namespace)) return { name, namespace };
  throw new UsageError(
    `Option ${option} is "${text}": must be the name of a Service and its namespace, such as orders.shop`,
  );
}

/** One port needs no name; each of several is told by the name of a port of the Service. */
function readPorts(texts: readonly string[]): Readonly<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const text of texts) {
    const [, name = 'app', number = ''] = /^(?:([^=]*)=)?(.*)$/.exec(text)!;
    if (!LABEL.test(name)) throw new UsageError(`Option --app is "${text}": must be PORT or NAME=PORT`);
    if (ports[name] !== undefined)
      throw new UsageError(`Option --app is given twice for "${name}": write NAME=PORT for each`);
    ports[name] = readCount('--app', number, { min: 1, max: 65_535 });
  }
  return ports;
}

function readLocals(texts: readonly string[]): SidecarOptions['locals'] {
  const locals = texts.map((text): SidecarOptions['locals'][number] => {
    const [, name, number, target = ''] = /^([^:=]+)(?::([^=]*))?=(.+)$/.exec(text) ?? [];
    if (name === undefined) {
      throw new UsageError(`Option --local is "${text}": must be NAME[:PORT]=[ADDR:]PORT, such as db.shop:5432=5432`);
    }
    const service = readService('--local', name);
    const { host, port } = readHostPort('--local', /^\d+$/.test(target) ? `127.0.0.1:${target}` : target);
    if (isIP(host) === 0 || port === 0) {
      throw new UsageError(`Option --local is "${text}": "${target}" must be a port, or an IP address with one`);
    }
    return {
      service: `${service.name}.${service.namespace}`,
      port: number === undefined ? undefined : readCount('--local', number, { min: 1, max: 65_535 }),
      at: { address: host, port },
    };
  });
  for (const [i, { service, port, at }] of locals.entries()) {
    const isTwice = locals.some(
      (other, j) =>
        j < i &&
        ((other.service === service && other.port === port) ||
          (other.at.address === at.address && other.at.port === at.port)),
    );
    if (isTwice) throw new UsageError(`Option --local is "${texts[i]}": its service or its port is given twice`);
  }
  return locals;
}

function readCapture({
  capture,
  'capture-range': range,
  user,
  'dry-run': dryRun = false,
}: Values<typeof SIDECAR_OPTIONS>): Pick<SidecarOptions, 'capture' | 'user' | 'dryRun'> {
  if (capture !== 'transparent') {
    const [option] = range !== undefined ? ['--capture-range'] : dryRun ? ['--dry-run'] : [];
    if (option !== undefined)
      throw new UsageError(`Option ${option} is of transparent capture: add --capture transparent`);
    return { capture: undefined, user, dryRun };
  }
  const cidr = range ?? RANGE_DEFAULT;
  if (readRange(cidr) === undefined) {
    throw new UsageError(
      `Option --capture-range is "${cidr}": must be a network of IPv4 from /8 to /24, such as ${RANGE_DEFAULT}`,
    );
  }
  return { capture: { range: cidr }, user, dryRun };
}
