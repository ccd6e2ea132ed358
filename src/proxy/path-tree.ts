/**
 * The candidates of one host, by path: a tree of segments, so that a lookup costs
 * one step per segment of the path, however many routes there are.
 *
 * Trees are immutable. A change copies the nodes from the root to what changed
 * and shares the rest; within one {@link TreeEdit} a node is copied once only.
 */
import type { RequestHead } from '../http/message.ts';
import { type Candidate, compareCandidates } from './candidate.ts';
import { Shortlist } from './shortlist.ts';

class Node<R> {
  children: Map<string, Node<R>> | undefined;
  /** The path ends here. */
  exact: Shortlist<R> | undefined;
  /** The path ends or goes on here. */
  prefix: Shortlist<R> | undefined;

  constructor(from?: Node<R>) {
    this.children = from?.children === undefined ? undefined : new Map(from.children);
    this.exact = from?.exact;
    this.prefix = from?.prefix;
  }

  get empty(): boolean {
    return this.children === undefined && this.exact === undefined && this.prefix === undefined;
  }
}

export class PathTree<R> {
  readonly #root: Node<R>;
  readonly #regexes: Shortlist<R> | undefined;

  private constructor(root: Node<R>, regexes: Shortlist<R> | undefined) {
    this.#root = root;
    this.#regexes = regexes;
  }

  static empty<R>(): PathTree<R> {
    return new PathTree(new Node<R>(), undefined);
  }

  get isEmpty(): boolean {
    return this.#root.empty && this.#regexes === undefined;
  }

  /** The best candidate that takes the request: exact path, then regular expressions, then the longest prefix. */
  find(request: RequestHead): Candidate<R> | undefined {
    let depth = this.#descend(request.path);
    if (depth < 0) return undefined;
    const hit = (pathEnd as Node<R> | undefined)?.exact?.find(request) ?? this.#regexes?.find(request);
    if (hit !== undefined) return hit;
    while (depth > 0) {
      const hit = (visited[--depth] as Node<R>).prefix!.find(request);
      if (hit !== undefined) return hit;
    }
    return undefined;
  }

