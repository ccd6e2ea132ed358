/** Which namespaces a Gateway lets in. */
import type { LabelSelector } from '../resource/fields.ts';
import { type Look, lookUp } from './tables.ts';

/** Kubernetes gives every namespace this label; so does a folder without Namespace manifests. */
const NAME_LABEL = 'kubernetes.io/metadata.name';

interface NamespaceRule {
  readonly from: 'All' | 'Selector' | 'Same' | 'None';
  readonly selector?: LabelSelector;
}

export interface NamespacePair {
  /** Namespace of the object that lets in. */
  readonly owner: string;
  /** Namespace of the object that wants in. */
  readonly guest: string;
}

export function letsIn(rule: NamespaceRule, { owner, guest }: NamespacePair, look: Look): boolean {
  switch (rule.from) {
    case 'All':
      return true;
    case 'None':
      return false;
    case 'Same':
      return owner === guest;
    case 'Selector':
      // Gateway API: `Selector` without a selector selects nothing.
      return rule.selector !== undefined && selects(rule.selector, labelsOf(guest, look));
  }
}

function labelsOf(namespace: string, look: Look): Readonly<Record<string, string>> {
  const labels = lookUp(look, 'Namespace', { namespace: '', name: namespace })?.metadata.labels;
  return { ...labels, [NAME_LABEL]: namespace };
}

function selects({ matchLabels, matchExpressions }: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((expression) => holds(expression, labels[expression.key]))
  );
}

function holds(expression: LabelSelector['matchExpressions'][number], value: string | undefined): boolean {
  switch (expression.operator) {
    case 'In':
      return value !== undefined && expression.values.includes(value);
    case 'NotIn':
      return value === undefined || !expression.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
