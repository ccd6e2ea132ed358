import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CertificateReport, MemberReport } from '../api/admin/view.ts';
import type { Plan } from '../ir/plan.ts';
import type { HttpAnswer } from './command.ts';
import { applicationRow } from './doctor-application.ts';
import { captureRows } from './doctor-capture.ts';
import { clockRow, skewOf } from './doctor-clock.ts';
import { machineRows } from './doctor-machine.ts';
import { nameRows, resolvedRows, resolverRows } from './doctor-names.ts';
import { portRows } from './doctor-ports.ts';
import { processRows, type Running } from './doctor-process.ts';
import type { Row } from './doctor-row.ts';
import type { KeptOpen, LookedUp, Machine } from './machine.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const WELL: Readonly<Record<string, string>> = {
  '/proc/self/limits': limits('1048576'),
  '/proc/sys/net/core/somaxconn': '4096\n',
  '/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  '/proc/sys/net/ipv4/ip_local_reserved_ports': '\n',
  '/etc/resolv.conf': 'search x\nnameserver 10.0.0.53\n',
  '/proc/net/unix': 'Num       RefCount Protocol Flags    Type St Inode Path\n',
};

function limits(hard: string): string {
  return `Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 ${hard}              files\n`;
}

/** One with which nothing is wrong, but for `changes`. */
function machineWith(changes: Partial<Machine> = {}, files: Readonly<Record<string, string>> = {}): Machine {
  const all = { ...WELL, ...files };
  return {
    nodeVersion: 'v26.0.0',
    readFile: async (path) => all[path] ?? Promise.reject(new Error('ENOENT')),
    probePort: async () => undefined,
    lookUp: async () => ({ found: 1, tookMs: 2 }),
    askResolver: async () => ({ found: 0, code: 'ENOTFOUND', tookMs: 2 }),
    tables: async () => [],
    clockOf: async () => ({ saidMs: 10_000, askedMs: 10_400, answeredMs: 10_500 }),
    keepOpen: async () => ({ status: 200, closes: false, saysMs: 60_000, watchedMs: 0 }),
    ...changes,
  };
}

/** `level check: found`, which `want` is in; and whether there is a fix is told by the level. */
function assertRows(
  rows: readonly Row[],
  want: readonly (readonly [level: Row['level'], check: string, found: RegExp])[],
): void {
  assert.deepEqual(
    rows.map(({ level, check }) => [level, check]),
    want.map(([level, check]) => [level, check]),
    JSON.stringify(rows),
  );
  rows.forEach(({ level, found, fix }, i) => {
    assert.match(found, want[i]![2]);
    assert.equal(fix === undefined, level === 'ok', `${found}: ${fix}`);
  });
}

test('doctor: a machine with which nothing is wrong', async () => {
  assertRows(await machineRows(machineWith(), undefined), [
    ['ok', 'node', /v26/],
    ['ok', 'open files', /this shell may have 1048576/],
    ['ok', 'backlog', /4096/],
    ['ok', 'local ports', /28232/],
  ]);
});

test('doctor: limits that a proxy meets under load; those of the process that runs count', async () => {
  const files = {
    '/proc/7/limits': limits('512'),
    '/proc/sys/net/core/somaxconn': '128\n',
    '/proc/sys/net/ipv4/ip_local_port_range': '50000\t50999\n',
  };
  assertRows(await machineRows(machineWith({ nodeVersion: 'v25.1.0' }, files), 7), [
    ['warning', 'node', /odd/],
    ['problem', 'open files', /process 7 may have 512/],
    ['warning', 'backlog', /128/],
    ['warning', 'local ports', /1000 ports/],
  ]);
  const [, files20k] = await machineRows(machineWith({}, { '/proc/self/limits': limits('20000') }), undefined);
  assert.equal(files20k!.level, 'warning');
});

test('doctor: what the system does not tell is passed over', async () => {
  const rows = await machineRows(machineWith({ readFile: () => Promise.reject(new Error('ENOENT')) }), undefined);
  assert.deepEqual(
    rows.map(({ check }) => check),
    ['node'],
  );
});

function planWith(plan: Partial<Record<'ports' | 'clusters', object>>): Plan {
  return { ports: {}, clusters: {}, ...plan } as Plan;
}