  /** Every candidate whose exact path or prefix takes this path, and every regular expression. For `explain`. */
  under(path: string): Set<Candidate<R>> {
    const depth = this.#descend(path);
    if (depth < 0) return new Set();
    const prefixes = (visited as Node<R>[]).slice(0, depth).flatMap(({ prefix }) => prefix!.all);
    return new Set([
      ...((pathEnd as Node<R> | undefined)?.exact?.all ?? []),
      ...(this.#regexes?.all ?? []),
      ...prefixes,
    ]);
  }

  /** Every candidate, best first. For `explain`. */
  all(): Candidate<R>[] {
    const found: Candidate<R>[] = [...(this.#regexes?.all ?? [])];
    const open = [this.#root];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      found.push(...(node.exact?.all ?? []), ...(node.prefix?.all ?? []));
      open.push(...(node.children?.values() ?? []));
    }
    return found.sort(compareCandidates);
  }

  edit(): TreeEdit<R> {
    return new TreeEdit(this.#root, this.#regexes, (root, regexes) => new PathTree(root, regexes));
  }

  /**
   * Walks down the path: leaves the nodes with prefixes in {@link visited} and the
   * node where the path ends in {@link pathEnd}. Gives the number of visited
   * nodes, or -1 for something that is not a path (`*` of OPTIONS).
   */
  #descend(path: string): number {
    pathEnd = undefined;
    if (path.charCodeAt(0) !== SLASH) return -1;
    let depth = 0;
    let node: Node<R> | undefined = this.#root;
    if (node.prefix !== undefined) visited[depth++] = node;
    let start = 1;
    while (node.children !== undefined) {
      const slash = path.indexOf('/', start);
      node = node.children.get(slash < 0 ? path.slice(start) : path.slice(start, slash));
      if (node === undefined) break;
      if (node.prefix !== undefined) visited[depth++] = node;
      if (slash < 0) {
        pathEnd = node;
        break;
      }
      start = slash + 1;
    }
    return depth;
  }
}

const SLASH = 0x2f;

/** Nodes with prefixes on the way down. Shared by all lookups: none of them yields before it is done. */
const visited: Node<unknown>[] = [];
let pathEnd: Node<unknown> | undefined;

/** Lists of one node that wait to be sorted at the end of an edit. */
interface Draft<R> {
  exact: Candidate<R>[] | undefined;
  prefix: Candidate<R>[] | undefined;
}

/** A batch of changes to a tree. Used once. */
export class TreeEdit<R> {
  readonly #root: Node<R>;
  readonly #regexes: Shortlist<R> | undefined;
  readonly #make: (root: Node<R>, regexes: Shortlist<R> | undefined) => PathTree<R>;
  /** Nodes that belong to this edit, with their lists that changed. */
  readonly #drafts = new Map<Node<R>, Draft<R>>();
  readonly #pruned: (readonly string[])[] = [];
  #regexDraft: Candidate<R>[] | undefined;

  constructor(
    root: Node<R>,
    regexes: Shortlist<R> | undefined,
    make: (root: Node<R>, regexes: Shortlist<R> | undefined) => PathTree<R>,
  ) {
    this.#root = new Node(root);
    this.#drafts.set(this.#root, { exact: undefined, prefix: undefined });
    this.#regexes = regexes;
    this.#make = make;
  }

  add(candidate: Candidate<R>): void {
    this.#listOf(candidate).push(candidate);
  }

  /** Takes out a candidate that is in the tree. */
  remove(candidate: Candidate<R>): void {
    const list = this.#listOf(candidate);
    const place = list.indexOf(candidate);
    if (place >= 0) list.splice(place, 1);
    if (list.length === 0 && candidate.match.path.kind !== 'regex') this.#pruned.push(segmentsOf(candidate));
  }

  /** The tree with all changes; this edit must not be used after. */
  finish(): PathTree<R> {
    for (const [node, { exact, prefix }] of this.#drafts) {
      if (exact !== undefined) node.exact = exact.length === 0 ? undefined : new Shortlist(exact);
      if (prefix !== undefined) node.prefix = prefix.length === 0 ? undefined : new Shortlist(prefix);
    }
    for (const segments of this.#pruned) prune(this.#root, segments, 0);
    const draft = this.#regexDraft;
    if (draft === undefined) return this.#make(this.#root, this.#regexes);
    return this.#make(this.#root, draft.length === 0 ? undefined : new Shortlist(draft));
  }

  /** The list, owned by this edit, that a candidate belongs to. */
  #listOf(candidate: Candidate<R>): Candidate<R>[] {
    const { kind } = candidate.match.path;
    if (kind === 'regex') return (this.#regexDraft ??= [...(this.#regexes?.all ?? [])]);
    let node = this.#root;
    for (const segment of segmentsOf(candidate)) node = this.#ownChild(node, segment);
    const draft = this.#drafts.get(node)!;
    return (draft[kind] ??= [...(node[kind]?.all ?? [])]);
  }

  #ownChild(parent: Node<R>, segment: string): Node<R> {
    parent.children ??= new Map();
    const known = parent.children.get(segment);
    if (known !== undefined && this.#drafts.has(known)) return known;
    const own = new Node(known);
    this.#drafts.set(own, { exact: undefined, prefix: undefined });
    parent.children.set(segment, own);
    return own;
  }
}

/** Takes out the nodes on this way that hold nothing any more. All of them belong to the edit. */
function prune<R>(node: Node<R>, segments: readonly string[], from: number): void {
  const segment = segments[from];
  const child = segment === undefined ? undefined : node.children?.get(segment);
  if (segment === undefined || child === undefined) return;
  prune(child, segments, from + 1);
  if (!child.empty) return;
  node.children!.delete(segment);
  if (node.children!.size === 0) node.children = undefined;
}

/**
 * Where a candidate hangs. An exact path hangs at its last segment, which may be
 * empty (`/a/` is not `/a`); a prefix ignores one slash at its end (`/a/` is `/a`).
 */
function segmentsOf<R>({ match, matchedPath }: Candidate<R>): string[] {
  const path = matchedPath!;
  const bare = match.path.kind === 'prefix' && path.endsWith('/') ? path.slice(0, -1) : path;
  return bare === '' ? [] : bare.slice(1).split('/');
}
