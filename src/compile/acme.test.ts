/** What the compiler makes of what was issued, and of validations that run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPlan } from '../ir/check.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { readManifests } from '../resource/read.ts';
import type { Secret } from '../resource/resource.ts';
import { SecretData } from '../resource/secret-data.ts';
import type { AcmeChallenge, CertificateProgress, Issued } from './acme.ts';
import { type Compiled, Compiler } from './compile.ts';
import { condenseStatus } from './testing/condense.ts';
import { BIND, runtimeOf } from './testing/runtime.ts';

const NAME = 'Secret/shop/acme-authority-shop.test';
const DAY_MS = 86_400_000;
const ISSUER = `
apiVersion: fourways.io/v1alpha1
kind: AcmeIssuer
metadata: { name: authority, namespace: shop }
spec: { directory: https://acme.test/directory }
---`;
const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec:
  gatewayClassName: fourways
  listeners:
    - { name: http, port: 80, protocol: HTTP }
    - { name: narrow, port: 80, protocol: HTTP, hostname: "*.test" }
    - { name: other, port: 8080, protocol: HTTP, hostname: other.test }
    - { name: https, port: 443, protocol: HTTPS, hostname: shop.test, tls: { options: { fourways.io/acme-issuer: authority } } }
---`;
const ROUTE = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  hostnames: [shop.test]
  rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }] }]
`;

let nowMs = Date.parse('2027-01-01T00:00:00Z');

function compilerOf(text = ISSUER + GATEWAY + ROUTE): (issued?: Issued) => Compiled {
  const compiler = new Compiler({
    controllerName: 'fourways.io/gateway-controller',
    bindDefault: BIND,
    wallMs: () => nowMs,
  });
  const resources = readManifests(text, 'in.yaml').documents.flatMap(({ resource }) => resource ?? []);
  return (issued) => {
    const compiled = compiler.compile(resources, issued);
    assert.deepEqual(checkPlan(compiled.bundle), [], 'a proxy takes the plan');
    return compiled;
  };
}

function issued(days: number, challenges: readonly AcmeChallenge[] = []): Issued {
  const pair = makeCertificate({ hosts: ['shop.test'], notBeforeMs: nowMs, notAfterMs: nowMs + days * DAY_MS });
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 'acme-authority-shop.test',
      namespace: 'shop',
      labels: {},
      annotations: {},
      generation: 1,
      creationMs: undefined,
    },
    origin: { file: 'in.yaml', line: 1, locate: () => ({ file: 'in.yaml', line: 1, column: 1 }) },
    type: 'kubernetes.io/tls',
    data: new SecretData(
      new Map([
        ['tls.crt', pair.certificatePem],
        ['tls.key', pair.privateKeyPem],
      ]),
    ),
  };
  return { secrets: new Map([[NAME, secret]]), challenges };
}

const HTTP: AcmeChallenge = {
  kind: 'http-01',
  secret: NAME,
  hostname: 'shop.test',
  token: 'to_ken',
  keyAuthorization: 'to_ken.thumb',
};

function certificateLines(compiled: Compiled, progress?: CertificateProgress): unknown {
  const status = condenseStatus(compiled.statusOf({ ...runtimeOf(compiled), progressOf: () => progress })) as Record<
    string,
    { listeners: Record<string, { conditions: string | string[] }> }
  >;
  return [status['Gateway shop/edge']!.listeners['https']!.conditions].flat();
}

test('acme: what is wanted is said, with the ways in which it can be proved', () => {
  const { wishes } = compilerOf()();
  assert.deepEqual(
    wishes.map(({ secret, hostnames, challenges }) => ({ secret, hostnames, challenges })),
    [{ secret: NAME, hostnames: ['shop.test'], challenges: ['http-01', 'tls-alpn-01'] }],
  );
});

test('acme: without an HTTP listener for the host only tls-alpn-01 is left', () => {
  const { wishes, problems } = compilerOf(
    (ISSUER + GATEWAY)
      .replace(
        '{ name: http, port: 80, protocol: HTTP }',
        '{ name: http, port: 80, protocol: HTTP, hostname: a.example }',
      )
      .replace('"*.test"', '"*.example"'),
  )();
  assert.deepEqual(wishes[0]!.challenges, ['tls-alpn-01']);
  assert.deepEqual(problems, []);
});

test('acme: an http-01 token is answered on the one listener of each port that takes the host, by exact path', () => {
  const compile = compilerOf();
  const { plan } = compile({ secrets: new Map(), challenges: [HTTP] }).bundle;
  const part = plan.routes[`AcmeChallenge/shop/acme-authority-shop.test/shop.test`]!;
  assert.deepEqual(part.attach, [{ listener: 'Gateway/shop/edge/narrow', hosts: ['shop.test'] }]);
  assert.deepEqual(part.rules[0]!.matches[0]!.path, { kind: 'exact', value: '/.well-known/acme-challenge/to_ken' });
  assert.deepEqual(part.rules[0]!.filters[0]!.config, {
    status: 200,
    body: 'to_ken.thumb',
    contentType: 'application/octet-stream',
    headers: [],
  });
  assert.deepEqual(Object.keys(compile({ secrets: new Map(), challenges: [] }).bundle.plan.routes), [
    'HTTPRoute/shop/all',
  ]);
});

test('acme: a tls-alpn-01 certificate goes beside the listener, its key never into the plan', () => {
  const { certificatePem, privateKeyPem } = makeCertificate({ hosts: ['shop.test'] });
  const challenge: AcmeChallenge = {
    kind: 'tls-alpn-01',
    secret: NAME,
    hostname: 'shop.test',
    certificatePem,
    privateKeyPem,
  };
  const compile = compilerOf();
  const before = compile();
  const { plan, secrets } = compile({ secrets: new Map(), challenges: [challenge] }).bundle;
  const ref = plan.listeners['Gateway/shop/edge/https']!.tls!.acme!.challenge!;
  assert.deepEqual(secrets[ref.secret], { certificatePem, privateKeyPem });
  assert.ok(!JSON.stringify(plan).includes('PRIVATE KEY'));
  assert.equal(compile().bundle.plan.version, before.bundle.plan.version, 'withdrawn, the plan is as before');
});

test('acme: an issued certificate is that of the listener, and one that is renewed changes nothing else', () => {
  const compile = compilerOf();
  const first = compile(issued(90));
  assert.equal(first.bundle.plan.listeners['Gateway/shop/edge/https']!.tls!.certificates[0]!.secret, NAME);
  const second = compile(issued(90));
  assert.notEqual(second.bundle.plan.version, first.bundle.plan.version);
  assert.equal(second.made.routes, 0);
  assert.equal(second.bundle.plan.routes['HTTPRoute/shop/all'], first.bundle.plan.routes['HTTPRoute/shop/all']);
});

test('acme: a Secret that the operator writes goes first, and nothing is ordered', () => {
  const { certificatePem, privateKeyPem } = makeCertificate({
    hosts: ['shop.test'],
    notAfterMs: nowMs + 90 * DAY_MS,
    notBeforeMs: nowMs,
  });
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'own', namespace: 'shop' },
    stringData: { 'tls.crt': certificatePem, 'tls.key': privateKeyPem },
  };
  const gateway = GATEWAY.replace('tls: { options', 'tls: { certificateRefs: [{ name: own }], options');
  const { wishes, problems, bundle } = compilerOf(`${ISSUER}${gateway}\n${JSON.stringify(secret)}\n`)(issued(90));
  assert.deepEqual(wishes, []);
  assert.equal(bundle.plan.listeners['Gateway/shop/edge/https']!.tls!.certificates[0]!.secret, 'Secret/shop/own');
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['acme.unused'],
  );
});

const FAILED = { error: 'connection: refused', nextMs: Date.parse('2027-01-01T01:00:00Z') };
const IDLE = { error: undefined, nextMs: Date.parse('2027-03-01T00:00:00Z') };
const MESSAGES: [
  rule: string,
  days: number | undefined,
  afterDays: number,
  progress: CertificateProgress | undefined,
  want: RegExp,
][] = [
  ['being ordered', undefined, 0, undefined, /False Ordering: .* is being ordered$/],
  [
    'could not be had',
    undefined,
    0,
    FAILED,
    /False OrderFailed: .* connection: refused; next attempt at 2027-01-01T01:00:00Z$/,
  ],
  [
    'valid',
    90,
    0,
    IDLE,
    /^sound: .*CertificateValid|True Valid: Valid until 2027-04-01T00:00:00Z; renewed at 2027-03-01T00:00:00Z$/,
  ],
  [
    'could not be renewed',
    90,
    80,
    FAILED,
    /True RenewalFailed: Valid until 2027-04-01T00:00:00Z; it could not be renewed: connection: refused; next/,
  ],
  ['has ended', 90, 91, FAILED, /False RenewalFailed: Expired at 2027-04-01T00:00:00Z; it could not be renewed: /],
];

for (const [rule, days, afterDays, progress, want] of MESSAGES) {
  test(`acme: the listener says that its certificate ${rule}`, () => {
    const startMs = nowMs;
    try {
      const given = days === undefined ? undefined : issued(days);
      nowMs += afterDays * DAY_MS;
      assert.match(String(certificateLines(compilerOf()(given), progress)), want);
    } finally {
      nowMs = startMs;
    }
  });
}

test('acme: time alone makes a problem of a certificate, and says when that is', () => {
  const startMs = nowMs;
  try {
    const compile = compilerOf();
    const given = issued(90);
    const seen: unknown[] = [];
    for (let compiled = compile(given); ; compiled = compile(given)) {
      seen.push([
        Math.round((nowMs - startMs) / DAY_MS),
        compiled.problems.map(({ message }) => message.split('" ')[1]),
      ]);
      if (compiled.nextChangeMs === undefined) break;
      nowMs = compiled.nextChangeMs;
    }
    assert.deepEqual(seen, [
      [0, []],
      [76, ['expires on 2027-04-01']],
      [90, ['has expired on 2027-04-01']],
    ]);
  } finally {
    nowMs = startMs;
  }
});