test('doctor: ports that are free, taken, held by the Fourways that runs, or may be taken by chance', async () => {
  const refusals: Readonly<Record<number, [error: string, pid?: number]>> = {
    81: ['EADDRINUSE', 12],
    82: ['EADDRINUSE', 7],
    83: ['EADDRINUSE'],
    84: ['EACCES'],
    85: ['EADDRNOTAVAIL'],
  };
  const machine = machineWith(
    {
      probePort: async (_address, port) => {
        const [error, pid] = refusals[port] ?? [];
        return error === undefined ? undefined : { error, message: `no ${port}`, ...(pid !== undefined && { pid }) };
      },
    },
    { '/proc/sys/net/ipv4/ip_local_reserved_ports': '33001,34000-34010\n' },
  );
  const numbers = [80, 81, 82, 83, 84, 85, 33_000, 33_001, 34_005];
  const ports = Object.fromEntries(numbers.map((port) => [port, { address: '*', port, protocol: 'http' }]));
  const holder = { pid: 7, held: new Set([81, 82, 83]) };
  const rows = await portRows(machine, planWith({ ports }), holder);
  assertRows(rows, [
    ['ok', 'port', /\*:80 \(http\) is free/],
    ['problem', 'port', /no 81/],
    ['ok', 'port', /held by the Fourways/],
    ['ok', 'port', /held by the Fourways/],
    ['problem', 'port', /no 84/],
    ['problem', 'port', /no 85/],
    ['warning', 'port', /33000 .* goes out/],
    ['ok', 'port', /33001.* free/],
    ['ok', 'port', /34005.* free/],
  ]);
  assert.match(rows[1]!.fix!, /ps -fp 12/);
  assert.match(rows[4]!.fix!, /CAP_NET_BIND_SERVICE/);
  const [alone] = await portRows(machine, planWith({ ports: { a: ports['83']! } }), {
    pid: undefined,
    held: new Set(),
  });
  assert.equal(alone!.level, 'problem', 'nobody of ours runs');
});

const RESOLVERS: readonly (readonly [LookedUp, Row['level'], RegExp])[] = [
  [{ found: 0, code: 'ENOTFOUND', tookMs: 3 }, 'ok', /answers$/],
  [{ found: 0, code: 'ENOTFOUND', tookMs: 2_500 }, 'warning', /after 2500 ms/],
  [{ found: 1, tookMs: 3 }, 'warning', /names that do not exist/],
  [{ found: 0, code: 'ETIMEOUT', tookMs: 5_000 }, 'problem', /ETIMEOUT/],
  [{ found: 0, code: 'ECONNREFUSED', tookMs: 1 }, 'problem', /ECONNREFUSED/],
];

test('doctor: resolvers', async () => {
  for (const [answer, level, found] of RESOLVERS) {
    // oxlint-disable-next-line no-await-in-loop -- in order
    assertRows(await resolverRows(machineWith({ askResolver: async () => answer })), [[level, 'resolver', found]]);
  }
  assertRows(await resolverRows(machineWith({}, { '/etc/resolv.conf': '# none\n' })), [
    ['warning', 'resolver', /no name server/],
  ]);
});

const NAMED = planWith({
  clusters: {
    'Backend/shop/a': { endpoints: [{ address: 'a.test', port: 80 }] },
    'Backend/shop/b': {
      endpoints: [
        { address: 'b.test', port: 80 },
        { address: '10.0.0.1', port: 80 },
      ],
    },
    'Backend/shop/c': { endpoints: [{ address: '_c._tcp.test', port: 80, records: 'srv' }] },
  },
});

test('doctor: names of backends, as this machine finds them', async () => {
  const asked: string[] = [];
  const lookUp: Machine['lookUp'] = async (name, records) => {
    asked.push(`${name} ${records}`);
    if (name === 'a.test') return { found: 0, code: 'ENOTFOUND', tookMs: 1 };
    return { found: 2, tookMs: name === 'b.test' ? 3_000 : 1 };
  };
  assertRows(await nameRows(machineWith({ lookUp }), NAMED), [
    ['problem', 'name', /a\.test \(Backend\/shop\/a\) is not found here: ENOTFOUND/],
    ['warning', 'name', /b\.test .* after 3000 ms/],
  ]);
  assert.deepEqual(asked, ['a.test addresses', 'b.test addresses', '_c._tcp.test srv']);
  assertRows(await nameRows(machineWith(), NAMED), [['ok', 'name', /3 names of backends found/]]);
  assert.deepEqual(await nameRows(machineWith(), planWith({})), []);
});

