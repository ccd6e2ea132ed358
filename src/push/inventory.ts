/** What a proxy has, by the hash of each part: enough to send it only what differs. */
import { hashText } from '../base/canonical.ts';
import { diffPlans } from '../ir/diff.ts';
import type { PlanBundle, PlanDelta } from '../ir/plan.ts';
import { hashPart, hashSecret, PART_KINDS, type PlanPart } from '../ir/version.ts';
import type { Holding } from './messages.ts';

/** The kinds of a delta, in the order in which they are sent. */
export const KINDS = [...PART_KINDS, 'secrets'] as const;
export type Kind = (typeof KINDS)[number];

/** Parts of all kinds in one plan: 5,000 services with three parts each are far below. Beyond: refused. */
export const PARTS_MAX = 200_000;

export interface Inventory {
  readonly version: string;
  /** Hashes by name. */
  readonly parts: Readonly<Record<Kind, ReadonlyMap<string, string>>>;
}

export function inventoryOf({ plan, secrets }: PlanBundle): Inventory {
  const hashes = (named: Readonly<Record<string, PlanPart>>): ReadonlyMap<string, string> =>
    new Map(Object.entries(named).map(([name, part]) => [name, hashPart(part)]));
  return {
    version: plan.version,
    parts: {
      ports: hashes(plan.ports),
      listeners: hashes(plan.listeners),
      routes: hashes(plan.routes),
      streams: hashes(plan.streams),
      clusters: hashes(plan.clusters),
      secrets: new Map(Object.entries(secrets).map(([name, secret]) => [name, hashSecret(secret)])),
    },
  };
}

const holdings = new WeakMap<PlanBundle['secrets'], string>();

export function holdingOf({ plan, secrets }: PlanBundle): Holding {
  let hash = holdings.get(secrets);
  if (hash === undefined) {
    const lines = Object.keys(secrets)
      .toSorted()
      .map((name) => `${name} ${hashSecret(secrets[name]!)}\n`);
    hash = hashText(lines.join(''));
    holdings.set(secrets, hash);
  }
  return { version: plan.version, secrets: hash };
}

export function isHeld(holding: Holding, bundle: PlanBundle): boolean {
  const is = holdingOf(bundle);
  return holding.version === is.version && holding.secrets === is.secrets;
}

/** What turns the plan of the inventory into `after`. */
export function diffInventory(inventory: Inventory, after: PlanBundle): PlanDelta {
  const all = diffPlans(undefined, after);
  const set = { ...all.set } as Record<Kind, Readonly<Record<string, never>>>;
  const remove = { ...all.remove } as Record<Kind, readonly string[]>;
  for (const kind of KINDS) {
    const had = inventory.parts[kind];
    const is = set[kind] as Readonly<Record<string, PlanPart>>;
    const changed = Object.entries(is).filter(([name, part]) => had.get(name) !== hashOfPart(kind, part));
    set[kind] = Object.fromEntries(changed) as Readonly<Record<string, never>>;
    remove[kind] = [...had.keys()].filter((name) => is[name] === undefined);
  }
  return { from: inventory.version, to: all.to, set, remove };
}

export function hashOfPart(kind: Kind, part: unknown): string {
  return kind === 'secrets' ? hashSecret(part as PlanBundle['secrets'][string]) : hashPart(part as PlanPart);
}
