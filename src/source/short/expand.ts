/**
 * From the short form to manifests. Pure but for the PEM files that it names,
 * which are read through a function that the caller lends.
 */
import { type Draft, error, escapePointer, type ShortFinding } from './draft.ts';
import { Expansion, type ReadPem } from './expansion.ts';
import { expandListen } from './listen.ts';
import { Policies } from './policy.ts';
import { expandRoute, routeKind, type RouteParts } from './route.ts';
import { expandService } from './service.ts';
import { readShape, type Shape } from './shape.ts';

export interface Expanded {
  readonly drafts: readonly Draft[];
  /** Raw resources, as written under `resources`. */
  readonly manifests: readonly { readonly manifest: unknown; readonly pointer: string }[];
  readonly findings: readonly ShortFinding[];
}

/**
 * Expands what is right and says what is wrong. What is wrong takes with it what
 * leans on it: a route whose policy is broken would be open without it.
 *
 * @param value  the short form as parsed, not checked yet
 */
export function expandShortForm(value: unknown, readPem: ReadPem): Expanded {
  const { form, findings } = readShape(value);
  if (form === undefined) return { drafts: [], manifests: [], findings };
  const expansion = new Expansion(Object.keys(form.services), readPem);
  expansion.findings.push(...findings);
  const policies = new Policies(form.policies, expansion);

  const parents = expandListen(form.listen, expansion);
  for (const [name, service] of Object.entries(form.services)) {
    if (service !== undefined) expandService(name, service, expansion);
  }
  expandRoutes(form.routes, { parents, policies }, expansion);
  const gateways = parents.gateways.map(({ name }) => name);
  policies.everywhere(form.everywhere, gateways);
  policies.settings(form.settings, gateways);
  policies.finish();
  // Beside a mistake, what is unused is mostly its shadow.
  const wrong = expansion.findings.some(({ level }) => level === 'error');
  if (!wrong) expansion.findings.push(...expansion.unusedServices().map(unused));
  return {
    // What is for every route stands or falls with all of them.
    drafts: expansion.findings.some(isForAll) ? [] : expansion.drafts,
    manifests: form.resources.map((manifest, i) => ({ manifest, pointer: `/resources/${i}` })),
    findings: expansion.findings,
  };
}

function isForAll({ level, pointer }: ShortFinding): boolean {
  return level === 'error' && /^\/(?:listen|everywhere|settings)(?:\/|$)/.test(pointer);
}

function expandRoutes(routes: Shape['routes'], parts: RouteParts, expansion: Expansion): void {
  const first = new Map<string, number>();
  routes.forEach((route, i) => {
    if (route?.name === undefined || first.has(route.name)) return;
    first.set(route.name, i);
    expansion.names.reserve(routeKind(route), route.name);
  });
  routes.forEach((route, i) => {
    if (route === undefined) return;
    const owner = route.name === undefined ? i : first.get(route.name);
    if (owner === i) return expandRoute(route, i, parts, expansion);
    const message = `Duplicate route "${route.name}": item ${owner} has the name already`;
    expansion.findings.push(error(`/routes/${i}/name`, 'field.duplicate', message));
  });
}

function unused(name: string): ShortFinding {
  const message = `Service "${name}" is not used: no route names it`;
  return { level: 'warning', pointer: `/services/${escapePointer(name)}`, code: 'service.unused', message };
}
