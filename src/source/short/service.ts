/** `services` of the short form: each becomes a Backend, with a BackendPolicy where it has settings. */
import { isIP } from 'node:net';
import { OWN_GROUP } from '../../resource/fields.ts';
import { type Draft, error, escapePointer, type Manifest, nameFrom, type ShortFinding } from './draft.ts';
import { type Expansion, isFinding } from './expansion.ts';
import { type Endpoint, type Service, SERVICE_SETTINGS, type ServiceObject, type ServiceTLS } from './schema.ts';

const API_VERSION = `${OWN_GROUP}/v1alpha1`;

export function expandService(name: string, service: Service, expansion: Expansion): void {
  const pointer = `/services/${escapePointer(name)}`;
  if (typeof service === 'string')
    return void addBackend({ name, endpoints: [[service, pointer]], pointer }, expansion);
  if (Array.isArray(service)) {
    const endpoints = service.map((one, i): Located => [one, `${pointer}/${i}`]);
    return void addBackend({ name, endpoints, pointer }, expansion);
  }
  const { protocol, tls } = service;
  const endpoints = endpointsOf(service, pointer);
  const plan = { name, pointer, endpoints, ...(protocol !== undefined && { protocol }), ...(tls && { tls }) };
  if (addBackend(plan, expansion) === 'added') addSettings(name, service, expansion);
}

/** A Backend for an address that a route names. */
export function expandAddress(address: string, pointer: string, expansion: Expansion): string | ShortFinding {
  const endpoint = readAddress(address, pointer);
  if (isFinding(endpoint)) return endpoint;
  const name = expansion.names.take('Backend', nameFrom(`${endpoint.address}-${endpoint.port}`, 'backend'));
  addBackend({ name, endpoints: [[address, pointer]], pointer }, expansion);
  return name;
}

type Located = readonly [endpoint: Endpoint, pointer: string];

interface BackendPlan {
  readonly name: string;
  readonly pointer: string;
  readonly endpoints: readonly Located[];
  readonly protocol?: string;
  readonly tls?: ServiceTLS;
}

function endpointsOf({ url, urls }: ServiceObject, pointer: string): Located[] {
  const single: Located[] = url === undefined ? [] : [[url, `${pointer}/url`]];
  return [...single, ...(urls ?? []).map((one, i): Located => [one, `${pointer}/urls/${i}`])];
}

function addBackend(
  { name, pointer, endpoints, protocol, tls }: BackendPlan,
  expansion: Expansion,
): 'added' | 'refused' {
  const findings: ShortFinding[] = [];
  if (endpoints.length === 0)
    findings.push(error(pointer, 'field.missing', 'Missing field "url": expected an address'));
  const places: [string, string][] = [['', pointer]];
  const read = endpoints.flatMap(([endpoint, at]) => {
    const { url, weight } = typeof endpoint === 'string' ? { url: endpoint, weight: undefined } : endpoint;
    const found = readAddress(url, at);
    if (!isFinding(found)) return [{ ...found, at, ...(weight !== undefined && { weight }) }];
    findings.push(found);
    return [];
  });
  read.forEach(({ at }, i) => places.push([`/spec/endpoints/${i}`, at]));

  const { secure, scheme } = read[0] ?? { secure: false, scheme: '' };
  const odd = read.find((one) => one.scheme !== scheme);
  if (odd !== undefined) {
    const message = `Expected ${scheme}:// as in the first address: one service speaks one of them`;
    findings.push(error(odd.at, 'field.value', message));
  }
  if (tls !== undefined && !secure) {
    findings.push(
      error(`${pointer}/tls`, 'field.no-effect', 'Expected https:// or tls:// addresses: "tls" is about those'),
    );
  }
  const made = secure ? makeTLS({ name, pointer, tls: tls ?? {} }, expansion) : { drafts: [], findings: [] };
  findings.push(...made.findings);
  if (secure) places.push(['/spec/tls', tls === undefined ? pointer : `${pointer}/tls`]);
  const spec = {
    endpoints: read.map(({ address, port, weight }) => ({ address, port, ...(weight !== undefined && { weight }) })),
    ...(protocol !== undefined && { protocol }),
    ...(made.tls !== undefined && { tls: made.tls }),
  };
  expansion.findings.push(...findings);
  if (findings.length > 0) return 'refused';
  expansion.setScheme(name, scheme);
  expansion.add({ manifest: own('Backend', name, spec), places });
  for (const draft of made.drafts) expansion.add(draft);
  return 'added';
}

interface TLSPlan {
  readonly name: string;
  readonly pointer: string;
  readonly tls: ServiceTLS;
}

interface TLSMade {
  readonly tls?: object;
  readonly drafts: readonly Draft[];
  readonly findings: readonly ShortFinding[];
}

