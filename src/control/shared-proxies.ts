/** Proxies of all control planes that share a store: those that are connected here, and what the others say of theirs. */
import type { Clock } from '../base/clock.ts';
import type { ProxyRow } from './mesh-feeds.ts';
import type { Askable } from './survey.ts';
import type { HeardNote } from './shared-registry.ts';

/** A proxy with the control plane that holds its stream. */
export interface ListedProxy extends ProxyRow {
  /** Its name. */
  readonly control: string;
  /** Whether that is the one that was asked: only of these the load is known, and only they can be asked anything. */
  readonly isHere: boolean;
}

interface Told {
  /** By the clock of the control plane that holds it, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly row: ProxyRow;
}

export class SharedProxies {
  readonly #clock: Clock;
  /** Name of this control plane. */
  readonly #control: string;
  /** By instance, then by id of the control plane. */
  readonly #told = new Map<string, Map<string, Told & { readonly control: string }>>();

  constructor(clock: Clock, control: string) {
    this.#clock = clock;
    this.#control = control;
  }

  /** What others are told of one. What changes all the time is left out. */
  bodyOf(row: ProxyRow): string {
    return JSON.stringify({ atMs: this.#clock.wallMs(), row: { ...row, load: undefined } });
  }

  heard({ control, controlName, name, body }: HeardNote): void {
    const all = this.#told.get(name) ?? new Map<string, Told & { readonly control: string }>();
    if (body === undefined) all.delete(control);
    else all.set(control, { ...(JSON.parse(body) as Told), control: controlName });
    if (all.size === 0) this.#told.delete(name);
    else this.#told.set(name, all);
  }

  /** Each once: of one that has moved, where it came last. @param own  those that are connected here */
  list(own: readonly ProxyRow[]): ListedProxy[] {
    const nowMs = this.#clock.wallMs();
    const here = own.map((row): ListedProxy => ({ ...row, control: this.#control, isHere: true }));
    const listed = new Map(here.map((row) => [row.instance, row]));
    for (const [instance, all] of this.#told) {
      for (const told of all.values()) {
        const row = rowOf(told, nowMs);
        const known = listed.get(instance);
        if (known === undefined || known.connectedMs > row.connectedMs) listed.set(instance, row);
      }
    }
    return [...listed.values()];
  }
}

/** Of proxies that other control planes hold: who asks them is told where they can be asked. */
export function elsewhereOf(proxies: readonly ListedProxy[]): Askable[] {
  return proxies.flatMap(({ isHere, instance, identity, role, services, control }): Askable[] => {
    if (isHere) return [];
    const reason = `It is connected to the control plane ${control}: ask there`;
    return [
      {
        instance,
        identity,
        role,
        services,
        ask(_ask, asker) {
          asker.end({ kind: 'elsewhere', reason });
          return ignore;
        },
      },
    ];
  });
}

const ignore = (): void => undefined;

/** As it is now, if nothing was said since because nothing has changed. */
function rowOf({ atMs, row, control }: Told & { readonly control: string }, nowMs: number): ListedProxy {
  const sinceMs = Math.max(0, nowMs - atMs);
  return {
    ...row,
    lagMs: row.lagMs === 0 ? 0 : row.lagMs + sinceMs,
    connectedMs: row.connectedMs + sinceMs,
    load: undefined,
    control,
    isHere: false,
  };
}
