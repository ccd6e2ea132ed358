/**
 * Route tables: from the head of a request to its rule.
 *
 *     listener -> host (exact, then wildcards, then any) -> path -> method, headers, query
 *
 * A host without a matching rule gives way to a less specific one (Gateway API,
 * HTTPRouteSpec.hostnames). Tables are immutable; a change of some routes makes
 * new tables that share with the old ones whatever those routes do not touch.
 */
import type { RequestHead } from '../http/message.ts';
import type { PlanRoute, PlanRule } from '../ir/plan.ts';
import {
  type Candidate,
  type Found,
  type Loss,
  lossOf,
  makeCandidate,
  PATH_LOSS,
  type RegexCache,
} from './candidate.ts';
import { HostMap } from './host-map.ts';
import { PathTree, type TreeEdit } from './path-tree.ts';

/** Makes the payload of a rule, once for each rule of a changed route, whatever listeners it is attached to. */
export type MakeRule<R> = (rule: PlanRule, routeKey: string, ruleIndex: number) => R;

export interface RouteChange {
  readonly set: Readonly<Record<string, PlanRoute>>;
  readonly remove: readonly string[];
}

export interface RoutesChanged<R> {
  readonly tables: RouteTables<R>;
  /** Payloads that the new tables do not hold any more. */
  readonly retired: readonly R[];
}

/** What a route owns in the tables, so that it can be taken out again. */
interface Entry<R> {
  readonly route: PlanRoute;
  readonly rules: readonly R[];
  readonly candidates: readonly Candidate<R>[];
}

/** The tables of all listeners of a plan. */
export class RouteTables<R> {
  readonly #entries: ReadonlyMap<string, Entry<R>>;
  readonly #listeners: ReadonlyMap<string, ListenerTable<R>>;

  private constructor(entries: ReadonlyMap<string, Entry<R>>, listeners: ReadonlyMap<string, ListenerTable<R>>) {
    this.#entries = entries;
    this.#listeners = listeners;
  }

  static empty<R>(): RouteTables<R> {
    return new RouteTables(new Map<string, Entry<R>>(), new Map<string, ListenerTable<R>>());
  }

  /** Table of a listener by its key in the plan; undefined when no route is attached to it. */
  listener(key: string): ListenerTable<R> | undefined {
    return this.#listeners.get(key);
  }

