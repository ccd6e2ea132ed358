/**
 * Active health checks of a cluster: each endpoint is asked at its own pace, so
 * that a fleet of workers does not ask all at once. What fails `unhealthyAfter`
 * times in a row gets no traffic until it was well `healthyAfter` times. When
 * every endpoint is unhealthy the checks are more likely wrong than all of them:
 * then traffic goes to all (panic), which is said.
 */
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import type { PlanHealthCheck } from '../../ir/plan.ts';
import type { Endpoint } from '../upstream/endpoint.ts';
import { HealthProbe } from './health-probe.ts';

export interface HealthEnv {
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly log: Pick<Log, 'warn' | 'info'>;
  /** Change of the number of unhealthy endpoints, and of clusters in panic. */
  unhealthy(change: number): void;
  panic(change: number): void;
}

/** The first question comes soon, but not with those of all other endpoints. */
const FIRST_MS_MAX = 1_000;

export class HealthChecks {
  readonly #cluster: string;
  readonly #check: PlanHealthCheck;
  readonly #env: HealthEnv;
  readonly #patients = new Map<Endpoint, Patient>();
  #inPanic = false;

  constructor(cluster: string, check: PlanHealthCheck, env: HealthEnv) {
    this.#cluster = cluster;
    this.#check = check;
    this.#env = env;
  }

  /** Those that stay keep what is known of them. */
  watch(endpoints: readonly Endpoint[]): void {
    const wanted = new Set(endpoints);
    for (const [endpoint, patient] of this.#patients) {
      if (wanted.has(endpoint)) continue;
      this.#patients.delete(endpoint);
      patient.discharge();
    }
    for (const endpoint of endpoints) {
      if (this.#patients.has(endpoint)) continue;
      const patient = new Patient(endpoint, this.#check, this.#env, (well, why) => this.#onChange(endpoint, well, why));
      this.#patients.set(endpoint, patient);
    }
    this.#lookForPanic();
  }

  close(): void {
    this.watch([]);
  }

  #onChange(endpoint: Endpoint, well: 'well' | 'unwell', why: string | undefined): void {
    const fields = { cluster: this.#cluster, endpoint: endpoint.name };
    if (well === 'well') this.#env.log.info('Endpoint is healthy again', fields);
    else this.#env.log.warn('Endpoint is unhealthy', { ...fields, why });
    this.#lookForPanic();
  }

  #lookForPanic(): void {
    const patients = [...this.#patients.values()];
    const panic = patients.length > 0 && patients.every(({ well }) => !well);
    if (panic === this.#inPanic) return;
    this.#inPanic = panic;
    this.#env.panic(panic ? 1 : -1);
    const { log } = this.#env;
    if (panic) log.warn('Every endpoint is unhealthy: traffic goes to all of them', { cluster: this.#cluster });
    else log.info('Some endpoint is healthy again: traffic goes to those', { cluster: this.#cluster });
  }
}

/** One endpoint under observation: at most one question at a time. */
class Patient {
  well = true;
  readonly #endpoint: Endpoint;
  readonly #check: PlanHealthCheck;
  readonly #env: HealthEnv;
  readonly #onChange: (well: 'well' | 'unwell', why: string | undefined) => void;
  readonly #timer: Timed;
  #probe: HealthProbe | undefined;
  /** Answers in a row that speak against what is believed. */
  #against = 0;

  constructor(
    endpoint: Endpoint,
    check: PlanHealthCheck,
    env: HealthEnv,
    onChange: (well: 'well' | 'unwell', why: string | undefined) => void,
  ) {
    this.#endpoint = endpoint;
    this.#check = check;
    this.#env = env;
    this.#onChange = onChange;
    this.#timer = new Timed(() => this.#ask());
    env.wheel.arm(this.#timer, env.random.unit() * Math.min(FIRST_MS_MAX, check.intervalMs));
  }

  discharge(): void {
    this.#env.wheel.disarm(this.#timer);
    this.#probe?.cancel();
    if (!this.well) this.#set(true);
  }

  #ask(): void {
    this.#probe = new HealthProbe(this.#check, this.#endpoint, this.#env.wheel);
    this.#probe.start((why) => this.#onAnswer(why));
  }

  #onAnswer(why: string | undefined): void {
    this.#probe = undefined;
    const { intervalMs, healthyAfter, unhealthyAfter } = this.#check;
    // A fifth of jitter, so that workers do not fall into step.
    this.#env.wheel.arm(this.#timer, intervalMs * (0.9 + this.#env.random.unit() / 5));
    const isWell = why === undefined;
    if (isWell === this.well) {
      this.#against = 0;
      return;
    }
    if (++this.#against < (isWell ? healthyAfter : unhealthyAfter)) return;
    this.#set(isWell);
    this.#onChange(isWell ? 'well' : 'unwell', why);
  }

  #set(well: boolean): void {
    this.#against = 0;
    this.well = well;
    this.#endpoint.probed = well ? 'healthy' : 'unhealthy';
    this.#env.unhealthy(well ? -1 : 1);
  }
}