test('doctor: names of backends, as the proxy that runs knows them', () => {
  const endpoint = { port: 80, connections: 0, idle: 0, sinceMs: 0 };
  const endpoints = {
    'Backend/shop/b': [{ ...endpoint, address: '10.0.0.2', resolvedFrom: 'b.test', stale: 'ESERVFAIL' }],
    'Backend/shop/c': [{ ...endpoint, address: '10.0.0.3', resolvedFrom: '_c._tcp.test' }],
  };
  assertRows(resolvedRows(NAMED, { workers: [], endpoints }), [
    ['problem', 'name', /a\.test .* 503/],
    ['warning', 'name', /b\.test .* as it was: ESERVFAIL/],
  ]);
});

const SOCKET = '0000000000000000: 00000002 00000000 00010000 0001 01 12345 @fourways_user_1001\n';

test('doctor: rules of capture that have their sidecar, were left behind, were lost, or cannot be seen', async () => {
  const seen = (tables: readonly string[], unix = ''): Promise<Row[]> =>
    captureRows(machineWith({ tables: async () => tables }, { '/proc/net/unix': unix }));
  assertRows(await seen([]), [['ok', 'capture', /no sidecar/]]);
  assertRows(await seen(['filter', 'fourways_user_1001'], SOCKET), [['ok', 'capture', /has its sidecar/]]);
  const left = await seen(['fourways_user_1001', 'fourways_others_0']);
  assertRows(left, [
    ['problem', 'capture', /fourways_user_1001 was left behind/],
    ['problem', 'capture', /fourways_others_0 was left behind/],
  ]);
  assert.match(left[0]!.fix!, /nft delete table inet fourways_user_1001/);
  assertRows(await seen([], SOCKET), [['problem', 'capture', /fourways_user_1001, and its rules are gone/]]);
  const unseen = (why: 'no-nft' | 'refused', unix = ''): Promise<Row[]> =>
    captureRows(machineWith({ tables: async () => ({ why, detail: 'must be root' }) }, { '/proc/net/unix': unix }));
  assertRows(await unseen('no-nft'), [['ok', 'capture', /only sidecars with --capture/]]);
  assertRows(await unseen('refused'), [['ok', 'capture', /must be root/]]);
  assertRows(await unseen('refused', SOCKET), [['warning', 'capture', /fourways_user_1001 .* must be root/]]);
});

test('doctor: a clock is wrong only as far as a whole second and the way there cannot explain it', async () => {
  assert.equal(skewOf({ saidMs: 10_000, askedMs: 10_400, answeredMs: 10_500 }), 0);
  assert.equal(skewOf({ saidMs: 10_000, askedMs: 9_000, answeredMs: 9_900 }), 100);
  assert.equal(skewOf({ saidMs: 10_000, askedMs: 12_000, answeredMs: 12_100 }), -1_000);
  const at = { address: '10.0.0.9:15010', wire: 'control' } as const;
  const told = (saidMs: number) =>
    clockRow(machineWith({ clockOf: async () => ({ saidMs, askedMs: 100_000, answeredMs: 100_000 }) }), at);
  assertRows(
    [await told(100_000), await told(110_000), await told(160_000), await told(39_000)],
    [
      ['ok', 'clock', /agrees with 10\.0\.0\.9:15010/],
      ['warning', 'clock', /10 s behind/],
      ['problem', 'clock', /60 s behind/],
      ['problem', 'clock', /60 s ahead of/],
    ],
  );
  const silent = await clockRow(machineWith({ clockOf: async () => 'no answer in time' }), at);
  assertRows([silent], [['problem', 'clock', /no answer in time/]]);
});

const KEPT: readonly (readonly [KeptOpen | string, Row['level'], RegExp])[] = [
  [{ status: 200, closes: false, saysMs: 65_000, watchedMs: 0 }, 'ok', /for 65s, we for 55s/],
  [{ status: 200, closes: false, saysMs: 5_000, watchedMs: 0 }, 'ok', /for 5s: heeded, instead of our 55s/],
  [{ status: 200, closes: false, saysMs: 1_000, watchedMs: 0 }, 'warning', /hardly any is used again/],
  [{ status: 200, closes: true, watchedMs: 0 }, 'warning', /ends each connection/],
  [{ status: 404, closes: false, endedAfterMs: 5_010, watchedMs: 5_010 }, 'problem', /after 5s and does not say so/],
  [{ status: 200, closes: false, watchedMs: 6_000 }, 'ok', /longer than 6s/],
  ['connect ECONNREFUSED', 'problem', /gives no answer: connect ECONNREFUSED/],
];