function makeTLS({ name, pointer, tls: { ca, serverName, cert, key } }: TLSPlan, expansion: Expansion): TLSMade {
  const drafts: Draft[] = [];
  const findings: ShortFinding[] = [];
  const tls: Record<string, unknown> = serverName === undefined ? {} : { serverName };
  if (ca === undefined) tls['wellKnownCACertificates'] = 'System';
  else {
    const at = `${pointer}/tls/ca`;
    const text = expansion.pem(ca, 'CERTIFICATE', at);
    if (isFinding(text)) findings.push(text);
    else {
      const map = expansion.names.take('ConfigMap', `${name}-ca`);
      const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: map }, data: { 'ca.crt': text } };
      drafts.push({ manifest, places: [['', at]] });
      tls['caCertificateRefs'] = [{ kind: 'ConfigMap', name: map }];
    }
  }
  if ((cert === undefined) !== (key === undefined)) {
    const missing = cert === undefined ? 'cert' : 'key';
    const message = `Missing field "${missing}": "cert" and "key" belong together`;
    findings.push(error(`${pointer}/tls`, 'field.missing', message));
  }
  if (cert !== undefined && key !== undefined) {
    const made = tlsSecret({ name: `${name}-client`, cert, key, pointer: `${pointer}/tls` }, expansion);
    if ('findings' in made) findings.push(...made.findings);
    else {
      drafts.push(made.draft);
      tls['clientCertificateRef'] = { name: made.name };
    }
  }
  return { tls, drafts, findings };
}

interface SecretPlan {
  readonly name: string;
  readonly cert: string;
  readonly key: string;
  /** Where `cert` and `key` stand. */
  readonly pointer: string;
}

/** The Secret that holds a certificate and its key, read from their files. */
export function tlsSecret(
  { name: wanted, cert, key, pointer }: SecretPlan,
  expansion: Expansion,
): { readonly name: string; readonly draft: Draft } | { readonly findings: readonly ShortFinding[] } {
  const certificate = expansion.pem(cert, 'CERTIFICATE', `${pointer}/cert`);
  const privateKey = expansion.pem(key, 'PRIVATE KEY', `${pointer}/key`);
  const findings = [certificate, privateKey].filter(isFinding);
  if (findings.length > 0) return { findings };
  const name = expansion.names.take('Secret', wanted);
  const stringData = { 'tls.crt': certificate, 'tls.key': privateKey };
  const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'kubernetes.io/tls', stringData };
  const places: [string, string][] = [
    ['', pointer],
    ['/stringData/tls.crt', `${pointer}/cert`],
    ['/stringData/tls.key', `${pointer}/key`],
  ];
  return { name, draft: { manifest, places } };
}

function addSettings(name: string, service: ServiceObject, expansion: Expansion): void {
  const given = Object.entries(service).filter(([field]) => SERVICE_SETTINGS.includes(field));
  if (given.length === 0) return;
  const pointer = `/services/${escapePointer(name)}`;
  const spec = { targetRefs: [{ group: OWN_GROUP, kind: 'Backend', name }], ...Object.fromEntries(given) };
  const places = given.map(([field]): [string, string] => [`/spec/${field}`, `${pointer}/${field}`]);
  expansion.names.reserve('BackendPolicy', name);
  expansion.add({ manifest: own('BackendPolicy', name, spec), places: [['', pointer], ...places] });
}

interface ReadAddress {
  readonly address: string;
  readonly port: number;
  readonly scheme: string;
  readonly secure: boolean;
}

/** Port of an address without one, by its scheme. Undefined: it must have one. */
const SCHEME_PORTS: Readonly<Record<string, number | undefined>> = {
  http: 80,
  https: 443,
  tcp: undefined,
  tls: undefined,
  udp: undefined,
};

function readAddress(text: string, pointer: string): ReadAddress | ShortFinding {
  const expected = 'an address such as "http://127.0.0.1:3000"';
  const url = URL.parse(text);
  const scheme = url?.protocol.slice(0, -1) ?? '';
  if (url === null || !Object.hasOwn(SCHEME_PORTS, scheme) || url.hostname === '') {
    return error(pointer, 'field.value', `Expected ${expected}, got ${JSON.stringify(text)}`);
  }
  if (url.username !== '' || url.password !== '') {
    return error(pointer, 'field.value', `Expected ${expected}, got one with a user name or password`);
  }
  const rest = `${url.pathname === '/' ? '' : url.pathname}${url.search}${url.hash}`;
  if (rest !== '') {
    const hint = url.search + url.hash === '' ? `: put "${rest}" into "rewrite" of the route` : '';
    return error(pointer, 'field.value', `Expected an address without a path, got "${text}"${hint}`);
  }
  const port = url.port === '' ? SCHEME_PORTS[scheme] : Number(url.port);
  if (port === undefined) {
    return error(
      pointer,
      'field.value',
      `Expected an address with a port, such as "${scheme}://127.0.0.1:5432", got "${text}"`,
    );
  }
  const bare = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    address: isIP(bare) === 0 ? url.hostname : bare,
    port,
    scheme,
    secure: scheme === 'https' || scheme === 'tls',
  };
}

function own(kind: string, name: string, spec: object): Manifest {
  return { apiVersion: API_VERSION, kind, metadata: { name }, spec };
}
