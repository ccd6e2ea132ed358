/**
 * All proxies of this process as one. A plan is applied to every member or to
 * none; a member that dies is replaced and holds the plan of the others before
 * it counts; a port that another process holds is kept from all members.
 *
 * Whatever changes members or their plan runs in turn (`#inTurn`), so that a
 * replacement never meets half of a change.
 */
import type { AskTo } from '../base/asking.ts';
import type { Clock } from '../base/clock.ts';
import type { FilterOrder, OrderAnswer } from '../base/filter-order.ts';
import type { Log } from '../base/log.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import { diffPlans } from '../ir/diff.ts';
import type { EndpointStats, FailingFilter, NodeStats } from '../ir/node-stats.ts';
import type { Plan, PlanBundle, PlanPort } from '../ir/plan.ts';
import type { PortFailure, PortRefusals, PortState, PortStates } from '../ir/port-state.ts';
import { FleetAsks } from './fleet-asks.ts';
import type { Member, MemberHealth, MemberStats } from './member.ts';

/** Longest time that a member may take over a change. One that takes longer hangs, and is replaced. */
const APPLY_MS_MAX = 60_000;

/** How often ports that could not be bound are tried again. */
const REBIND_MS = 3_000;

/** Every member is asked for its figures this often; one that misses {@link MISSED_MAX} in a row hangs. */
const HEARTBEAT_MS = 5_000;
const MISSED_MAX = 6;

/** A scrape must not wait for a member that hangs. */
const MEASURE_MS_MAX = 500;

/** For closing what is left at the deadline and writing the last lines of the log. */
const DRAIN_GRACE_MS = 2_000;

/** Wait before a member is replaced: none after a long life, then doubling. */
const REVIVE_FIRST_MS = 100;
const REVIVE_MS_MAX = 10_000;
const LONG_LIFE_MS = 60_000;

export interface FleetOptions {
  /** Number of members: 1 or more. */
  readonly size: number;
  /** Starts one. It may be asked for things at once; it answers when it can. */
  start(worker: number): Member;
  /** Why a port cannot be bound by us alone; undefined when it can. Lets go of it at once. */
  probe(port: PlanPort): Promise<PortFailure | undefined>;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the state of a port changed without a change of the plan. */
  onPorts(ports: PortStates): void;
  /** Called when other filters than before cannot do their work. */
  onFailing(): void;
}

export interface FleetStats {
  readonly workers: readonly MemberStats[];
  /** Sums over all members by cluster key. */
  readonly endpoints: Readonly<Record<string, readonly EndpointStats[]>>;
}

/** The place of one member, which outlives it. */
interface Seat {
  readonly worker: number;
  member: Member | undefined;
  version: string | undefined;
  ports: PortStates;
  failing: readonly FailingFilter[];
  restarts: number;
  /** Short lives in a row. */
  failures: number;
  bornMs: number;
  missedBeats: number;
  cancelRevival: (() => void) | undefined;
}

