/** Conditions of objects as rows, what is not true, or says more than that, with its message: `HTTPRoute default/web | Gateway default/edge | Accepted | True | Accepted`. */

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

interface ParentRef {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly sectionName?: string;
}

interface ObjectStatus {
  readonly conditions?: readonly Condition[];
  readonly listeners?: readonly { readonly name: string; readonly conditions?: readonly Condition[] }[];
  readonly parents?: readonly { readonly parentRef?: ParentRef; readonly conditions?: readonly Condition[] }[];
  readonly ancestors?: readonly { readonly ancestorRef?: ParentRef; readonly conditions?: readonly Condition[] }[];
}

interface StatusObject {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly status?: ObjectStatus;
}

/** @param items  objects of a Kubernetes `List`; those without conditions give no row */
export function conditionRows(items: readonly object[]): string[][] {
  return (items as readonly StatusObject[]).flatMap((item) => {
    const { conditions = [], listeners = [], parents = [], ancestors = [] } = item.status ?? {};
    return [
      ...rowsOf(item, '-', conditions),
      ...listeners.flatMap((listener) => rowsOf(item, `listener ${listener.name}`, listener.conditions ?? [])),
      ...parents.flatMap((parent) => rowsOf(item, refText(parent.parentRef), parent.conditions ?? [])),
      ...ancestors.flatMap((ancestor) => rowsOf(item, refText(ancestor.ancestorRef), ancestor.conditions ?? [])),
    ];
  });
}

/** What they say when they hold is more than that they do. */
const SAYS_MORE: ReadonlySet<string> = new Set(['fourways.io/Acknowledged']);

function rowsOf(
  { kind = '?', metadata = {} }: StatusObject,
  subject: string,
  conditions: readonly Condition[],
): string[][] {
  const { name = '?', namespace } = metadata;
  const owner = `${kind} ${namespace === undefined || namespace === '' ? '' : `${namespace}/`}${name}`;
  return conditions.map(({ type, status, reason = '-', message = '' }) => {
    const isClear = message === '' || (status === 'True' && !SAYS_MORE.has(type));
    const why = isClear ? reason : `${reason}: ${message}`;
    return [owner, subject, type, status, why];
  });
}

function refText({ kind = 'Gateway', namespace, name = '?', sectionName }: ParentRef = {}): string {
  const owner = namespace === undefined ? name : `${namespace}/${name}`;
  return `${kind} ${owner}${sectionName === undefined ? '' : ` (${sectionName})`}`;
}
