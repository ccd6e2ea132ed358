import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { Fault } from '../../base/fault.ts';
import { silentLog } from '../../base/log.ts';
import { linesOf, makeEnv, makeExchange, makeResponse, type TestEnv } from '../../filter/testing/exchange.ts';
import { type Filter, WHOLE_BODY } from '../../filter/filter.ts';
import { OwnPrograms } from '../../main/own-programs.ts';
import { check } from '../../schema/schema.ts';
import { own, OwnConfig, type OwnEntry } from './config.ts';
import { code } from './filter.ts';

const folder = mkdtempSync(join(tmpdir(), 'fourways-own-'));
const programs = new OwnPrograms({ clock: systemClock, log: silentLog });
after(() => {
  programs.close();
  rmSync(folder, { recursive: true });
});

// One filter that does as it is asked, so that one thread serves all rows.
writeFileSync(
  join(folder, 'asked.ts'),
  `import { defineFilter, refuse, reply, Type, WHOLE_BODY, type Exchange } from 'fourways/filter';
   type Act = (x: Exchange) => unknown;
   const ACTS: Record<string, Act> = {
     nothing: () => undefined,
     set: (x) => void x.request.headers.set('X-Set', 'new'),
     later: async (x) => { await null; x.request.headers.add('x-later', 'yes'); },
     remove: (x) => void x.request.headers.delete('Cookie'),
     path: (x) => { x.request.path = '/b'; x.request.query = '?c=d'; x.request.authority = 'other.test:81'; },
     note: (x) => x.note('seen', x.clientIp + ' ' + x.identity?.subject),
     reply: () => reply({ status: 201, headers: { 'x-own': ['1', '2'] }, body: 'made here' }),
     refuse: () => refuse({ status: 429, code: 'slow-down', title: 'Slow down', detail: 'By the test', headers: { 'retry-after': '7' }, members: { left: 0 } }),
     whole: () => WHOLE_BODY,
     throws: (x) => { throw new TypeError('about ' + x.request.headers.get('cookie')); },
     rejects: async (x) => { throw new Error('about ' + x.request.headers.get('cookie')); },
     throwsText: (x) => { throw String(x.request.headers.get('cookie')); },
     number: () => 42,
     list: () => [1],
     other: () => ({ kind: 'other' }),
     status: () => reply({ status: 99 }),
     line: () => reply({ status: 200, headers: { 'x-a': 'b\\r\\nx-c: d' } }),
     framing: (x) => x.request.headers.set('Transfer-Encoding', 'chunked'),
     length: (x) => x.request.headers.delete('content-length'),
     host: (x) => x.request.headers.set('host', 'evil.test'),
     split: (x) => x.request.headers.set('x-a', 'b\\r\\nx-c: d'),
     badPath: (x) => { x.request.path = '/a b'; },
     query: (x) => { x.request.path = '/a?b'; },
     badQuery: (x) => { x.request.query = '?a#b'; },
     never: () => new Promise(() => {}),
     then: () => ({ then() {} }),
   };
   export default defineFilter({
     name: 'asked',
     options: Type.Object({ greeting: Type.String({ default: 'hello' }) }, { additionalProperties: false }),
     make: ({ greeting }, env) => ({
       onRequest: (x) => { env.count('asked'); return ACTS[x.request.headers.get('x-act') ?? 'nothing']!(x) as undefined; },
       onRequestBody: (x, body) => body.toString().toUpperCase(),
       onResponse: (x, response) => { response.headers.set('x-greeting', greeting + ' ' + env.secret('who')); response.status = 299; },
     }),
   });`,
);

const ENTRY: OwnEntry = {
  module: { specifier: join(folder, 'asked.ts'), from: folder },
  phase: 'transform',
  guard: 'worker',
  heapMegabytesMax: 64,
  timeout: '2s',
  secrets: { who: { secret: 'Secret/d/s#k', key: 'k', hash: '' } },
  upstreams: {},
};

function envOf(): TestEnv {
  // Waits end by the clock of the system: hooks run in another thread.
  return makeEnv({ programs, secret: () => 'you' });
}

async function make(entry: Partial<OwnEntry>, env = envOf()): Promise<Filter> {
  const whole: OwnEntry = { ...ENTRY, ...entry };
  await code.prepare!(whole, env);
  return code.make(whole, env);
}

const NEXT = { matchedPath: '/' };
type Want = string[] | { readonly fault: string; readonly detail?: RegExp } | { readonly reply: number } | 'whole-body';

