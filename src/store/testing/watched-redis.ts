/** A store that is connected to a Redis, with what it has said, which tells of each change. */
import { systemClock } from '../../base/clock.ts';
import { forwardingLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { RedisStore } from '../redis.ts';

export class WatchedRedis implements Disposable {
  readonly said: string[] = [];
  readonly store: RedisStore;
  #waiting: (() => void)[] = [];

  constructor(url: string) {
    const log = forwardingLog('debug', (level, message, fields) => {
      this.said.push(`${level} ${message} ${JSON.stringify(fields)}`);
      for (const go of this.#waiting.splice(0)) go();
    });
    this.store = new RedisStore({ url, clock: systemClock, random: systemRandom(), log });
  }

  async until(state: 'up' | 'away'): Promise<void> {
    while (this.store.isUp !== (state === 'up')) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  [Symbol.dispose](): void {
    this.store.close();
  }
}
