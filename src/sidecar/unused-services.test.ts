import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { Plan, PlanListener } from '../ir/plan.ts';
import { HTTP_LISTENER } from '../ir/testing/plans.ts';
import { UnusedServices } from './unused-services.ts';

const MINUTE_MS = 60_000;

const named = (name: string): PlanListener => ({
  ...HTTP_LISTENER,
  hostname: `${name}.shop:80`,
  alsoNamed: [`${name}:80`],
  chosenBy: 'authority',
});

const PLAN = {
  version: 'v1',
  ports: {},
  listeners: { 'Service/shop/orders/80': named('orders'), 'Service/shop/mail/80': named('mail') },
  routes: {},
  streams: {},
  clusters: {},
} satisfies Partial<Plan> as unknown as Plan;

function setUp(): {
  readonly unused: UnusedServices;
  readonly clock: ManualClock;
  readonly used: Record<string, number>;
  readonly gone: string[];
  readonly pass: (minutes: number) => Promise<void>;
} {
  const clock = new ManualClock();
  const used: Record<string, number> = {};
  const gone: string[] = [];
  const unused = new UnusedServices({
    clock,
    plan: () => PLAN,
    used: () => Promise.resolve({ ...used }),
    letGo: (name) => gone.push(name),
  });
  const pass = async (minutes: number): Promise<void> => {
    for (let i = 0; i < minutes; i++) {
      clock.advance(MINUTE_MS);
      await turn();
    }
  };
  return { unused, clock, used, gone, pass };
}

test('unused services: what nobody has called for an hour is let go, and what is called stays', async () => {
  const { unused, used, gone, pass } = setUp();
  unused.asked('orders.shop');
  unused.asked('mail');
  used['Service/shop/orders/80'] = 1;
  used['Service/shop/mail/80'] = 1;
  for (let i = 0; i < 3; i++) {
    await pass(59);
    used['Service/shop/orders/80']!++;
  }
  assert.deepEqual(gone, ['mail']);
  await pass(60);
  assert.deepEqual(gone, ['mail']);
  await pass(20);
  assert.deepEqual(gone, ['mail', 'orders.shop']);
});

test('unused services: a name that stands for nothing is let go too, and one that is asked for again is not', async () => {
  const { unused, gone, pass } = setUp();
  unused.asked('nobody');
  unused.asked('orders.shop');
  await pass(50);
  unused.asked('orders.shop');
  await pass(50);
  assert.deepEqual(gone, ['nobody']);
});

test('unused services: a worker that counts anew has been used', async () => {
  const { unused, used, gone, pass } = setUp();
  unused.asked('orders.shop');
  used['Service/shop/orders/80'] = 7;
  await pass(60);
  used['Service/shop/orders/80'] = 2;
  await pass(60);
  assert.deepEqual(gone, []);
  unused.close();
  await pass(200);
  assert.deepEqual(gone, []);
});