const ROWS: [act: string, want: Want][] = [
  ['nothing', []],
  ['set', ['x-set: new']],
  ['later', ['x-later: yes']],
  ['reply', { reply: 201 }],
  ['refuse', { fault: 'own.asked.slow-down', detail: /^By the test$/ }],
  ['whole', 'whole-body'],
  ['throws', { fault: 'filter.failed', detail: /^Filter "own\.asked" failed: TypeError at asked\.ts:\d+:\d+$/ }],
  ['rejects', { fault: 'filter.failed', detail: /^Filter "own\.asked" failed: Error at asked\.ts:\d+:\d+$/ }],
  ['throwsText', { fault: 'filter.failed', detail: /it threw what is no Error$/ }],
  ['number', { fault: 'filter.failed', detail: /onRequest gave back what it may not/ }],
  ['list', { fault: 'filter.failed' }],
  ['other', { fault: 'filter.failed' }],
  ['status', { fault: 'filter.failed' }],
  ['line', { fault: 'filter.failed', detail: /TypeError/ }],
  ['framing', { fault: 'filter.failed', detail: /TypeError at asked\.ts/ }],
  ['length', { fault: 'filter.failed' }],
  ['host', { fault: 'filter.failed' }],
  ['split', { fault: 'filter.failed' }],
  ['badPath', { fault: 'filter.failed' }],
  ['query', { fault: 'filter.failed' }],
  ['badQuery', { fault: 'filter.failed' }],
];

for (const guard of ['worker', 'none'] as const) {
  for (const [act, want] of ROWS) {
    test(`own, guard ${guard}: ${act}`, async () => {
      const env = envOf();
      const filter = await make({ guard }, env);
      const x = makeExchange({ headers: { 'x-act': act, cookie: 'planted' } });
      const said = await filter.onRequest!(x, NEXT);
      const asWritten = linesOf(x.request.headers).filter((line) => !/^(?:x-act|cookie)/.test(line));
      if (Array.isArray(want)) assert.deepEqual([said, asWritten], [undefined, want]);
      else if (want === 'whole-body') assert.equal(said, WHOLE_BODY);
      else if ('reply' in want)
        assert.ok(
          !(said instanceof Fault) && typeof said === 'object' && 'status' in said && said.status === want.reply,
        );
      else {
        assert.ok(said instanceof Fault);
        assert.equal(said.code, want.fault);
        assert.match(said.detail, want.detail ?? /own\.asked/);
        assert.doesNotMatch(said.detail + env.warnings.join(), /planted/);
        assert.deepEqual(asWritten, [], 'a filter that failed has changed nothing');
      }
      filter.onEnd!(x);
      assert.equal(env.counts.get('asked'), 1);
      filter.close!();
    });
  }
}

test('own: changes of a request are made as they were meant', async () => {
  const filter = await make({});
  const x = makeExchange({ url: 'http://shop.test/a?x=y', headers: { 'x-act': 'path' } });
  assert.equal(await filter.onRequest!(x, NEXT), undefined);
  const { path, query, authority } = x.request;
  assert.deepEqual([path, query, authority], ['/b', '?c=d', 'other.test:81']);
  const removed = makeExchange({ headers: { 'x-act': 'remove', cookie: 'a=b' } });
  await filter.onRequest!(removed, NEXT);
  assert.equal(removed.request.headers.get('cookie'), undefined);
  const noted = makeExchange({ headers: { 'x-act': 'note' }, clientIp: '192.0.2.7' });
  await filter.onRequest!(noted, NEXT);
  assert.equal(noted.notes.get('seen'), '192.0.2.7 undefined');
  filter.close!();
});

test('own: a refusal has its own problem', async () => {
  const filter = await make({});
  const said = await filter.onRequest!(makeExchange({ headers: { 'x-act': 'refuse' } }), NEXT);
  assert.ok(said instanceof Fault);
  const { status, grpc, blame, title } = said.kind;
  assert.deepEqual([status, grpc, blame, title], [429, 8, 'client', 'Slow down']);
  assert.deepEqual(said.extras, { headers: [['retry-after', '7']], members: { left: 0 } });
  filter.close!();
});

