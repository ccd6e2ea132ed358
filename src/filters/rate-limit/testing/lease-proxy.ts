/** Proxies that ask for one key as fast as they can: in a process of its own (argv: URL, configuration, how many, how long), or in that of a test. */
import process from 'node:process';
import { sleep, systemClock } from '../../../base/clock.ts';
import { silentLog } from '../../../base/log.ts';
import { systemRandom } from '../../../base/random.ts';
import type { Filter } from '../../../filter/filter.ts';
import { makeEnv, makeExchange, type TestEnv } from '../../../filter/testing/exchange.ts';
import { check } from '../../../schema/schema.ts';
import { RedisStore } from '../../../store/redis.ts';
import { RateLimitConfig } from '../config.ts';
import { code } from '../filter.ts';

export interface LeaseProxy extends Disposable {
  readonly filter: Filter;
  readonly env: TestEnv;
  readonly redis: RedisStore;
  ask(): boolean;
}

/** One worker of one proxy, with a connection, cells and a clock of its own. Ready when Redis is there. */
export async function startProxy(url: string, config: object): Promise<LeaseProxy> {
  const redis = new RedisStore({ url, clock: systemClock, random: systemRandom(), log: silentLog });
  const env = makeEnv({
    redis,
    nowMs: () => systemClock.nowMs(),
    after: (delayMs, run) => systemClock.after(delayMs, run),
  });
  while (!redis.isUp) await sleep(systemClock, 5);
  const filter = code.make(check(RateLimitConfig, config).value!, env);
  return {
    filter,
    env,
    redis,
    ask: () => filter.onRequest!(makeExchange(), { matchedPath: '/' }) === undefined,
    [Symbol.dispose]() {
      filter.close!();
      redis.close();
    },
  };
}

/** Some requests each turn, so that answers of Redis come in between. @returns how many were let through */
export async function hammer(proxies: readonly LeaseProxy[], forMs: number): Promise<number> {
  const endMs = systemClock.nowMs() + forMs;
  let admitted = 0;
  while (systemClock.nowMs() < endMs) {
    for (const proxy of proxies) for (let i = 0; i < 20; i++) if (proxy.ask()) admitted++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return admitted;
}

if (import.meta.main) {
  const [url, config, count, forMs] = process.argv.slice(2);
  const proxies = await Promise.all(
    Array.from({ length: Number(count) }, () => startProxy(url!, JSON.parse(config!) as object)),
  );
  process.send!('ready');
  process.once('message', () => {
    void hammer(proxies, Number(forMs)).then((admitted) => {
      for (const proxy of proxies) proxy[Symbol.dispose]();
      process.send!(admitted, () => process.disconnect?.());
    });
  });
}