type Outcome = ApplyResult | { readonly kind: 'died'; readonly reason: string };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #seats: readonly Seat[];
  #held: PlanBundle | undefined;
  #ports: PortStates = {};
  #failing: readonly FailingFilter[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #state: 'running' | 'draining' = 'running';
  #cancelRebind: (() => void) | undefined;
  readonly #cancelHeartbeat: () => void;
  readonly #asks = new FleetAsks();

  /** Starts all members at once; they wait for their first plan. */
  constructor(options: FleetOptions) {
    this.#options = options;
    this.#seats = Array.from({ length: options.size }, (_, index) => emptySeat(index + 1));
    for (const seat of this.#seats) this.#seatNew(seat);
    this.#cancelHeartbeat = options.clock.every(HEARTBEAT_MS, () => this.#heartbeat());
  }

  /**
   * Applies a change to every member. An ack means that no member answers by the
   * plan before any more; a nack that every member is on the plan before.
   */
  apply(change: Change): Promise<ApplyResult> {
    return this.#inTurn(() => this.#apply(change));
  }

  /** Ports of the plan. `bound` means bound in every member. */
  get ports(): PortStates {
    return this.#ports;
  }

  /** Filters that cannot do their work in some member, as of the last heartbeat or change of the plan. */
  get failing(): readonly FailingFilter[] {
    return this.#failing;
  }

  get draining(): boolean {
    return this.#state === 'draining';
  }

  health(): MemberHealth[] {
    return this.#seats.map(healthOf);
  }

  /** Asks every member; one that does not answer counts with zeros. */
  async stats(): Promise<FleetStats> {
    const answers = await Promise.all(
      this.#seats.map(async (seat) => ({ seat, stats: await seat.member?.stats().catch(() => undefined) })),
    );
    return {
      workers: answers.map(({ seat, stats }) => ({
        ...healthOf(seat),
        connections: stats?.connections ?? 0,
        exchanges: stats?.exchanges ?? 0,
      })),
      endpoints: sumEndpoints(answers.flatMap(({ stats }) => stats ?? [])),
    };
  }

  /** Requests and connections by listener key, of all members that answer. */
  async used(): Promise<Readonly<Record<string, number>>> {
    const sums: Record<string, number> = {};
    for (const stats of await Promise.all(this.#living().map((member) => member.stats().catch(() => undefined)))) {
      for (const [key, times] of Object.entries(stats?.used ?? {})) sums[key] = (sums[key] ?? 0) + times;
    }
    return sums;
  }

  /** Asks every member. One that dies over it has nothing left that the order could be about. */
  async order(filter: string, order: FilterOrder): Promise<readonly OrderAnswer[]> {
    const answers = await Promise.all(
      this.#living().map((member) => member.order(filter, order).catch(() => undefined)),
    );
    return answers.flatMap((answer) => answer ?? []);
  }

  /** Asks every member, and those that replace one meanwhile. */
  readonly askTo: AskTo = (ask, asker) => this.#asks.ask(ask, asker, this.#living());

  /** Resolves when every member has measured itself, or takes too long over it. */
  async measure(): Promise<void> {
    const measured = Promise.all(this.#living().map((member) => member.measure().catch(() => undefined)));
    await within(measured, MEASURE_MS_MAX, this.#options.clock);
  }

  /** Stops accepting, lets running exchanges finish for at most `deadlineMs`, then ends every member. */
  async drain(deadlineMs: number): Promise<void> {
    this.#stop();
    const drained = Promise.all(this.#living().map((member) => member.drain(deadlineMs).catch(() => undefined)));
    await within(drained, deadlineMs + DRAIN_GRACE_MS, this.#options.clock);
    await this.end();
  }

  /** Ends every member at once. */
  async end(): Promise<void> {
    this.#stop();
    await Promise.all(this.#living().map((member) => member.end()));
  }

  #living(): Member[] {
    return this.#seats.flatMap(({ member }) => member ?? []);
  }

  #stop(): void {
    this.#state = 'draining';
    this.#cancelHeartbeat();
    this.#cancelRebind?.();
    for (const seat of this.#seats) seat.cancelRevival?.();
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #apply(change: Change): Promise<ApplyResult> {
    const version = change.bundle.plan.version;
    if (this.draining) return { kind: 'nack', version, reason: 'The process is shutting down' };
    const refused = await this.#refusals(change.bundle.plan);
    const outcomes = await Promise.all(this.#seats.map((seat) => this.#applyTo(seat, change, refused)));
    const bad = outcomes.find((outcome) => outcome?.kind !== 'ack' && outcome !== undefined);
    if (bad === undefined && this.#seats.some((seat) => seat.version === version)) {
      this.#held = change.bundle;
      this.#setPorts();
      return { kind: 'ack', version, ports: this.#ports };
    }
    await Promise.all(this.#seats.map((seat) => this.#goBack(seat, change)));
    const reason = bad?.kind === 'nack' || bad?.kind === 'died' ? bad.reason : 'No worker could be started';
    return { kind: 'nack', version, reason };
  }

  /** @returns undefined when the member was missing before and still is: it has no say in this change */
  async #applyTo(seat: Seat, change: Change, refused: PortRefusals): Promise<Outcome | undefined> {
    const wasMissing = seat.member === undefined;
    if (!wasMissing) {
      const outcome = await this.#ask(seat, change, refused);
      if (outcome.kind !== 'died') return outcome;
    }
    // Once more with a fresh member: it may have died of something else, and if the plan before killed it,
    // this plan may be the cure.
    this.#seatNew(seat);
    const outcome = await this.#ask(seat, change, refused);
    return wasMissing && outcome.kind === 'died' ? undefined : outcome;
  }

  async #ask(seat: Seat, { bundle, delta }: Change, refused: PortRefusals): Promise<Outcome> {
    const { member } = seat;
    if (member === undefined) return { kind: 'died', reason: `Worker ${seat.worker} is missing` };
    // A member that holds another plan than the delta starts from takes all of it.
    const fits = seat.version === delta.from;
    try {
      const answer = member.apply(fits ? delta : diffPlans(undefined, bundle), refused);
      const result = await within(answer, APPLY_MS_MAX, this.#options.clock);
      if (result === undefined) {
        await member.end();
        return this.#died(seat, member, `Worker ${seat.worker} did not apply the plan in ${APPLY_MS_MAX / 1_000} s`);
      }
      if (result.kind === 'nack') return { ...result, reason: `Worker ${seat.worker}: ${result.reason}` };
      seat.version = result.version;
      seat.ports = result.ports;
      this.#look(seat, member);
      return result;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      await member.end();
      return this.#died(seat, member, `Worker ${seat.worker} died while it applied the plan: ${reason}`);
    }
  }

  #died(seat: Seat, member: Member, reason: string): Outcome {
    this.#onGone(seat, member, reason);
    return { kind: 'died', reason };
  }

  /** After another member refused: back to the plan before, by the way back or with a new member. */
  async #goBack(seat: Seat, { bundle }: Change): Promise<void> {
    const held = this.#held;
    if (seat.version !== bundle.plan.version) return;
    if (held !== undefined) {
      const change = { bundle: held, delta: diffPlans(bundle, held) };
      const outcome = await this.#ask(seat, change, await this.#refusals(held.plan));
      if (outcome.kind === 'ack') return;
    }
    const { member } = seat;
    if (member === undefined) return;
    await member.end();
    this.#onGone(seat, member, 'it could not go back to the plan before');
  }

  /** Ports that another process holds. What a member of ours has bound cannot be probed, and need not be. */
  async #refusals(plan: Plan): Promise<PortRefusals> {
    const ours = new Set(
      this.#seats.flatMap(({ ports }) => Object.keys(ports).filter((key) => ports[key]?.state === 'bound')),
    );
    const unknown = Object.entries(plan.ports).filter(([key]) => !ours.has(key));
    const probed = await Promise.all(
      unknown.map(async ([key, port]) => [key, await this.#options.probe(port)] as const),
    );
    return Object.fromEntries(
      probed.filter((entry): entry is readonly [string, PortFailure] => entry[1] !== undefined),
    );
  }

  // === members ===

  /** Starts a member; when that cannot be done, the seat is tried again later. */
  #seatNew(seat: Seat): Member | undefined {
    seat.cancelRevival?.();
    seat.cancelRevival = undefined;
    if (this.draining) return undefined;
    seat.bornMs = this.#options.clock.nowMs();
    seat.missedBeats = 0;
    try {
      const member = this.#options.start(seat.worker);
      seat.member = member;
      this.#asks.joined(member);
      void member.gone.then((reason) => this.#onGone(seat, member, reason));
      return member;
    } catch (error) {
      this.#onLost(seat, `it could not be started: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  #onGone(seat: Seat, member: Member, reason: string): void {
    if (seat.member !== member) return;
    seat.member = undefined;
    seat.version = undefined;
    seat.ports = {};
    seat.failing = [];
    if (!this.draining) this.#onLost(seat, reason);
  }

  #onLost(seat: Seat, reason: string): void {
    const { clock, log } = this.#options;
    seat.failures = clock.nowMs() - seat.bornMs >= LONG_LIFE_MS ? 0 : seat.failures + 1;
    const delayMs = seat.failures <= 1 ? 0 : Math.min(REVIVE_FIRST_MS * 2 ** (seat.failures - 2), REVIVE_MS_MAX);
    log.error(`Worker ${seat.worker} died: ${reason}`, { worker: seat.worker, replacedInMs: delayMs });
    seat.restarts++;
    seat.cancelRevival = clock.after(delayMs, () => void this.#inTurn(() => this.#revive(seat)));
  }

  async #revive(seat: Seat): Promise<void> {
    if (seat.member !== undefined || this.draining) return;
    const member = this.#seatNew(seat);
    const held = this.#held;
    if (member === undefined || held === undefined) return;
    const refused = await this.#refusals(held.plan);
    const outcome = await this.#ask(seat, { bundle: held, delta: diffPlans(undefined, held) }, refused);
    if (outcome.kind === 'ack') {
      this.#options.log.info(`Worker ${seat.worker} replaced`, { worker: seat.worker, version: outcome.version });
      this.#portsChanged();
    } else if (outcome.kind === 'nack') {
      // The others hold this plan: the fault is with this member, so the next one tries again.
      await member.end();
      this.#onGone(seat, member, outcome.reason);
    }
  }

  #heartbeat(): void {
    for (const seat of this.#seats) {
      const { member } = seat;
      if (member === undefined) continue;
      if (++seat.missedBeats > MISSED_MAX) {
        this.#options.log.error(`Worker ${seat.worker} hangs: it is ended`, { worker: seat.worker });
        void member.end();
        continue;
      }
      this.#look(seat, member);
    }
  }

  /** Asks a member for its figures: that it answers, and which filters fail, is what counts. */
  #look(seat: Seat, member: Member): void {
    const take = ({ failing }: NodeStats): void => {
      seat.missedBeats = 0;
      if (seat.member !== member) return;
      seat.failing = failing;
      this.#setFailing();
    };
    member.stats().then(take, () => undefined);
  }

  #setFailing(): void {
    const before = keysOf(this.#failing);
    const now = new Map(this.#seats.flatMap(({ failing }) => failing.map((one) => [failureKey(one), one] as const)));
    this.#failing = [...now.values()];
    if (keysOf(this.#failing) !== before && !this.draining) this.#options.onFailing();
  }

  // === ports ===

  #setPorts(): void {
    const before = this.#ports;
    this.#ports = mergePorts(this.#seats, this.#held?.plan);
    for (const [key, is] of Object.entries(this.#ports)) this.#sayPort(before[key], is);
    const failed = Object.values(this.#ports).some(({ state }) => state === 'failed');
    if (failed && !this.draining) {
      this.#cancelRebind ??= this.#options.clock.every(REBIND_MS, () => void this.#inTurn(() => this.#rebind()));
    } else {
      this.#cancelRebind?.();
      this.#cancelRebind = undefined;
    }
  }

  #sayPort(was: PortState | undefined, is: PortState): void {
    const { log } = this.#options;
    const fields = { address: is.address, port: is.port };
    if (is.state === 'failed' && (was?.state !== 'failed' || was.message !== is.message)) log.error(is.message, fields);
    if (is.state === 'bound' && was?.state === 'failed')
      log.info('Bound a port that could not be bound before', fields);
  }

  #portsChanged(): void {
    const before = this.#ports;
    this.#setPorts();
    if (!samePorts(before, this.#ports)) this.#options.onPorts(this.#ports);
  }

  async #rebind(): Promise<void> {
    const held = this.#held;
    if (this.draining || held === undefined) return;
    const refused = await this.#refusals(held.plan);
    await Promise.all(
      this.#seats.map(async (seat) => {
        if (seat.version !== held.plan.version) return;
        // A member that dies here is replaced as any other.
        const ports = await seat.member?.rebind(refused).catch(() => undefined);
        if (ports !== undefined) seat.ports = ports;
      }),
    );
    this.#portsChanged();
  }
}

function emptySeat(worker: number): Seat {
  return {
    worker,
    member: undefined,
    version: undefined,
    ports: {},
    failing: [],
    restarts: 0,
    failures: 0,
    bornMs: 0,
    missedBeats: 0,
    cancelRevival: undefined,
  };
}

function healthOf({ worker, member, version, restarts }: Seat): MemberHealth {
  const state = member === undefined ? 'missing' : version === undefined ? 'starting' : 'ready';
  return { worker, state, version, restarts };
}

/** A port counts as bound only where every member has it: otherwise some connections would find nobody. */
function mergePorts(seats: readonly Seat[], plan: Plan | undefined): PortStates {
  const merged: Record<string, PortState> = {};
  for (const key of Object.keys(plan?.ports ?? {})) {
    for (const { ports } of seats) {
      const is = ports[key];
      if (is !== undefined && merged[key]?.state !== 'failed') merged[key] = is;
    }
  }
  return merged;
}

function samePorts(a: PortStates, b: PortStates): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => {
    const was = a[key]!;
    const is = b[key];
    if (was.state === 'bound') return is?.state === 'bound';
    return is?.state === 'failed' && was.message === is.message;
  });
}

function failureKey({ filter, owner, why }: FailingFilter): string {
  return JSON.stringify([owner, filter, why]);
}

function keysOf(failing: readonly FailingFilter[]): string {
  return failing.map(failureKey).toSorted().join('\n');
}

function sumEndpoints(all: readonly NodeStats[]): Record<string, EndpointStats[]> {
  const sums: Record<string, EndpointStats[]> = {};
  for (const { endpoints } of all) {
    for (const [cluster, list] of Object.entries(endpoints)) {
      const byAddress = (sums[cluster] ??= []);
      for (const endpoint of list) addEndpoint(byAddress, endpoint);
    }
  }
  return sums;
}

function addEndpoint(list: EndpointStats[], endpoint: EndpointStats): void {
  const at = list.findIndex(({ address, port }) => address === endpoint.address && port === endpoint.port);
  const same = list[at];
  if (same === undefined) list.push(endpoint);
  else {
    const { connections, idle, health } = endpoint;
    // One worker that finds it unhealthy is enough to say so.
    const worse = health === 'unhealthy' ? { health } : {};
    const sinceMs = Math.min(same.sinceMs, endpoint.sinceMs);
    list[at] = { ...same, ...worse, connections: same.connections + connections, idle: same.idle + idle, sinceMs };
  }
}

/** The value, or undefined when it took longer than `ms`. */
async function within<T>(value: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  let cancel: (() => void) | undefined;
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(ms, () => resolve(undefined));
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    cancel?.();
  }
}