test('own: bodies and answers', async () => {
  const filter = await make({ options: { greeting: 'hi' } });
  const x = makeExchange({ headers: { 'x-act': 'whole' } });
  await filter.onRequest!(x, NEXT);
  assert.deepEqual(await filter.onRequestBody!(x, Buffer.from('abc'), 'whole'), Buffer.from('ABC'));
  const response = makeResponse(200);
  assert.equal(await filter.onResponse!(x, response), undefined);
  assert.deepEqual([response.status, response.headers.get('x-greeting')], [299, 'hi you']);
  filter.close!();
});

test('own: what takes too long fails by its time, and is not asked of the answer that says so', async () => {
  for (const guard of ['worker', 'none'] as const) {
    for (const act of ['never', 'then']) {
      const env = envOf();
      const filter = await make({ guard, timeout: '100ms' }, env);
      const x = makeExchange({ headers: { 'x-act': act } });
      const said = await filter.onRequest!(x, NEXT);
      assert.ok(said instanceof Fault);
      assert.match(said.detail, /onRequest took longer than 100 ms/);
      const response = makeResponse(500);
      assert.equal(await filter.onResponse!(x, response), undefined);
      assert.deepEqual(linesOf(response.headers), []);
      assert.equal(env.counts.get('timeout'), 1);
      filter.close!();
    }
  }
});

test('own: nothing is changed of an exchange that is over: its objects may serve another one', async () => {
  const filter = await make({});
  const x = makeExchange({ headers: { 'x-act': 'later' } });
  const said = filter.onRequest!(x, NEXT);
  filter.onEnd!(x);
  assert.equal(await said, undefined);
  assert.equal(x.request.headers.get('x-later'), undefined);
  filter.close!();
});

const BROKEN: [rule: string, entry: Partial<OwnEntry>, why: RegExp][] = [
  [
    'no such file',
    { module: { specifier: join(folder, 'absent.ts'), from: folder } },
    /absent" failed: there is no such file/,
  ],
  ['no such package', { module: { specifier: 'no-such-package-here', from: folder } }, /Cannot find package/],
  ['no such filter in it', { filter: 'stamp' }, /it defines no filter "stamp": it has asked/],
];

for (const [rule, entry, why] of BROKEN) {
  test(`own: ${rule}`, async () => {
    const env = envOf();
    const filter = await make(entry, env);
    const x = makeExchange();
    const said = await filter.onRequest!(x, NEXT);
    assert.ok(said instanceof Fault);
    assert.match(said.detail, why);
    assert.equal(env.counts.get('unavailable'), 1);
    const response = makeResponse(500);
    assert.equal(await filter.onResponse!(x, response), undefined);
    filter.close!();
  });
}

test('own: another proxy in the same process loads what a file holds by then', async () => {
  const path = join(folder, 'replaced.ts');
  const written = async (value: string): Promise<readonly string[]> => {
    const made = `make: () => ({ onRequest: (x) => x.request.headers.set('x-set', '${value}') })`;
    writeFileSync(
      path,
      `import { defineFilter } from 'fourways/filter';\ndefineFilter({ name: 'replaced', ${made} });\n`,
    );
    const others = new OwnPrograms({ clock: systemClock, log: silentLog });
    const module = { specifier: path, from: folder };
    const filter = await make({ module, guard: 'none' }, makeEnv({ programs: others, secret: () => 'you' }));
    const x = makeExchange();
    await filter.onRequest!(x, NEXT);
    others.close();
    return linesOf(x.request.headers);
  };
  assert.deepEqual(await written('one'), ['x-set: one']);
  assert.deepEqual(await written('two'), ['x-set: two']);
});

test('own: options that its schema refuses', async () => {
  const filter = await make({ options: { greting: 'hi' } });
  const said = await filter.onRequest!(makeExchange(), NEXT);
  assert.ok(said instanceof Fault);
  assert.match(said.detail, /options\/greting: /);
  filter.close!();
});

test('own: the configuration, its defaults and its parts', () => {
  const { value, issues } = check(OwnConfig, { use: [{ module: './a.ts', phase: 'admit' }, { module: 'b' }] });
  assert.deepEqual(issues, []);
  const parts = own.parts!.of(value as never);
  assert.deepEqual(
    parts.map(({ phase, pointer }) => [phase, pointer]),
    [
      ['admit', '/use/0'],
      ['transform', '/use/1'],
    ],
  );
  for (const wrong of [{}, { use: [] }, { use: [{}] }, { use: [{ module: 'a', guard: 'watchdog' }] }]) {
    assert.notEqual(check(OwnConfig, wrong).issues.length, 0);
  }
});
