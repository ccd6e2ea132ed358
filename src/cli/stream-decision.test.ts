import assert from 'node:assert/strict';
import test from 'node:test';
import type { Plan, PlanListener } from '../ir/plan.ts';
import { CLUSTER, HTTP_LISTENER, HTTP_PORT, HTTPS_LISTENER, HTTPS_PORT } from '../ir/testing/plans.ts';
import { decideStream, streamDecisionText } from './stream-decision.ts';

const listener = (port: string, more: Partial<PlanListener>): PlanListener => ({ ...HTTP_LISTENER, port, ...more });
const attach = (name: string, host = '*'): { listener: string; hosts: string[] } => ({
  listener: `Gateway/d/e/${name}`,
  hosts: [host],
});
const route = (name: string, createdMs: number, ...attached: ReturnType<typeof attach>[]): Plan['streams'][string] => ({
  name: `${name}/0`,
  createdMs,
  attach: attached,
  backends: [
    { cluster: 'Service/d/x/1/tcp', weight: 3 },
    { why: 'Service d/y does not exist', weight: 1 },
  ],
});

const PLAN: Plan = {
  version: 'v',
  ports: {
    '*:443': HTTPS_PORT,
    '*:5432': { ...HTTP_PORT, port: 5_432, protocol: 'tcp' },
    '*:53/udp': { ...HTTP_PORT, port: 53, protocol: 'udp' },
  },
  listeners: {
    'Gateway/d/e/web': { ...HTTPS_LISTENER, hostname: 'web.test' },
    'Gateway/d/e/pass': listener('*:443', { hostname: '*.pass.test', publicPort: 443, stream: { kind: 'tls' } }),
    'Gateway/d/e/tcp': listener('*:5432', { publicPort: 5_432, stream: { kind: 'tcp' } }),
    'Gateway/d/e/udp': listener('*:53/udp', { publicPort: 53, stream: { kind: 'udp', idleMs: 1, sessionsMax: 1 } }),
  },
  routes: {},
  streams: {
    'TLSRoute/d/a': route('TLSRoute/d/a', 1, attach('pass', 'a.pass.test')),
    'TCPRoute/d/new': route('TCPRoute/d/new', 2, attach('tcp')),
    'TCPRoute/d/old': route('TCPRoute/d/old', 1, attach('tcp')),
  },
  clusters: { 'Service/d/x/1/tcp': { ...CLUSTER, stream: 'tcp', proxyProtocol: 'v2' } },
};

const ROWS: readonly (readonly [
  rule: string,
  protocol: 'tcp' | 'tls' | 'udp',
  host: string,
  port: number,
  want: RegExp,
])[] = [
  [
    'by server name',
    'tls',
    'A.pass.test',
    443,
    /listener {2}Gateway\/d\/e\/pass \(TLS passed on\)\nroute {5}TLSRoute\/d\/a\n/,
  ],
  ['a name without a route', 'tls', 'b.pass.test', 443, /closed {4}No route of the listener takes it/],
  ['a listener of HTTPS', 'tls', 'web.test', 443, /TLS ends here.*\nclosed {4}The listener serves HTTP/],
  [
    'a name of nobody',
    'tls',
    'x.test',
    443,
    /none\nclosed {4}No listener on port 443 has a hostname that takes x.test/,
  ],
  ['a port of nobody', 'tls', 'x.test', 444, /listener {2}none\nclosed {4}No listener takes tls on port 444/],
  ['the older of two', 'tcp', '127.0.0.1', 5_432, /route {5}TCPRoute\/d\/old\n {2}- TCPRoute\/d\/new is newer/],
  [
    'shares',
    'tcp',
    '',
    5_432,
    /gets 75% \(weight 3\), PROXY v2\n {2}endpoint 127.0.0.1:8080\nbackend {3}invalid backend gets 25%/,
  ],
  ['no route at all', 'udp', '', 53, /listener {2}Gateway\/d\/e\/udp\nclosed/],
  ['another protocol on the port', 'udp', '', 5_432, /No listener takes udp on port 5432/],
];

for (const [rule, protocol, host, port, want] of ROWS) {
  test(`decideStream: ${rule}`, () => {
    const text = streamDecisionText(decideStream(PLAN, { protocol, host, port, listener: undefined }));
    assert.match(text, want);
  });
}
