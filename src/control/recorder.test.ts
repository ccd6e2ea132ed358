import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asker } from '../base/asking.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { ObservedCall } from '../ir/observed.ts';
import { Recorder } from './recorder.ts';
import type { Askable } from './survey.ts';

class World {
  readonly clock = new ManualClock();
  readonly proxies: Askable[] = [];
  readonly askers = new Map<string, Asker>();
  readonly takenBack: string[] = [];
  readonly recorder = new Recorder({
    clock: this.clock,
    proxies: {
      list: () => this.proxies,
      onJoined: (told) => {
        this.#told = told;
        return () => (this.#told = undefined);
      },
    },
  });
  #told: ((proxy: Askable) => void) | undefined;

  /** @param name  `orders.shop` */
  proxy(name: string, role: Askable['role'] = 'sidecar'): Askable {
    const [account, namespace] = name.split('.');
    return {
      instance: name,
      identity: `spiffe://td/ns/${namespace}/sa/${account}`,
      role,
      services: [],
      ask: ({ topic }, asker) => {
        assert.equal(topic, 'calls');
        this.askers.set(name, asker);
        return () => this.takenBack.push(name);
      },
    };
  }

  join(proxy: Askable): void {
    this.#told?.(proxy);
  }

  say(name: string, calls: unknown, beyond: unknown = 0, lost = 0): void {
    this.askers.get(name)!.answer({ calls, beyond }, lost);
  }
}

const WEB = 'spiffe://td/ns/shop/sa/web';

function call(values: Partial<ObservedCall> = {}): ObservedCall {
  return {
    source: WEB,
    service: 'shop/orders',
    port: 80,
    protocol: 'http',
    method: 'GET',
    path: '/orders/*',
    calls: 1,
    denied: 0,
    audited: 0,
    unwelcome: 0,
    ...values,
  };
}

test('Recorder: adds up what all workers and proxies say, also those that come later', () => {
  const world = new World();
  world.proxies.push(world.proxy('orders.shop'), world.proxy('gateway.fourways', 'gateway'));
  assert.equal(world.recorder.recording.state, 'none');
  assert.ok(world.recorder.start(60_000));
  assert.deepEqual([...world.askers.keys()], ['orders.shop'], 'gateways take in no calls of services');
  world.say('orders.shop', [call({ calls: 3, denied: 1 }), call({ method: 'POST' })]);
  world.join(world.proxy('orders2.shop'));
  world.say('orders2.shop', [call({ calls: 2, audited: 2, unwelcome: 1 })], 4, 1);
  assert.deepEqual(world.recorder.calls, [
    call({ calls: 5, denied: 1, audited: 2, unwelcome: 1 }),
    call({ method: 'POST' }),
  ]);
  const { state, heard, kinds, calls, beyond } = world.recorder.recording;
  assert.deepEqual([state, heard, kinds, calls, beyond], ['running', 2, 2, 6, 5]);
});

test('Recorder: ends by itself, keeps what it has, and begins anew when it is started again', () => {
  const world = new World();
  world.proxies.push(world.proxy('orders.shop'));
  world.recorder.start(60_000);
  assert.equal(world.recorder.start(1), false);
  world.say('orders.shop', [call()]);
  world.clock.advance(60_000);
  const { state, fromMs, untilMs } = world.recorder.recording;
  assert.deepEqual([state, untilMs! - fromMs!], ['ended', 60_000]);
  assert.deepEqual(world.takenBack, ['orders.shop']);
  world.say('orders.shop', [call()]);
  assert.equal(world.recorder.calls[0]!.calls, 1, 'what comes late is not counted');
  assert.equal(world.recorder.stop(), false);
  world.join(world.proxy('late.shop'));
  assert.deepEqual([...world.askers.keys()], ['orders.shop']);
  world.recorder.start(60_000);
  assert.deepEqual(world.recorder.calls, []);
  assert.ok(world.recorder.stop());
  assert.equal(world.clock.pending, 0);
});

test('Recorder: says who could not be heard, unless it has only gone', () => {
  const world = new World();
  world.proxies.push(world.proxy('old.shop'), world.proxy('orders.shop'));
  world.recorder.start(60_000);
  world.askers.get('old.shop')!.end({ kind: 'unsupported', reason: 'Nothing is known of it' });
  world.say('orders.shop', []);
  world.askers.get('orders.shop')!.end({ kind: 'gone', reason: 'Its stream has ended' });
  assert.deepEqual(world.recorder.recording.unheard, [
    { proxy: 'old.shop', identity: 'spiffe://td/ns/shop/sa/old', reason: 'Nothing is known of it' },
  ]);
});

test('Recorder: a proxy speaks for its own namespace, and nonsense is not counted', () => {
  const world = new World();
  world.proxies.push(world.proxy('orders.shop'));
  world.recorder.start(60_000);
  const nonsense = [
    call({ service: 'bank/vault' }),
    null,
    7,
    {},
    { ...call(), port: 'x' },
    { ...call(), path: 'x'.repeat(9_999) },
  ];
  world.say('orders.shop', nonsense, 'many');
  world.say('orders.shop', 'calls');
  world.say('orders.shop', [{ ...call({ path: '/odd' }), calls: -5, denied: 1.5, more: true }]);
  assert.deepEqual(world.recorder.calls, [call({ path: '/odd', calls: 0 })]);
});
