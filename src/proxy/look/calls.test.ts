import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { ManualClock } from '../../base/testing/manual-clock.ts';
import { makeExchange } from '../../filter/testing/exchange.ts';
import { CALL_KINDS_MAX, type CallsAnswer, type ObservedCall } from '../../ir/observed.ts';
import type { ClientCertificate } from '../../net/client-certificate.ts';
import type { AccessEntry } from '../../observe/access-log.ts';
import type { StreamEntry } from '../../observe/stream-log.ts';
import { answerCalls } from './calls.ts';
import { ExchangeWatch } from './exchange-watch.ts';

const ID = 'spiffe://td/ns/shop/sa/web';
const WEB = { uri: [ID] } as unknown as ClientCertificate;

class World {
  readonly clock = new ManualClock();
  readonly watch = new ExchangeWatch();
  readonly answers: CallsAnswer[] = [];
  readonly takeBack = answerCalls(
    { answer: (answer) => this.answers.push(answer as CallsAnswer), end: () => undefined },
    { watch: this.watch, clock: this.clock },
  );

  http(path: string, entry: Partial<AccessEntry> = {}): void {
    const known = { listener: 'Inbound/shop/orders/80', method: 'GET', status: 200, grpcStatus: -1 };
    const all = { ...known, clientCertificate: WEB, rule: 'r', path, ...entry } as unknown as AccessEntry;
    this.watch.on?.onExchange(makeExchange({ url: `http://shop.test${path}` }), all);
  }

  tcp(entry: Partial<StreamEntry> = {}): void {
    this.watch.on?.onStream({ listener: 'Inbound/shop/orders/90', clientCertificate: WEB, ...entry } as StreamEntry);
  }

  /** What is told in the next second. */
  told(): { readonly rows: unknown[]; readonly beyond: number } {
    this.answers.length = 0;
    this.clock.advance(1_000);
    const all = this.answers.flatMap(({ calls }) => calls);
    return { rows: all.map(row), beyond: this.answers.reduce((sum, { beyond }) => sum + beyond, 0) };
  }
}

function row({ source, service, port, protocol, method, path, ...counts }: ObservedCall): unknown {
  const { calls, denied, audited, unwelcome } = counts;
  return [source, `${service}:${port}`, [protocol, method, path].join(' '), calls, denied, audited, unwelcome];
}

test('calls: kinds of calls that come to the application, with what became of them', () => {
  const world = new World();
  world.http('/orders/17');
  world.http('/orders/18', { status: 404 });
  world.http('/orders/19', { fault: new Fault('stream.denied', '') });
  world.http('/orders/20', { notes: ['audit.authorize', 'authorize.denied'] });
  world.http('/orders', { clientCertificate: undefined, listener: 'Inbound/shop/orders/80@clear' });
  world.http('/shop.Orders/GetOrderOfCustomerNumber2', { grpcStatus: 0, method: 'POST' });
  world.http('/out', { listener: 'Service/shop/other/80' });
  world.tcp();
  world.tcp({ fault: new Fault('stream.denied', ''), audited: 'No rule' });
  assert.deepEqual(world.told().rows, [
    [ID, 'shop/orders:80', 'http GET /orders/*', 4, 1, 1, 1],
    ['', 'shop/orders:80', 'http GET /orders', 1, 0, 0, 0],
    [ID, 'shop/orders:80', 'grpc POST /shop.Orders/GetOrderOfCustomerNumber2', 1, 0, 0, 0],
    [ID, 'shop/orders:90', 'tcp  ', 2, 1, 1, 0],
  ]);
  assert.deepEqual(world.told().rows, [], 'what is told is told');
  world.http('/orders/21');
  assert.deepEqual(world.told().rows, [[ID, 'shop/orders:80', 'http GET /orders/*', 1, 0, 0, 0]]);
  world.takeBack();
  assert.deepEqual([world.watch.on, world.clock.pending], [undefined, 0]);
});

test('calls: there is room for so many kinds, and what is beyond is counted', () => {
  const world = new World();
  for (let i = 0; i < CALL_KINDS_MAX + 5; i++)
    world.http(`/${'x'.repeat(1 + (i % 50))}/${'y'.repeat(1 + Math.floor(i / 50))}`);
  const { rows, beyond } = world.told();
  assert.deepEqual([rows.length, beyond], [CALL_KINDS_MAX, 5]);
  world.http('/new');
  world.http('/x/y');
  assert.deepEqual(world.told(), { rows: [[ID, 'shop/orders:80', 'http GET /x/y', 1, 0, 0, 0]], beyond: 1 });
});
