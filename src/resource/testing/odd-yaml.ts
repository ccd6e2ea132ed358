/** Documents as people write them, and what becomes of them when a hand slips. */
import { isDeepStrictEqual } from 'node:util';
import type { Random } from '../../base/random.ts';
import { NOT_PLAIN, readPlainYaml } from '../plain-yaml.ts';
import { readYaml } from '../yaml.ts';

export const DOCUMENTS = [
  `# A route.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web   # the shop
  labels: {team: shop, tier: "1"}
spec:
  parentRefs:
  - name: edge
    sectionName: http
  hostnames: ["shop.test", '*.shop.test']
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /api
      headers:
        - name: x-version
          value: "2"
    filters: []
    backendRefs:

    - name: web
      port: 8080
`,
  `apiVersion: v1
kind: ConfigMap
metadata:
    name: ca
data:
    ca.crt: |
        -----BEGIN CERTIFICATE-----
        MIIB # not a comment

        -----END CERTIFICATE-----
    empty:
    other: |-
      x
`,
  `{"kind": "List", "items": [
  {"kind": "Service", "metadata": {"name": "a"}},
  {"kind": "Service",
   "spec": {"ports": [{"port": 80}, {"port": 443}]}}
]}
`,
  `kind: List
items:
- kind: A
  spec: {a: 1}
-   kind: B
    spec:
    - x
# between
- kind: C
`,
];

const BITS = [
  ' ',
  '\n',
  '- ',
  ': ',
  '"',
  "'",
  '#',
  ' #',
  '[',
  ']',
  '{',
  '}',
  ',',
  '|',
  '>',
  '&a',
  '*a',
  '  ',
  'null',
  '1e3',
];
BITS.push(
  '0x1',
  '01',
  '-',
  '?',
  '!',
  '%',
  '---\n',
  '...',
  '\\',
  '|-\n',
  'k: v\n',
  'é',
  '\u2028',
  '~',
  ': |\n',
  '- - ',
  '{}',
  '[]',
);

/** A few lines of a document with some characters put in and taken out. */
export function oddYaml(random: Random): string {
  const below = (n: number): number => random.bits32() % n;
  const lines = DOCUMENTS[below(DOCUMENTS.length)]!.split('\n');
  const first = below(lines.length);
  let text = `${lines.slice(first, first + 2 + below(6)).join('\n')}\n`;
  for (let edits = 1 + below(4); edits > 0; edits--) {
    const at = below(text.length + 1);
    text = text.slice(0, at) + (below(3) === 0 ? '' : BITS[below(BITS.length)]!) + text.slice(at + below(3));
  }
  return text;
}

/** Whether both readers agree on a text, or the plain one leaves it to the other. */
export function compareReaders(text: string): 'same' | 'left' | 'different' {
  const got = readPlainYaml(text);
  if (got === NOT_PLAIN) return 'left';
  const { value, mistakes } = readYaml(text);
  return mistakes.length === 0 && isDeepStrictEqual(got, value) ? 'same' : 'different';
}
