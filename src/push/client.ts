/**
 * A proxy's link to its control planes: one stream at a time, to any of several
 * addresses, opened again whenever it ends. What arrives becomes changes for an
 * applier. Knows no socket: `connect` is lent (grpc-client.ts).
 */
import { Backoff, type BackoffBounds } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import type { PlanBundle } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import { type ClientPipe, ClientSession, type ProxyEvents } from './client-session.ts';
import { pushFault } from './faults.ts';
import type { Report, Self } from './messages.ts';
import { reportKey, Standing } from './standing.ts';

/** From the first packet to the welcome. */
const CONNECT_MS = 15_000;

/** A stream that lived as long was a success: waits begin anew. */
const LONG_LIFE_MS = 30_000;

/** A proxy that is cut goes on as it is: a second more costs nothing, and a thousand at once would. */
const BACKOFF: BackoffBounds = { leastMs: 1_000, mostMs: 30_000 };

/** What a connection does to the proxy's end of the stream. */
export type ClientEnd = Pick<ClientSession, 'receive' | 'drained' | 'gone'>;

/** Begins a connection. Nothing is called back before it returns; what is sent waits until the connection stands. */
export type Connect = (address: string, end: ClientEnd) => ClientPipe;

export interface PushClientOptions {
  readonly connect: Connect;
  /** `HOST:PORT` of each control plane: any serves any proxy. */
  readonly addresses: readonly string[];
  readonly self: Self;
  /** What was found on disk and is served already. */
  readonly held?: PlanBundle;
  apply(change: Change): Promise<ApplyResult>;
  /** A plan was applied: to be kept for a cold start. */
  keep(bundle: PlanBundle): void;
  readonly events: ProxyEvents;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly backoff?: BackoffBounds;
}

export type LinkState =
  | { readonly kind: 'connecting' | 'live'; readonly address: string; readonly sinceMs: number }
  | { readonly kind: 'away'; readonly reason: Fault | undefined; readonly sinceMs: number }
  | { readonly kind: 'closed' };

export class PushClient {
  readonly #options: PushClientOptions;
  readonly #standing: Standing;
  readonly #backoff: Backoff;
  #state: LinkState;
  #missing: PushClient['missing'];
  #session: ClientSession | undefined;
  #at: number;
  #cancelTimer: (() => void) | undefined;
  #said: string | undefined;

  constructor(options: PushClientOptions) {
    if (options.addresses.length === 0) throw new RangeError('Cannot connect: no control plane is named');
    this.#options = options;
    this.#standing = new Standing(options);
    this.#backoff = new Backoff(options.backoff ?? BACKOFF, options.random);
    // Each proxy begins at another one: so they share the load, also after all were away.
    this.#at = Math.floor(options.random.unit() * options.addresses.length);
    this.#missing = { sinceMs: options.clock.nowMs(), reason: undefined };
    this.#state = { kind: 'away', ...this.#missing };
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Since when no control plane is there, whatever was tried meanwhile, and why; undefined while one is. */
  get missing(): { readonly sinceMs: number; readonly reason: Fault | undefined } | undefined {
    return this.#missing;
  }

  /** The plan that is served. */
  get held(): PlanBundle | undefined {
    return this.#standing.held;
  }

  start(): void {
    void this.#attempt();
  }

  /** @returns whether there was room for all of them */
  subscribe(names: readonly string[]): boolean {
    const fit = this.#standing.subscribe(names);
    // A name that was subscribed before is asked for again: it may have been unknown then.
    this.#session?.subscribed(names.filter((name) => this.#standing.services.has(name)));
    return fit;
  }

  unsubscribe(names: readonly string[]): void {
    const known = names.filter((name) => this.#standing.services.has(name));
    this.#standing.unsubscribe(known);
    this.#session?.unsubscribed(known);
  }

  /** The newest of its kind; sent now and on every later stream. */
  report(report: Report): void {
    this.#standing.report(report);
    this.#session?.reported(reportKey(report));
  }

  /** The state of ports changed without a change of the plan. */
  portsChanged(ports: PortStates): void {
    this.#standing.ports = ports;
    this.#session?.portsChanged();
  }

  /** Ends the stream and opens none any more. */
  close(): void {
    if (this.#state.kind === 'closed') return;
    this.#state = { kind: 'closed' };
    this.#cancelTimer?.();
    this.#session?.end(pushFault('push.closed', 'The proxy is shutting down'));
  }

  async #attempt(): Promise<void> {
    // What is being applied would change what the hello says.
    await this.#standing.settled();
    if (this.#state.kind === 'closed') return;
    const { addresses, clock, connect } = this.#options;
    const address = addresses[this.#at % addresses.length]!;
    const session = this.#newSession(address);
    this.#session = session;
    this.#state = { kind: 'connecting', address, sinceMs: clock.nowMs() };
    this.#cancelTimer = clock.after(CONNECT_MS, () =>
      session.end(pushFault('push.silent', `No welcome from ${address} in ${CONNECT_MS / 1_000} s`)),
    );
    session.begin(connect(address, session));
  }

  #newSession(address: string): ClientSession {
    const { self, events, clock, log } = this.#options;
    return new ClientSession({
      self,
      standing: this.#standing,
      events,
      onWelcome: ({ software, control }) => {
        this.#cancelTimer?.();
        this.#state = { kind: 'live', address, sinceMs: clock.nowMs() };
        this.#missing = undefined;
        this.#said = undefined;
        log.info('Connected to the control plane', { address, control, software });
      },
      onEnd: (fault) => this.#onEnd(address, fault),
    });
  }

  #onEnd(address: string, fault: Fault): void {
    const { clock, log } = this.#options;
    this.#session = undefined;
    this.#cancelTimer?.();
    const was = this.#state;
    if (was.kind === 'closed') return;
    const nowMs = clock.nowMs();
    if (was.kind === 'live' && nowMs - was.sinceMs >= LONG_LIFE_MS) this.#backoff.reset();
    this.#state = { kind: 'away', reason: fault, sinceMs: nowMs };
    this.#missing = { sinceMs: this.#missing?.sinceMs ?? nowMs, reason: fault };
    this.#at++;
    const waitMs = this.#backoff.nextMs();
    const fields = { address, code: fault.code, againInMs: Math.round(waitMs) };
    // Once for each reason: an hour without a control plane is not a hundred warnings.
    if (this.#said !== fault.code) log.warn(`Not connected to the control plane: ${fault.detail}`, fields);
    else log.debug(`Not connected to the control plane: ${fault.detail}`, fields);
    this.#said = fault.code;
    this.#cancelTimer = clock.after(waitMs, () => void this.#attempt());
  }
}