  /** Payloads of all rules. */
  *rules(): Generator<R> {
    for (const { rules } of this.#entries.values()) yield* rules;
  }

  /**
   * These tables with some routes set and some removed. Costs time by what
   * changes; a route that is set again as it was is made anew.
   *
   * @throws whatever `makeRule` throws, and {@link Error} on an expression that does not compile; these tables stay as they are
   */
  with({ set, remove }: RouteChange, makeRule: MakeRule<R>): RoutesChanged<R> {
    const entries = new Map(this.#entries);
    const edit = new TablesEdit(this.#listeners);
    const retired: R[] = [];
    const cache: RegexCache = new Map();
    const takeOut = (key: string): void => {
      const entry = entries.get(key);
      if (entry === undefined) return;
      retired.push(...entry.rules);
      edit.remove(entry);
    };
    for (const key of remove) {
      takeOut(key);
      entries.delete(key);
    }
    for (const [key, route] of Object.entries(set)) {
      takeOut(key);
      const entry = makeEntry(key, route, { makeRule, cache });
      edit.add(entry);
      entries.set(key, entry);
    }
    return { tables: new RouteTables(entries, edit.finish()), retired };
  }
}

function makeEntry<R>(
  routeKey: string,
  route: PlanRoute,
  { makeRule, cache }: { makeRule: MakeRule<R>; cache: RegexCache },
): Entry<R> {
  const rules = route.rules.map((rule, ruleIndex) => makeRule(rule, routeKey, ruleIndex));
  const candidates = route.rules.flatMap(({ matches }, ruleIndex) =>
    matches.map((match, matchIndex) => {
      const origin = { routeKey, createdMs: route.createdMs, ruleIndex, matchIndex, rule: rules[ruleIndex]! };
      return makeCandidate(match, origin, cache);
    }),
  );
  return { route, rules, candidates };
}

/** The routes of one listener. */
export class ListenerTable<R> {
  readonly #hosts: HostMap<PathTree<R>>;

  constructor(hosts: HostMap<PathTree<R>>) {
    this.#hosts = hosts;
  }

  /** For edits. */
  get hosts(): HostMap<PathTree<R>> {
    return this.#hosts;
  }

  /** The rule that takes this request. Allocates nothing of its own. */
  find(request: RequestHead): Found<R> | undefined {
    return this.#hosts.ask(request.host, findInTree<R>, request);
  }

  /** Every candidate of the listener in the order in which it would be tried, and what became of it. */
  explain(request: RequestHead): Explained<R>[] {
    const hostOf = new Map([...this.#hosts.entries()].map(([host, tree]) => [tree, host]));
    const rows: Explained<R>[] = [];
    const asked = new Set<PathTree<R>>();
    let chosen: Candidate<R> | undefined;
    const ask = (tree: PathTree<R>): undefined => {
      asked.add(tree);
      const winner = chosen === undefined ? tree.find(request) : undefined;
      chosen ??= winner;
      const under = tree.under(request.path);
      for (const candidate of tree.all()) {
        const loss = under.has(candidate) ? lossOf(candidate, request) : PATH_LOSS;
        const place = { candidate, host: hostOf.get(tree)! };
        if (loss !== undefined) rows.push({ ...place, outcome: loss });
        else if (candidate === winner) rows.push({ ...place, outcome: { kind: 'chosen' } });
        else rows.push({ ...place, outcome: { kind: 'less-specific', than: chosen! } });
      }
    };
    this.#hosts.ask(request.host, ask, undefined);
    for (const [host, tree] of this.#hosts.entries()) {
      if (asked.has(tree)) continue;
      for (const candidate of tree.all()) rows.push({ candidate, host, outcome: { kind: 'host' } });
    }
    return rows;
  }
}

/** What became of one candidate for one request. */
export interface Explained<R> {
  readonly candidate: Candidate<R>;
  /** Host pattern under which it stands: `a.test`, `*.a.test`, `*`. */
  readonly host: string;
  readonly outcome: Outcome<R>;
}

export type Outcome<R> =
  | { readonly kind: 'chosen' }
  | { readonly kind: 'host' }
  | Loss
  | { readonly kind: 'less-specific'; readonly than: Candidate<R> };

function findInTree<R>(tree: PathTree<R>, request: RequestHead): Candidate<R> | undefined {
  return tree.find(request);
}

/** A batch of changes to the tables of all listeners: each touched host is edited once. */
class TablesEdit<R> {
  readonly #listeners: ReadonlyMap<string, ListenerTable<R>>;
  readonly #edits = new Map<string, Map<string, TreeEdit<R>>>();

  constructor(listeners: ReadonlyMap<string, ListenerTable<R>>) {
    this.#listeners = listeners;
  }

  add({ route, candidates }: Entry<R>): void {
    for (const edit of this.#treesOf(route)) for (const candidate of candidates) edit.add(candidate);
  }

  remove({ route, candidates }: Entry<R>): void {
    for (const edit of this.#treesOf(route)) for (const candidate of candidates) edit.remove(candidate);
  }

  finish(): ReadonlyMap<string, ListenerTable<R>> {
    const listeners = new Map(this.#listeners);
    for (const [key, edits] of this.#edits) {
      const trees = [...edits].map(([host, edit]): [string, PathTree<R> | undefined] => {
        const tree = edit.finish();
        return [host, tree.isEmpty ? undefined : tree];
      });
      const hosts = (listeners.get(key)?.hosts ?? HostMap.empty<PathTree<R>>()).with(trees);
      if (hosts.size === 0) listeners.delete(key);
      else listeners.set(key, new ListenerTable(hosts));
    }
    return listeners;
  }

  *#treesOf({ attach }: PlanRoute): Generator<TreeEdit<R>> {
    for (const { listener, hosts } of attach) {
      let edits = this.#edits.get(listener);
      if (edits === undefined) this.#edits.set(listener, (edits = new Map()));
      for (const host of new Set(hosts)) {
        let edit = edits.get(host);
        if (edit === undefined) {
          const tree = this.#listeners.get(listener)?.hosts.get(host) ?? PathTree.empty<R>();
          edits.set(host, (edit = tree.edit()));
        }
        yield edit;
      }
    }
  }
}
