/** `policies`, `everywhere`, `settings` and `respond` of the short form: Policies with their targets. */
import { suggestion } from '../../schema/describe.ts';
import { GATEWAY_GROUP, OWN_GROUP } from '../../resource/fields.ts';
import { error, escapePointer, type ShortFinding } from './draft.ts';
import { type Expansion, listed } from './expansion.ts';
import { fields } from './filter.ts';
import { grpcPolicies } from './grpc.ts';
import type { Respond, Route, ShortForm } from './schema.ts';

/** Targets that one Policy may have. */
const TARGETS_MAX = 16;

interface Use {
  readonly pointer: string;
  readonly name: string;
  readonly kind: 'HTTPRoute' | 'GRPCRoute';
  /** Names of what the route became. */
  readonly targets: readonly string[];
}

interface Target {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
}

/** Collects who uses which policy, and writes them when all is known. */
export class Policies {
  /** Undefined: the policy is broken. */
  readonly #named: Readonly<Record<string, object | undefined>>;
  readonly #names: readonly string[];
  readonly #targets = new Map<string, Target[]>();
  readonly #expansion: Expansion;

  /** @param named  undefined for a policy that is broken */
  constructor(named: Readonly<Record<string, object | undefined>>, expansion: Expansion) {
    this.#named = named;
    this.#names = Object.keys(named);
    this.#expansion = expansion;
    for (const name of this.#names) expansion.names.reserve('Policy', name);
  }

  /**
   * What is wrong with the policies that a route names. A route whose policy is
   * missing must not be served without it.
   */
  wrongIn({ policies = [] }: Pick<Route, 'policies'>, pointer: string): ShortFinding[] {
    return policies.flatMap((use, i) => {
      if (typeof use !== 'string' || this.#named[use] !== undefined) return [];
      return [this.#wrong(use, `${pointer}/${i}`)];
    });
  }

  useIn(route: Route, { kind, pointer, name, targets }: Use): void {
    const routes = targets.map((target) => ({ group: GATEWAY_GROUP, kind, name: target }));
    if (kind === 'GRPCRoute') {
      for (const { field, from, value } of grpcPolicies(route)) {
        this.#add(
          { name: `${name}-${field === 'grpc' ? 'calls' : from}`, pointer: `${pointer}/${from}`, field, value },
          routes,
        );
      }
    }
    if (route.respond !== undefined) {
      const filters = { directResponse: directResponse(route.respond) };
      this.#add({ name: `${name}-respond`, pointer: `${pointer}/respond`, field: 'filters', value: filters }, routes);
    }
    this.#use(route.policies ?? [], { pointer: `${pointer}/policies`, name, targets: routes });
  }

  everywhere(uses: NonNullable<ShortForm['everywhere']>, gateways: readonly string[]): void {
    this.#expansion.findings.push(...this.wrongIn({ policies: uses }, '/everywhere'));
    this.#use(uses, { pointer: '/everywhere', name: 'everywhere', targets: gatewayTargets(gateways) });
  }

  settings(settings: ShortForm['settings'], gateways: readonly string[]): void {
    if (settings === undefined) return;
    const plan = { name: 'settings', pointer: '/settings', field: 'listener', value: settings };
    this.#add(plan, gatewayTargets(gateways));
  }

  #use(uses: NonNullable<Route['policies']>, by: { pointer: string; name: string; targets: readonly Target[] }): void {
    uses.forEach((use, i) => {
      const pointer = `${by.pointer}/${i}`;
      if (typeof use !== 'string') {
        this.#add({ name: `${by.name}-policy`, pointer, field: 'filters', value: use }, by.targets);
      } else {
        const before = this.#targets.get(use) ?? [];
        // Named twice in one list, it is still one target.
        this.#targets.set(use, [...before, ...by.targets.filter((target) => !before.includes(target))]);
      }
    });
  }

  #wrong(name: string, pointer: string): ShortFinding {
    if (this.#names.includes(name)) {
      return error(pointer, 'reference.broken', `Cannot use the policy "${name}": it has problems of its own`);
    }
    const near = suggestion(name, this.#names);
    const known =
      this.#names.length === 0 ? 'there is nothing under "policies" yet' : `expected ${listed(this.#names)}`;
    const hint = near === undefined ? known : `did you mean "${near}"`;
    return error(pointer, 'reference.unknown', `Unknown policy "${name}": ${hint}`);
  }

  /** Writes the policies that have a name; called last. */
  finish(): void {
    for (const name of this.#names) {
      const pointer = `/policies/${escapePointer(name)}`;
      const targets = this.#targets.get(name);
      const filters = this.#named[name];
      if (filters === undefined) continue; // broken: that is said already
      if (targets === undefined) {
        const message = `Policy "${name}" is not used: no route names it`;
        this.#expansion.findings.push({ level: 'warning', pointer, code: 'policy.no-target', message });
      } else {
        this.#write({ name, pointer, field: 'filters', value: filters }, targets);
      }
    }
  }

  #add(plan: PolicyPlan, targets: readonly Target[]): void {
    this.#write({ ...plan, name: this.#expansion.names.take('Policy', plan.name) }, targets);
  }

  #write({ name, pointer, field, value }: PolicyPlan, targets: readonly Target[]): void {
    for (let from = 0; from < targets.length; from += TARGETS_MAX) {
      const own = from === 0 ? name : this.#expansion.names.take('Policy', name);
      const spec = { targetRefs: targets.slice(from, from + TARGETS_MAX), [field]: value };
      const manifest = { apiVersion: `${OWN_GROUP}/v1alpha1`, kind: 'Policy', metadata: { name: own }, spec };
      this.#expansion.add({ manifest, places: [['', pointer]] });
    }
  }
}

interface PolicyPlan {
  readonly name: string;
  readonly pointer: string;
  readonly field: string;
  readonly value: object;
}

function gatewayTargets(names: readonly string[]): Target[] {
  return names.map((name) => ({ group: GATEWAY_GROUP, kind: 'Gateway', name }));
}

function directResponse(respond: Respond): object {
  if (typeof respond === 'number') return { status: respond };
  if (typeof respond === 'string') return { status: 200, body: respond };
  const { status = 200, body, type, headers } = respond;
  return {
    status,
    ...(body !== undefined && { body }),
    ...(type !== undefined && { contentType: type }),
    ...(headers !== undefined && { headers: fields(headers) }),
  };
}