test('doctor: how long an application keeps connections, beside how long we do', async () => {
  for (const [kept, level, found] of KEPT) {
    const machine = machineWith({ keepOpen: async () => kept });
    // oxlint-disable-next-line no-await-in-loop -- in order
    assertRows([await applicationRow(machine, 3_000, undefined)], [[level, 'application', found]]);
  }
  const clusters = { x: { endpoints: [{ address: '127.0.0.1', port: 3_000 }], settings: { keepAliveMs: 4_000 } } };
  const silent = machineWith({
    keepOpen: async () => ({ status: 200, closes: false, endedAfterMs: 5_000, watchedMs: 5_000 }),
  });
  assert.equal((await applicationRow(silent, 3_000, planWith({ clusters }))).level, 'ok', 'we let go before');
});

const CERTIFICATES: CertificateReport = { orders: false, certificates: [] };

const RUNNING: Running = {
  about: { version: '0.1.0', node: 'v26.0.0', pid: 7, source: '/etc/gw', startedAt: '2026-11-20T10:00:00Z' },
  readiness: { ready: true, reason: '', version: 'abcdefabcdefabcdef', workers: [] },
  problems: { version: 'abcdef', problems: [] },
  stats: { workers: [], endpoints: {} },
  status: { apiVersion: 'v1', kind: 'List', items: [] },
  certificates: CERTIFICATES,
  plan: planWith({}),
  proxies: undefined,
  member: undefined,
};

const MEMBER: MemberReport = {
  identity: 'spiffe://td/ns/shop/sa/web',
  instance: 'web-1',
  control: ['10.0.0.1:15010'],
  certificate: {
    what: 'proxy',
    owner: 'spiffe://td/ns/shop/sa/web',
    where: 'web-1',
    serial: '0a',
    isBrought: false,
    from: '2026-11-20T10:00:00Z',
    until: '2026-11-21T10:00:00Z',
    alarm: 'none',
  },
};

test('doctor: a Fourways that runs and with which nothing is wrong', () => {
  assertRows(processRows(RUNNING), [
    ['ok', 'process', /0\.1\.0 \(pid 7\) serves \/etc\/gw/],
    ['ok', 'plan', /abcdefabcdef is applied/],
    ['ok', 'configuration', /newest/],
  ]);
});

test('doctor: a Fourways that serves an old plan, with a dead worker, a port that it cannot have, and a sick service', () => {
  const condition = { type: 'Programmed', status: 'False', reason: 'PortUnavailable', message: 'address in use' };
  const gateway = {
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'shop' },
    status: { listeners: [{ name: 'http', conditions: [condition] }] },
  };
  const sick = { address: '10.0.0.2', port: 80, connections: 0, idle: 0, sinceMs: 0, health: 'unhealthy' } as const;
  const worker = { worker: 2, state: 'ready', version: 'x', restarts: 3, connections: 0, exchanges: 0 } as const;
  const rows = processRows({
    ...RUNNING,
    readiness: { ready: false, reason: 'Worker 1 is missing', version: undefined, workers: [] },
    problems: { version: 'abcdef', refused: 'nothing can be read', problems: [] },
    status: { apiVersion: 'v1', kind: 'List', items: [gateway] },
    stats: { workers: [worker], endpoints: { 'Service/shop/web/80': [sick, sick] } } as unknown as Running['stats'],
  });
  assertRows(rows, [
    ['ok', 'process', /./],
    ['problem', 'plan', /Worker 1 is missing/],
    ['problem', 'configuration', /nothing can be read/],
    ['warning', 'worker', /worker 2 has ended 3 times/],
    ['problem', 'listener', /Gateway shop\/edge listener http .* address in use/],
    ['problem', 'endpoints', /none of 2 well/],
  ]);
});

test('doctor: a proxy says since when it has no control plane, and that its certificate is late', () => {
  const missing = (forMs: number): Row =>
    processRows({ ...RUNNING, member: { ...MEMBER, missing: { forMs, reason: 'connection refused' } } })[2]!;
  assertRows(
    [
      processRows({ ...RUNNING, member: { ...MEMBER, connected: '10.0.0.1:15010' } })[2]!,
      missing(5_000),
      missing(600_000),
    ],
    [
      ['ok', 'control plane', /connected to 10\.0\.0\.1:15010/],
      ['warning', 'control plane', /none for 5s: connection refused/],
      ['problem', 'control plane', /none for 10m/],
    ],
  );
  const alarmed = (alarm: 'late' | 'urgent' | 'over'): Row =>
    processRows({ ...RUNNING, certificates: { ...CERTIFICATES, mesh: [{ ...MEMBER.certificate, alarm }] } })[3]!;
  assertRows(
    [alarmed('late'), alarmed('urgent'), alarmed('over')],
    [
      ['warning', 'certificate', /past half of its life/],
      ['problem', 'certificate', /past half of its life/],
      ['problem', 'certificate', /proxy spiffe:\/\/td\/ns\/shop\/sa\/web \(web-1\) ended/],
    ],
  );
});

