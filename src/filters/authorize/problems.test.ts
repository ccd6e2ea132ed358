/** What is wrong with rules is found with the configuration, and located in its file. */
import { type Row, testProblems } from '../../resource/testing/problems.ts';

const POLICY = `apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: may, namespace: shop }
spec:
  targetRefs:
    - { group: gateway.networking.k8s.io, kind: HTTPRoute, name: api }
  filters:
`;

const ROWS: readonly Row[] = [
  [
    'an expression that names what is not there',
    `${POLICY}    authorize:\n      rules:\n        - when: request.verb == "GET"\n`,
    'a.yaml:10:11: error: No such key: verb; "request" has id, method, scheme, host, path, query, headers (at character 9: verb) (Policy shop/may, /spec/filters/authorize/rules/0/when)',
  ],
  [
    'a path that no request has',
    `${POLICY}    authorize:\n      rules:\n        - paths:\n            - /ok\n            - /a/./b\n`,
    'a.yaml:12:15: error: Expected the path in normal form, "/a/b", got "/a/./b" (Policy shop/may, /spec/filters/authorize/rules/0/paths/1)',
  ],
];

testProblems('a.yaml', ROWS);