test('doctor: proxies that refuse their plan or lag behind', () => {
  const proxy = { instance: 'web-1', services: ['shop/web'], role: 'sidecar', refused: undefined, lagMs: 0 };
  const rows = (proxies: readonly object[]): Row[] =>
    processRows({ ...RUNNING, proxies: proxies as Running['proxies'] }).slice(3);
  assertRows(rows([proxy]), [['ok', 'proxy', /1 connected/]]);
  assertRows(
    rows([proxy, { ...proxy, refused: 'port taken' }, { ...proxy, lagMs: 90_000 }, { ...proxy, lagMs: 9_000 }]),
    [
      ['problem', 'proxy', /shop\/web \(web-1\) refuses its plan: port taken/],
      ['warning', 'proxy', /has not served its plan for 90s/],
    ],
  );
});

function answers(): Record<string, HttpAnswer> {
  const { about, readiness, problems, stats, status, certificates, plan } = RUNNING;
  const documents = {
    '/version': about,
    '/readyz': readiness,
    '/problems': problems,
    '/endpoints': stats,
    '/status': status,
    '/certificates': certificates,
    '/plan': plan,
  };
  const absent = { status: 404, body: JSON.stringify({ detail: 'none' }) };
  return Object.fromEntries([
    ...['/proxies', '/member'].map((path) => [`http://127.0.0.1:9900${path}`, absent] as const),
    ...Object.entries(documents).map(
      ([path, document]) => [`http://127.0.0.1:9900${path}`, { status: 200, body: JSON.stringify(document) }] as const,
    ),
  ]);
}

test('doctor: without a process it looks at the machine; one that was named has to be there', async () => {
  const alone = fakeIo({ machine: machineWith() });
  assert.equal(await runCommand(['doctor'], alone), 0);
  assert.match(alone.outLines.join('\n'), /^ok +process +none is looked at[^]*\n0 problems, 0 warnings, 7 ok$/m);
  const named = fakeIo({ machine: machineWith() });
  assert.equal(await runCommand(['doctor', '--admin', '127.0.0.1:9900'], named), 1);
  assert.match(named.outLines.join('\n'), /^problem +process +Cannot reach .*\n +do: start it/m);
});

test('doctor: a process that runs, with its clock; --json says the same', async () => {
  const io = fakeIo({ machine: machineWith(), answers: answers() });
  assert.equal(await runCommand(['doctor', '--json', '--control', '10.0.0.1:15010', '--app', '3000'], io), 0);
  const { checks, counts } = JSON.parse(io.outLines[0]!) as { checks: Row[]; counts: object };
  assert.deepEqual(
    checks.map(({ check }) => check),
    [
      'node',
      'open files',
      'backlog',
      'local ports',
      'resolver',
      'capture',
      'process',
      'plan',
      'configuration',
      'clock',
      'clock',
      'application',
    ],
  );
  assert.deepEqual(counts, { ok: 12, warning: 0, problem: 0 });
});

test('doctor: --config compiles what would be served, and tries its ports', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-doctor-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'fourways.yaml');
  writeFileSync(path, 'listen: 8080\nroutes: [{ match: /, to: http://a.test:80 }]\n');
  const probePort: Machine['probePort'] = async () => ({ error: 'EADDRINUSE', message: 'taken', pid: 3 });
  const io = fakeIo({ machine: machineWith({ probePort }) });
  assert.equal(await runCommand(['doctor', '--config', path], io), 1);
  const text = io.outLines.join('\n');
  assert.match(text, /^ok +configuration .*has no error$/m);
  assert.match(text, /^problem +port +\*:8080 \(http\): taken$/m);
  assert.match(text, /^ok +name +1 name of backends found$/m);
});

for (const argv of [['x'], ['--app', '0'], ['--control', 'nowhere'], ['--admin', 'nowhere']]) {
  test(`doctor: refuses ${argv.join(' ')}`, async () => {
    assert.equal(await runCommand(['doctor', ...argv], fakeIo({ machine: machineWith() })), 2);
  });
}
